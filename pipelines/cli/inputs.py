"""The inputs of `depthstream depth`: the source of each path, and where its results go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelines.paths import file_identity, is_url
from stream.errors import SourceError, UsageError
from stream.frames import Frame
from stream.settings import ImagesCamera, VideoCamera
from stream.sources.images import SUFFIXES, ImagesSource, images_at
from stream.sources.video import VideoSource

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Files with these suffixes in a folder are treated as videos; a file given by name is tried whatever its suffix."""
MAX_NAMED = 5
"""Unused files of a folder that are listed by name."""


@dataclass(frozen=True, slots=True)
class Input:
    """One image, the images of a folder, or one video, and where the results go."""

    path: Path
    source: ImagesSource | VideoSource
    files: tuple[Path, ...]
    """The files that will be read, as far as they are known before the source is opened."""
    folder: Path
    """Folder for the results that are one file per frame: 16-bit PNGs, arrays and coloured images."""
    video: Path | None
    """File for the coloured video; None for images."""
    name: Callable[[Frame], str]
    """Gives a frame's file name without suffix."""
    stems: tuple[str, ...]
    """All names that ``name`` will return; empty for a video, whose frames are numbered."""

    def origin(self, frame: Frame) -> str:
        """The path of the file that a frame comes from."""
        return str(self.source.paths[frame.seq] if isinstance(self.source, ImagesSource) else self.path)

    @property
    def expected(self) -> int | None:
        """The number of frames to expect; None before the source is open, or if the source does not know."""
        return self.source.count or None if isinstance(self.source, ImagesSource) else self.source.frame_count


def plan(paths: Sequence[Path], output: Path, suffixes: Iterable[str] = ()) -> list[Input]:
    """The inputs of all paths, in order; a folder gives one input for its images and one for each of its videos.

    Results of a single image go into ``output`` itself, those of a folder or of a video's frames into a subfolder of
    the same name. ``suffixes`` are the endings of the files that will be written for each image. Raises UsageError for
    a path that does not exist, for two inputs with the same results, and for results that would overwrite an input. A
    file that cannot be read is reported later, by its source.
    """
    for path in paths:
        _check_exists(path)
    names = _names(tuple(paths))
    inputs = [each for path, name in zip(paths, names, strict=True) for each in _inputs(path, name, output)]
    _check_no_overwrite(inputs, tuple(suffixes))
    return inputs


def unused_files(path: Path) -> str | None:
    """A line that lists what in a folder is neither an image nor a video; None if everything is used."""
    if not _is_folder(path):
        return None
    with suppress(OSError):
        unused = sorted(each.name + "/" * each.is_dir() for each in path.iterdir() if _is_unused(each))
        if unused:
            named = ", ".join(unused[:MAX_NAMED]) + ", ..." * (len(unused) > MAX_NAMED)
            return f"{path}: left out: {len(unused)} ({named}): only its own images and videos are used"
    return None


def _is_unused(path: Path) -> bool:
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
    if images or not videos:  # an empty folder gets a source, too: it reports what is wrong
        source = ImagesSource(ImagesCamera(source="images", path=str(path), name=name))
        folder = output / name
        stems = tuple(_names(images)) if images else ()
        yield Input(path, source, images, folder, None, lambda frame: _names(source.paths)[frame.seq], stems)
    for video, video_name in zip(videos, _names(videos), strict=True):
        yield _video(video, video_name, output / name)


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


def _check_exists(path: Path) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if is_url(path):
            advice = "is an address, not a file: for live depth of it use depthstream rtsp URL (or webcam)"
            raise UsageError(f"{path}: {advice}") from error
        raise UsageError(f"{path}: no such file or folder") from error
    except OSError:
        return  # unreadable rather than missing: its source reports that, and the other inputs are still converted


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False


def _check_no_overwrite(inputs: Sequence[Input], suffixes: tuple[str, ...]) -> None:
    """Raise UsageError if a result would overwrite a file that is to be read."""
    read = {found: path for each in inputs for path in each.files if (found := file_identity(path))}
    for each in inputs:
        images = (each.folder / f"{stem}{suffix}" for stem in each.stems for suffix in suffixes)
        for result in (*images, *([each.video] if each.video and ".color.png" in suffixes else [])):
            # (-1, -1) stands for a file that does not exist yet, which is no input.
            if source := read.get(file_identity(result) or (-1, -1)):
                raise UsageError(
                    f"{source}: is an input, and the result of {each.path} would take its place ({result}); "
                    "give another folder with -o"
                )


# Cached, because ``Input.name`` asks once for each frame of a folder.
@cache
def _names(paths: tuple[Path, ...]) -> list[str]:
    """Each path's stem, or its whole name where stems collide. Raises UsageError if whole names collide as well."""
    stems = Counter(_stem(path) for path in paths)
    names = [_stem(path) if stems[_stem(path)] == 1 else path.resolve().name.replace(".", "_") for path in paths]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        same = ", ".join(str(path) for path, name in zip(paths, names, strict=True) if name == repeated[0])
        raise UsageError(f"results of these inputs would overwrite each other: {same}; run them into separate folders")
    return names


def _stem(path: Path) -> str:
    return path.resolve().name if _is_folder(path) else path.stem
