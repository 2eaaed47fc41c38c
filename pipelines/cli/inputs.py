"""What `depthstream depth` was given: each path with its source and the names of its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelines.paths import identity, is_address
from stream.errors import SourceError, UsageError
from stream.frames import Frame
from stream.settings import ImagesCamera, VideoCamera
from stream.sources.images import SUFFIXES, ImagesSource, images_at
from stream.sources.video import VideoSource

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Of what is taken for a video inside a folder; a file that is named is tried whatever its suffix."""
NAMED = 5
"""So many of what is left out are named."""


@dataclass(frozen=True, slots=True)
class Input:
    """One image, the images of a folder, or one video, and where the results go."""

    path: Path
    source: ImagesSource | VideoSource
    files: tuple[Path, ...]
    """What is read, as far as it is known before."""
    folder: Path
    """For single files: 16-bit PNGs, arrays and coloured images."""
    video: Path | None
    """For a coloured video; None for images."""
    name: Callable[[Frame], str]
    """A frame's file name without suffix."""
    stems: tuple[str, ...]
    """All names that ``name`` will give; none for a video's frames, which are numbered."""

    def origin(self, frame: Frame) -> str:
        """The file that a frame comes from."""
        return str(self.source.paths[frame.seq] if isinstance(self.source, ImagesSource) else self.path)

    @property
    def expected(self) -> int | None:
        """Frames that will come; None before the source is open or where it does not know."""
        return self.source.count or None if isinstance(self.source, ImagesSource) else self.source.frame_count


def plan(paths: Sequence[Path], output: Path, suffixes: Iterable[str] = ()) -> list[Input]:
    """An ``Input`` for each path, in order; for a folder one for its images, and one for each of its videos.

    An image's results lie in ``output`` itself, those of a folder or of a video's frames in a folder of its name.
    ``suffixes``: what will be written of an image. Raises UsageError for a path that does not exist, for two that
    would write to the same place, and for results that would take the place of an input. What cannot be read is left to
    its source to tell, when it is its turn.
    """
    for path in paths:
        _check_there(path)
    names = _names(tuple(paths))
    inputs = [each for path, name in zip(paths, names, strict=True) for each in _inputs(path, name, output)]
    _check_kept(inputs, tuple(suffixes))
    return inputs


def left_out(path: Path) -> str | None:
    """Of a folder the line that says what in it is neither image nor video; None if everything is used."""
    if not _is_folder(path):
        return None
    with suppress(OSError):
        others = sorted(each.name + "/" * each.is_dir() for each in path.iterdir() if _is_left_out(each))
        if others:
            named = ", ".join(others[:NAMED]) + ", ..." * (len(others) > NAMED)
            return f"{path}: left out: {len(others)} ({named}): only its own images and videos are used"
    return None


def _is_left_out(path: Path) -> bool:
    known = path.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES) and path.is_file()
    return not known and not path.name.startswith(".")


def _inputs(path: Path, name: str, output: Path) -> Iterator[Input]:
    if not _is_folder(path):
        yield _image(path, name, output) if path.suffix.lower() in SUFFIXES else _video(path, name, output)
        return
    videos = _videos(path)
    try:
        images = tuple(images_at(path))
    except SourceError:
        images = ()
    if images or not videos:  # of a folder with nothing in it the source tells what is wrong
        source = ImagesSource(ImagesCamera(source="images", path=str(path), name=name))
        folder = output / name
        stems = tuple(_names(images)) if images else ()
        yield Input(path, source, images, folder, None, lambda frame: _names(source.paths)[frame.seq], stems)
    for video, its_name in zip(videos, _names(videos), strict=True):
        yield _video(video, its_name, output / name)


def _image(path: Path, name: str, output: Path) -> Input:
    source = ImagesSource(ImagesCamera(source="images", path=str(path), name=name))
    return Input(path, source, (path,), output, None, lambda frame: name, (name,))


def _video(path: Path, name: str, output: Path) -> Input:
    source = VideoSource(VideoCamera(source="video", path=str(path), name=name))
    colour = output / f"{name}.depth.mp4"
    return Input(path, source, (path,), output / name, colour, lambda frame: f"{frame.seq:06d}", ())


def _videos(folder: Path) -> tuple[Path, ...]:
    with suppress(OSError):
        return tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()))
    return ()


def _check_there(path: Path) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if is_address(path):
            words = "is an address, not a file: for live depth of it use depthstream rtsp URL (or webcam)"
            raise UsageError(f"{path}: {words}") from error
        raise UsageError(f"{path}: no such file or folder") from error
    except OSError:
        return  # there, or not to be known: the source tells, and the other inputs have their turn


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False


def _check_kept(inputs: Sequence[Input], suffixes: tuple[str, ...]) -> None:
    """Raise UsageError if a result would be written over a file that is to be read."""
    read = {found: path for each in inputs for path in each.files if (found := identity(path))}
    for each in inputs:
        images = (each.folder / f"{stem}{suffix}" for stem in each.stems for suffix in suffixes)
        for result in (*images, *([each.video] if each.video and ".color.png" in suffixes else [])):
            if source := read.get(identity(result) or (-1, -1)):
                raise UsageError(
                    f"{source}: is an input, and the result of {each.path} would take its place ({result}); "
                    "give another folder with -o"
                )


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
    return path.resolve().name if _is_folder(path) else path.stem
