"""A number in an image's top rows, as black and white blocks that survive a codec.

The law: twenty blocks of equal width across the top ``STRIP_PX`` rows: white, black, twelve bits of the number (the
highest first), four bits of check, black, white. The check is ``number % 13 + 1``: it notices every single wrong block,
and an image of one colour.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

STRIP_PX = 16
READ_ROWS = slice(3, 8)
"""Rows inside the strip even when the image was shrunk to 0.6 of its height, as cv2.VideoCapture does."""
NUMBER_BITS = 12
CHECK_BITS = 4
NUMBERS = 1 << NUMBER_BITS
BEFORE, AFTER = (1, 0), (0, 1)
BLOCKS = len(BEFORE) + NUMBER_BITS + CHECK_BITS + len(AFTER)
BLACK_BELOW, WHITE_ABOVE = 96, 160
NARROWEST_PX = 4 * BLOCKS


def write_number(image: Image, number: int) -> None:
    """Paint ``number`` over the top rows of ``image``, (H, W, 3) uint8; raises ValueError if it has no room."""
    height, width = image.shape[:2]
    if not 0 <= number < NUMBERS:
        raise ValueError(f"cannot write {number} into an image: give 0 to {NUMBERS - 1}")
    if width < NARROWEST_PX or height < 2 * STRIP_PX:
        raise ValueError(
            f"an image of {width}x{height} has no room for a number: {NARROWEST_PX}x{2 * STRIP_PX} is least"
        )
    edges = _edges(width)
    for block, bit in enumerate(_blocks_of(number)):
        image[:STRIP_PX, edges[block] : edges[block + 1]] = 255 * bit


def read_number(image: NDArray[Any]) -> int | None:
    """The number in an (H, W, 3) uint8 image, decoded or resized; None if a block is unclear or wrong."""
    edges = _edges(image.shape[1])
    bits = []
    for left, right in pairwise(edges):
        margin = (right - left) // 4
        level = float(image[READ_ROWS, left + margin : right - margin].mean())
        if BLACK_BELOW <= level <= WHITE_ABOVE:
            return None
        bits.append(int(level > WHITE_ABOVE))
    number = int("".join(map(str, bits[len(BEFORE) : len(BEFORE) + NUMBER_BITS])), 2)
    return number if bits == _blocks_of(number) else None


def _edges(width: int) -> list[int]:
    return [round(block * width / BLOCKS) for block in range(BLOCKS + 1)]


def _blocks_of(number: int) -> list[int]:
    digits = f"{number:0{NUMBER_BITS}b}{number % 13 + 1:0{CHECK_BITS}b}"
    return [*BEFORE, *map(int, digits), *AFTER]
