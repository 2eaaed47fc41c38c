"""Evaluation of a network for `depthstream eval`: data sets with known depth, metrics, and a contact sheet."""
