"""Layout of the preview window: position of the tiles and size of the images in them. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from stream.frames import Image, Size

STRIP_SHARE, MIN_STRIP_PX = 1 / 14, 20
"""Height of the captions above a tile's images: as a share of their height, and at least this many pixels."""
GAP_PX = 4
NO_SIZE = Size(0, 0)


class Layout(NamedTuple):
    """Bounds on the size of the whole image."""

    limit: Size
    """Largest size, pixels."""
    minimum: Size = NO_SIZE
    """Smallest size, pixels; black around the tiles fills the rest."""
    enlargement: float = 2.0
    """Small images are enlarged up to this factor."""


def best_grid(count: int, aspect: float, limit: Size) -> tuple[int, Size]:
    """The number of columns, and the space for each tile, that give ``count`` tiles of ``aspect`` the most height.

    ``aspect`` is width / height of a tile's images.
    """

    def space(columns: int) -> Size:
        rows = -(-count // columns)
        return Size((limit.height + GAP_PX) // rows - GAP_PX, (limit.width + GAP_PX) // columns - GAP_PX)

    columns = max(range(1, count + 1), key=lambda columns: panel_height(space(columns), aspect))
    return columns, space(columns)


def panel_height(space: Size, aspect: float) -> int:
    """Height of images that together have ``aspect``, so that they and their captions fit into ``space``."""
    height = min(space.height / (1 + STRIP_SHARE), space.height - MIN_STRIP_PX, space.width / aspect)
    return max(1, int(height) - 1)  # one less, because the row rounds its sides


def scaled(image: Image, height: int) -> Image:
    """Scale an image to a height, keeping its aspect.

    Shrinks by the integer factor first (INTER_AREA: averages of all pixels), then by the rest, which is less than 2:
    1.1 ms for 1080p to 448 lines, where INTER_AREA alone takes 9.3.
    """
    import cv2

    size = (max(1, round(image.shape[1] * height / image.shape[0])), height)
    factor = image.shape[0] // height
    if factor > 1 and image.shape[1] >= factor:
        whole = Size(image.shape[0] // factor, image.shape[1] // factor)
        part = image[: whole.height * factor, : whole.width * factor]
        image = cast(Image, cv2.resize(part, (whole.width, whole.height), interpolation=cv2.INTER_AREA))
    return image if image.shape[:2] == size[::-1] else cast(Image, cv2.resize(image, size))


def arrange(tiles: Sequence[Image], columns: int, minimum: Size = NO_SIZE) -> Image:
    """Place tiles row by row, each centred in its cell on black; cells are as large as the largest tile."""
    rows = -(-len(tiles) // columns)
    height, width = (max(tile.shape[side] for tile in tiles) + GAP_PX for side in (0, 1))
    size = Size(max(minimum.height, rows * height - GAP_PX), max(minimum.width, columns * width - GAP_PX))
    image = np.zeros((*size, 3), np.uint8)
    top = (size.height - rows * height + GAP_PX) // 2
    left = (size.width - columns * width + GAP_PX) // 2
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        y = top + row * height + (height - GAP_PX - tile.shape[0]) // 2
        x = left + column * width + (width - GAP_PX - tile.shape[1]) // 2
        image[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return image
