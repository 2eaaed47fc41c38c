"""Training of the embedded network; ``train_tiny`` is the program and the other modules are its parts."""
