"""Image files as a camera: a single file, or a folder in natural order of its file names."""

from __future__ import annotations

import logging
import re
import struct
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from stream.core.clock import Pacer, Stamp
from stream.errors import DepthStreamError, ImageError, SourceError
from stream.frames import MAX_SIDE_PX, Frame, Image, check_image
from stream.settings import ImagesCamera

log = logging.getLogger(__name__)

SUFFIXES = (
    *(".avif", ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""File name suffixes of the image formats that OpenCV reads."""
LIMIT_12_BIT = 4096
"""Values of a 12-bit camera that were stored in 16 bits without scaling stay below this."""
MULTIPLE_IMAGES = "the file holds several images; only the first one is used (make a video of an animation)"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class ImagesSource:
    """One image or a folder of images, in natural order: ``2.png`` before ``10.png``.

    With ``loop`` the folder starts again at its end and ``seq`` goes on rising. ``stamp.media_s`` is ``seq / fps``
    where a rate is set, else None. An unusable image is left out, which leaves a gap in ``seq``, and the SourceError
    at the end names the first one (for a single file, the error of ``read_image`` is raised instead). Entering raises
    SourceError for a path without images.
    """

    def __init__(self, settings: ImagesCamera) -> None:
        self._settings = settings
        self._paths: list[Path] = []
        self._warned_kinds: set[str] = set()

    def __enter__(self) -> Self:
        self._paths = images_at(Path(self._settings.path).expanduser())
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is held open; the paths stay, because later stages name their files after them."""

    @property
    def count(self) -> int:
        """Number of images in one pass; 0 before the source is opened."""
        return len(self._paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in the order in which they are read."""
        return tuple(self._paths)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        settings, pacer, bad = self._settings, Pacer(stopping), list[DepthStreamError]()
        for seq in count() if settings.loop else range(len(self._paths)):
            if seq and seq % len(self._paths) == 0:
                self._raise_first(bad)
            media_s = None if settings.fps is None else seq / settings.fps
            if stopping.is_set() or (media_s is not None and not pacer.wait_until(media_s)):
                return
            try:
                image = read_image(self._paths[seq % len(self._paths)], self._warn_once)
            except (SourceError, ImageError) as error:
                bad.append(error)
                continue
            yield Frame(image, settings.name, seq, Stamp.now("file", media_s))
        self._raise_first(bad)

    def describe(self) -> str:
        images = f": {self.count} image{'s' if self.count != 1 else ''}" if self._paths else ""
        return f"images {self._settings.path}{images}"

    def _raise_first(self, bad: list[DepthStreamError]) -> None:
        if bad and self.count == 1:
            raise bad[0]
        if bad:
            raise SourceError(f"{len(bad)} of {self.count} images cannot be used: {bad[0]}") from bad[0]

    def _warn_once(self, path: Path, warning: str) -> None:
        """Log one warning per kind: a folder may hold thousands of such images."""
        kind = warning.partition(":")[0].rstrip("0123456789")
        if kind not in self._warned_kinds:
            self._warned_kinds.add(kind)
            log.warning("%s: %s%s", path, warning, "; others like it are not named" if self.count > 1 else "")


def _log_warning(path: Path, warning: str) -> None:
    log.warning("%s: %s", path, warning)


def read_image(path: Path, warn: Callable[[Path, str], None] = _log_warning) -> Image:
    """(H, W, 3) uint8 BGR, read-only, rotated according to its EXIF data.

    Gray becomes three equal channels; transparency is dropped and the colour under it stays; 16-bit values keep their
    high byte, so that full scale stays full scale. ``warn`` is called for what may surprise: several images in one
    file, and 16-bit values that are all small. Raises SourceError for a file that cannot be read or is no image (float
    TIFFs among them), ImageError for one with a side below 8 px or above 16384 px; the size is known only after
    decoding, which OpenCV refuses beyond 2^30 pixels.
    """
    data = _read_bytes(path)
    decoded = _decode(data, path)
    if has_multiple_images(data.tobytes()):
        warn(path, MULTIPLE_IMAGES)
    if decoded.dtype == np.uint16:
        if warning := _twelve_bit_warning(decoded):
            warn(path, warning)
        decoded = (decoded >> 8).astype(np.uint8)
    image = cast(Image, decoded)
    check_image(image, str(path))
    image.flags.writeable = False
    return image


def images_at(path: Path) -> list[Path]:
    """The image, or those in a folder, sorted. Raises SourceError if it finds none or may not read the path."""
    try:
        if path.is_file():
            return [path]
        found = [child for child in path.iterdir() if child.suffix.lower() in SUFFIXES and child.is_file()]
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file or folder (seen from {Path.cwd()}); check the path") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path and your right to it") from error
    if not found:
        raise SourceError(f"{path}: the folder holds no images; these count: {' '.join(SUFFIXES)}")
    return sorted(found, key=lambda child: _natural_key(child.name))


def has_multiple_images(data: bytes) -> bool:
    """Whether an encoded image is an animated PNG or WebP, or a TIFF with several pages, judged by its first bytes."""
    if data.startswith(_PNG_SIGNATURE):  # "acTL" comes before the pixels (www.w3.org/TR/png-3, 11.3.6.1)
        return b"acTL" in data[: max(0, data.find(b"IDAT"))]
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":  # RFC 9649, 2.7: the second bit is "animation"
        return bool(data[20:21]) and bool(data[20] & 0x02)
    return data[:4] in (b"II*\0", b"MM\0*") and _has_second_page(data, "<" if data[:1] == b"I" else ">")


def _read_bytes(path: Path) -> np.ndarray:
    """The file's bytes as (N,) uint8."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}; check the path and your right to read it"
        ) from error
    if data.size == 0:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy it again")
    return data


def _decode(data: np.ndarray, path: Path) -> np.ndarray:
    """(H, W, 3) BGR, uint8 or uint16."""
    import cv2

    try:
        # imdecode, because imread fails on some paths that are not ASCII
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:  # more than 2^30 pixels
        raise ImageError(f"{path}: too large to decode: scale it down to {MAX_SIDE_PX} px a side first") from error
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise SourceError(f"{path}: not an image with 8 or 16 bits, or damaged; known: {' '.join(SUFFIXES)}")
    return cast(np.ndarray, decoded)


def _twelve_bit_warning(values: np.ndarray) -> str | None:
    """A warning if 16-bit ``values`` use only the lowest 12 bits, else None; an image of zeros is simply black."""
    top = int(values.max(initial=0))
    if not 0 < top < LIMIT_12_BIT:
        return None
    return f"16 bits a value, but none above {top}: nearly black; multiply 12-bit values by 16 first"


def _has_second_page(data: bytes, order: str) -> bool:
    """Whether the first TIFF directory links to another one (TIFF 6.0, section 2); ``order``: "<" or ">".

    The offset of the next directory, or 0, follows a directory's entries of 12 bytes each.
    """
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, first)
        (second,) = struct.unpack_from(f"{order}I", data, first + 2 + 12 * entries)
    except struct.error:
        return False
    return bool(second)


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key with digits by value and letters without case; the name itself decides between "1" and "01"."""
    parts = re.split(r"([0-9]+)", name)
    keys = [(0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in parts if part]
    return [*keys, (2, 0, name)]
