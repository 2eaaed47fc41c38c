"""Writes tests/scenes/references: run it only when the tours are meant to look different, and look at the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.frames import Size
from stream.scenes.camera.exposure import to_bgr
from stream.scenes.renderer.render import render
from stream.scenes.world.tours import tour

FOLDER = Path(__file__).parent / "references"
SIZE = Size(24, 32)
MOMENTS = {0: 2.5, 1: 4.0, 2: 11.0}
"""Seed -> time in seconds."""


def image_and_depth(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(24, 32, 3) uint8 BGR and (24, 32) float32."""
    shown = tour(seed)
    images = render([shown.at(MOMENTS[seed])], shown.atlas, SIZE, softness=0.1)
    return to_bgr(images.rgb)[0].numpy(), images.depth[0].numpy()


if __name__ == "__main__":
    for seed in MOMENTS:
        image, depth = image_and_depth(seed)
        np.savez_compressed(FOLDER / f"tour_{seed}.npz", image=image, depth=depth)
