"""Scene cut detection: after a cut, state learnt from earlier images of the camera no longer holds."""

from __future__ import annotations

from typing import cast

import numpy as np

from stream.frames import Floats, Image

THUMBNAIL_SIDE, THUMBNAIL_GRID = 16, 64
"""A thumbnail has about 16 x 16 pixels, averages over a grid of about 64 x 64 pixels of the image."""
CUT_LEVELS = 25.0
"""Mean absolute difference between two thumbnails, gray levels of 255, above which the scene was cut. Measured: 40 to
80 at the cuts of a street clip and below 18 between them; below 3 on a CCTV clip; 31 to 102 between six photographs."""


class CutDetector:
    """Compares each image of one camera with the previous one."""

    def __init__(self) -> None:
        self._size: tuple[int, ...] | None = None
        self._thumbnail: Floats | None = None

    def is_cut(self, image: Image) -> bool:
        """True if ``image``, (H, W, 3) uint8, shows another scene than the last, is the first, or has a new size."""
        size, previous = self._size, self._thumbnail
        self._size, self._thumbnail = image.shape[:2], _thumbnail(image)
        if (
            previous is None or size != self._size
        ):  # compare the sizes: different ones may have thumbnails of the same size
            return True
        return float(np.abs(self._thumbnail - previous).mean()) > CUT_LEVELS


def _thumbnail(image: Image) -> Floats:
    """About (16, 16) float32 gray; averaged, so that noise and one pixel of camera shake are no cut."""
    height, width = image.shape[:2]
    grid = image[:: max(1, height // THUMBNAIL_GRID), :: max(1, width // THUMBNAIL_GRID)].mean(axis=2, dtype=np.float32)
    block_h, block_w = max(1, grid.shape[0] // THUMBNAIL_SIDE), max(1, grid.shape[1] // THUMBNAIL_SIDE)
    grid = grid[: grid.shape[0] // block_h * block_h, : grid.shape[1] // block_w * block_w]
    blocks = grid.reshape(grid.shape[0] // block_h, block_h, grid.shape[1] // block_w, block_w)
    return cast(Floats, blocks.mean(axis=(1, 3)))
