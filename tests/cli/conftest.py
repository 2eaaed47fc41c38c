"""The command line, called in this process; and a cache folder of the test session's own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.cli import entry


@dataclass(frozen=True)
class Called:
    """How a command ended."""

    status: int
    out: str
    err: str


Command = Callable[..., Called]


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the session, so that each network is traced once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command sets up the log of this process; later tests listen to it in their own way."""
    loggers = [logging.getLogger(name) for name in ("stream", "pipelines")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def depthstream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache_folder: Path, tmp_path: Path
) -> Command:
    """``depthstream("models", "list")`` -> exit status and what was printed, run in an empty folder."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(cache_folder))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["depthstream", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry.main()
        captured = capsys.readouterr()
        return Called(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small image with something in it."""
    path = tmp_path / "image.png"
    image = np.zeros((48, 64, 3), np.uint8)
    cv2.circle(image, (32, 30), 14, (40, 180, 220), -1)
    assert cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """24 frames of a test pattern, 96x64, H.264 in mp4."""
    return write_clip(tmp_path / "clip.mp4", 24)


@pytest.fixture
def make_clip() -> Callable[..., Path]:
    """``make_clip(path, frames, size)``: a real video written by FFmpeg."""
    return write_clip


def write_clip(path: Path, frames: int, size: tuple[int, int] = (96, 64)) -> Path:
    """A real mp4 written by FFmpeg."""
    import av

    pattern = av.open(f"testsrc2=size={size[0]}x{size[1]}:rate=25", format="lavfi")
    with pattern, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _, frame in zip(range(frames), pattern.decode(video=0), strict=False):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
