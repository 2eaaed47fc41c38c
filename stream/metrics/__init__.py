"""Quality metrics of depth maps on plain arrays; ``score`` combines the per-pixel ones."""
