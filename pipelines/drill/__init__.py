"""Drills: the product tried against a camera with faults."""
