"""Boxes from the config, a ZeroMQ topic or any detector, and their clipping before segmentation."""
