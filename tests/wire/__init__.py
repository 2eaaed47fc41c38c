"""Tests of the wire format, and the golden messages that keep it compatible."""
