"""The parts of tools/train/train_tiny.py: one noun a file."""
