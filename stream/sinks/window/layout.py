"""Where tiles go in the preview window, and how large images get in them: arithmetic and pixels, no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from stream.frames import Image, Size

STRIP_SHARE, MIN_STRIP_PX = 1 / 14, 20
"""Room for the captions above a tile's images: of their height, and pixels."""
GAP_PX = 4
NO_SIZE = Size(0, 0)


class Layout(NamedTuple):
    """How large the whole may and must be."""

    limit: Size
    least: Size = NO_SIZE
    """Black around the tiles fills what they leave of this."""
    enlargement: float = 2.0
    """Small images are enlarged up to so many times."""


def best_grid(count: int, aspect: float, limit: Size) -> tuple[int, Size]:
    """Columns, and the room of each tile, that give ``count`` tiles of ``aspect`` (width / height) the most height."""

    def room(columns: int) -> Size:
        rows = -(-count // columns)
        return Size((limit.height + GAP_PX) // rows - GAP_PX, (limit.width + GAP_PX) // columns - GAP_PX)

    columns = max(range(1, count + 1), key=lambda columns: panel_height(room(columns), aspect))
    return columns, room(columns)


def panel_height(room: Size, aspect: float) -> int:
    """Height of images that are ``aspect`` times as wide together, so that they and their captions fit."""
    height = min(room.height / (1 + STRIP_SHARE), room.height - MIN_STRIP_PX, room.width / aspect)
    return max(1, int(height) - 1)  # one less: the row rounds its sides


def scaled(image: Image, height: int) -> Image:
    """The image at another height, its aspect kept.

    Shrinks by the whole factor first (INTER_AREA: averages of all pixels), then by what is left, less than 2: 1.1 ms
    for 1080p to 448 lines where INTER_AREA alone takes 9.3.
    """
    import cv2

    size = (max(1, round(image.shape[1] * height / image.shape[0])), height)
    factor = image.shape[0] // height
    if factor > 1 and image.shape[1] >= factor:
        whole = Size(image.shape[0] // factor, image.shape[1] // factor)
        part = image[: whole.height * factor, : whole.width * factor]
        image = cast(Image, cv2.resize(part, (whole.width, whole.height), interpolation=cv2.INTER_AREA))
    return image if image.shape[:2] == size[::-1] else cast(Image, cv2.resize(image, size))


def arrange(tiles: Sequence[Image], columns: int, least: Size = NO_SIZE) -> Image:
    """Tiles row by row, each in the middle of its cell, cells as large as the largest tile; black around them."""
    rows = -(-len(tiles) // columns)
    height, width = (max(tile.shape[side] for tile in tiles) + GAP_PX for side in (0, 1))
    size = Size(max(least.height, rows * height - GAP_PX), max(least.width, columns * width - GAP_PX))
    image = np.zeros((*size, 3), np.uint8)
    top = (size.height - rows * height + GAP_PX) // 2
    left = (size.width - columns * width + GAP_PX) // 2
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        y = top + row * height + (height - GAP_PX - tile.shape[0]) // 2
        x = left + column * width + (width - GAP_PX - tile.shape[1]) // 2
        image[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return image
