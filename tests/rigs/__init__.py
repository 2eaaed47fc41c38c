"""Real cameras that tests connect to; docs/rigs.md says how to use them."""
