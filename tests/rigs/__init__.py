"""Real cameras that tests connect to; docs/how-to/rigs.md says how to use them."""
