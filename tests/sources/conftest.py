"""Small video files, written for real with PyAV."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

FPS = 25
WriteClip = Callable[..., Path]


@pytest.fixture
def write_clip(tmp_path: Path) -> WriteClip:
    """``write_clip(name, frames=50, size=(48, 64))``: frame i is gray level 4 i, its top left quarter white."""

    def write(name: str, frames: int = 50, size: tuple[int, int] = (48, 64), **options: object) -> Path:
        path = tmp_path / name
        container = av.open(
            str(path), "w", format=options.pop("format", None), options=dict(options.pop("container", {}))
        )
        fps = options.pop("fps", FPS)
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10", **dict(options.pop("codec", {}))})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        if (matrix := options.pop("matrix", None)) is not None:
            stream.set_display_matrix(matrix)
        if (rotation := options.pop("rotation", None)) is not None:
            stream.set_display_rotation(rotation)
        first_pts = options.pop("first_pts", 0)
        assert not options, options
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(_image(index, size), format="bgr24")
            frame.pts, frame.time_base = first_pts + index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        container.close()
        return path

    return write


def _image(index: int, size: tuple[int, int]) -> np.ndarray:
    image = np.full((*size, 3), 4 * index % 200, np.uint8)
    image[: size[0] // 2, : size[1] // 2] = 255
    return image


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of sample clips that may lie beside a developer's checkout."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "media"
    if not folder.is_dir():
        pytest.skip("the sample clips are not on this machine")
    return folder
