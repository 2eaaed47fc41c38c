"""Views as the render stage makes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.frames import DepthMap, Frame, Kind, View

MakeView = Callable[..., View]


@pytest.fixture
def make_view() -> MakeView:
    """``make_view(seq=3, size=(48, 64), camera="left", media_s=0.12)``: a view whose image has one gray level."""

    def make(
        seq: int = 0,
        size: tuple[int, int] = (48, 64),
        *,
        camera: str = "cam0",
        media_s: float | None = None,
        mono_ns: int = 0,
        colour: tuple[int, int, int] = (40, 90, 200),
        depth: np.ndarray | None = None,
        kind: Kind = "relative_inverse",
    ) -> View:
        image = np.full((*size, 3), colour, np.uint8)
        frame = Frame(image, camera, seq, Stamp(mono_ns, 1_700_000_000_500_000_000, "file", media_s))
        depth = np.linspace(0, 1, image[..., 0].size, dtype=np.float32).reshape(size) if depth is None else depth
        return View(image, DepthMap(depth, kind, frame, "tiny"), 0.0, 1.0)

    return make
