"""A stand-in segmenter for tests of the code around it: every pixel of a box belongs to the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from stream.core.clock import Stamp
from stream.frames import DepthMap, Floats, Frame, Image, Intrinsics, Kind, Size
from stream.objects import Box, Mask


@dataclass(frozen=True, slots=True, eq=False)
class InteriorOfBox:
    mask: Mask
    score: float = 1.0


@dataclass
class Interior:
    """Records the number of images and of boxes of each call."""

    encoded: list[int] = field(default_factory=list)
    decoded: list[list[int]] = field(default_factory=list)
    is_open: bool = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.is_open = False

    def describe(self) -> str:
        return "insides of boxes"

    def encode(self, images: Sequence[Image]) -> list[Size]:
        self.encoded.append(len(images))
        return [Size(*image.shape[:2]) for image in images]

    def decode(self, encoded: Sequence[Size], boxes: Sequence[Sequence[Box]]) -> list[list[InteriorOfBox]]:
        self.decoded.append([len(of_one) for of_one in boxes])
        return [
            [InteriorOfBox(interior(box, size)) for box in of_one] for size, of_one in zip(encoded, boxes, strict=True)
        ]


def interior(box: Box, size: Size) -> Mask:
    """(H, W): pixels whose centres are inside."""
    rows, columns = np.arange(size.height)[:, None] + 0.5, np.arange(size.width)[None, :] + 0.5
    return (columns > box.x0) & (columns < box.x1) & (rows > box.y0) & (rows < box.y1)


def depth_map_of(
    depth: Floats,
    *,
    kind: Kind = "metric",
    camera: str = "front",
    seq: int = 0,
    intrinsics: Intrinsics | None = None,
    stamp: Stamp | None = None,
    scale_guessed: bool = False,
) -> DepthMap:
    """The depth of a gray image."""
    frame = Frame(np.full((*depth.shape, 3), 90, np.uint8), camera, seq, stamp or Stamp.now(), intrinsics)
    return DepthMap(depth, kind, frame, "tiny", scale_guessed=scale_guessed)
