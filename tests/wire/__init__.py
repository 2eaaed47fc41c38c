"""The wire's tests, and the golden messages that keep the format what it is."""
