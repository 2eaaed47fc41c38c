"""What `depthstream depth` was given: each path with its source and the names of its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stream.errors import UsageError
from stream.frames import Frame
from stream.settings import ImagesCamera, VideoCamera
from stream.sources.images import SUFFIXES, ImagesSource
from stream.sources.video import VideoSource


@dataclass(frozen=True, slots=True)
class Input:
    """One picture, folder or video, and where its results go."""

    path: Path
    source: ImagesSource | VideoSource
    folder: Path
    """For single files: 16-bit PNGs, arrays and coloured pictures."""
    video: Path | None
    """For a coloured video; None for pictures."""
    name: Callable[[Frame], str]
    """A frame's file name without suffix."""

    def origin(self, frame: Frame) -> str:
        """The file that a frame comes from."""
        return str(self.source.paths[frame.seq] if isinstance(self.source, ImagesSource) else self.path)

    @property
    def expected(self) -> int | None:
        """Frames that will come; None before the source is open or where it does not know."""
        return self.source.count or None if isinstance(self.source, ImagesSource) else self.source.frame_count


def plan(paths: Sequence[Path], output: Path) -> list[Input]:
    """An ``Input`` for each path, in order.

    A picture's results lie in ``output`` itself, those of a folder or of a video's frames in a folder of its name.
    Raises UsageError for a path that does not exist and for two that would write to the same place.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
    names = _names(tuple(paths))
    return [_input(path, name, output) for path, name in zip(paths, names, strict=True)]


def _input(path: Path, name: str, output: Path) -> Input:
    if path.is_dir():
        source = ImagesSource(ImagesCamera(source="images", path=str(path), name=name))
        return Input(path, source, output / name, None, lambda frame: _names(source.paths)[frame.seq])
    if path.suffix.lower() in SUFFIXES:
        picture = ImagesSource(ImagesCamera(source="images", path=str(path), name=name))
        return Input(path, picture, output, None, lambda frame: name)
    video = VideoSource(VideoCamera(source="video", path=str(path), name=name))
    return Input(path, video, output / name, output / f"{name}.depth.mp4", lambda frame: f"{frame.seq:06d}")


@cache
def _names(paths: tuple[Path, ...]) -> list[str]:
    """Each path's stem; where stems collide, the whole name. Raises UsageError where that does not help either."""
    stems = Counter(_stem(path) for path in paths)
    names = [_stem(path) if stems[_stem(path)] == 1 else path.resolve().name.replace(".", "_") for path in paths]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        same = ", ".join(str(path) for path, name in zip(paths, names, strict=True) if name == twice[0])
        raise UsageError(f"results of these inputs would overwrite each other: {same}; run them into separate folders")
    return names


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem
