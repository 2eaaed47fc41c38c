"""The parts of tools/train_tiny.py: one noun a file."""
