"""Images as a camera: one file, or a folder in the order of its names."""

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

TWELVE_BITS = 4096
"""Values of a camera with 12 bits, stored in 16 as they are, stay below."""
PNG, CONTROL = b"\x89PNG\r\n\x1a\n", b"acTL"

ONLY_THE_FIRST = "the file holds several images; only the first one is used (of an animation make a video)"


def holds_several(data: bytes) -> bool:
    """Whether an encoded image is an animated PNG or WebP, or a TIFF of many pages; judged by its first bytes."""
    if data.startswith(PNG):  # "acTL" stands before the pixels (www.w3.org/TR/png-3, 11.3.6.1)
        return CONTROL in data[: max(0, data.find(b"IDAT"))]
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":  # RFC 9649, 2.7: the second bit is "animation"
        return bool(data[20:21]) and bool(data[20] & 0x02)
    return data[:4] in (b"II*\0", b"MM\0*") and _has_a_second_page(data, "<" if data[:1] == b"I" else ">")


def twelve_bits(values: np.ndarray) -> str | None:
    """What to say of 16-bit ``values`` that use the lowest bits only; None if there is nothing to say."""
    top = int(values.max(initial=0))
    if not 0 < top < TWELVE_BITS:
        return None
    return f"16 bits a value, but none above {top}: nearly black; values of 12 bits are to be multiplied by 16 first"


def _has_a_second_page(data: bytes, order: str) -> bool:
    """TIFF 6.0, section 2: behind a directory's entries, 12 bytes each, stands where the next one is, or 0."""
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, first)
        (second,) = struct.unpack_from(f"{order}I", data, first + 2 + 12 * entries)
    except struct.error:
        return False
    return bool(second)


log = logging.getLogger(__name__)

SUFFIXES = (
    *(".avif", ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Of images that OpenCV reads."""


class ImagesSource:
    """One image or a folder of images, sorted the way people count: ``2.png`` before ``10.png``.

    With ``loop`` the folder starts again at its end and ``seq`` goes on rising. ``stamp.media_s`` is ``seq / fps``
    where a rate is set, else None. An image that cannot be used is left out, ``seq`` then has a gap, and SourceError
    names it after the last one (of a single file: what ``read_image`` raises). Entering raises SourceError for a
    path without images.
    """

    def __init__(self, settings: ImagesCamera) -> None:
        self._settings = settings
        self._paths: list[Path] = []
        self._remarked: set[str] = set()

    def __enter__(self) -> Self:
        self._paths = images_at(Path(self._settings.path).expanduser())
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is held open; the paths stay, because later stages name their files after them."""

    @property
    def count(self) -> int:
        """Images of one turn; 0 before it is opened."""
        return len(self._paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in the order in which they are read."""
        return tuple(self._paths)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        settings, pacer, bad = self._settings, Pacer(stopping), list[DepthStreamError]()
        for seq in count() if settings.loop else range(len(self._paths)):
            if seq and seq % len(self._paths) == 0:
                self._raise_any(bad)
            media_s = None if settings.fps is None else seq / settings.fps
            if stopping.is_set() or (media_s is not None and not pacer.wait_until(media_s)):
                return
            try:
                image = read_image(self._paths[seq % len(self._paths)], self._remark)
            except (SourceError, ImageError) as error:
                bad.append(error)
                continue
            yield Frame(image, settings.name, seq, Stamp.now("file", media_s))
        self._raise_any(bad)

    def _raise_any(self, bad: list[DepthStreamError]) -> None:
        if bad and self.count == 1:
            raise bad[0]
        if bad:
            raise SourceError(f"{len(bad)} of {self.count} images cannot be used: {bad[0]}") from bad[0]

    def _remark(self, path: Path, what: str) -> None:
        """Once for all images of a kind: a folder may hold thousands of them."""
        kind = what.partition(":")[0].rstrip("0123456789")
        if kind not in self._remarked:
            self._remarked.add(kind)
            log.warning("%s: %s%s", path, what, "; others like it are not named" if self.count > 1 else "")

    def describe(self) -> str:
        images = f": {self.count} image{'s' if self.count != 1 else ''}" if self._paths else ""
        return f"images {self._settings.path}{images}"


def _say(path: Path, what: str) -> None:
    log.warning("%s: %s", path, what)


def read_image(path: Path, remark: Callable[[Path, str], None] = _say) -> Image:
    """(H, W, 3) uint8 BGR, read-only, turned as its EXIF says.

    Gray becomes three equal channels; transparency is dropped, the colour under it stays; 16-bit values keep their high
    byte, so that full scale stays full scale. ``remark`` is told of what may surprise: several images in one file,
    16-bit values that are all small. Raises SourceError for a file that cannot be read or is no image (float TIFFs
    among them), ImageError for one with a side below 8 px or above 16384 px; the size is known only after decoding,
    which OpenCV refuses beyond 2^30 pixels.
    """
    import cv2

    try:
        data = np.fromfile(path, np.uint8)  # imdecode, because imread fails on some paths that are not ASCII
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}; check the path and your right to read it"
        ) from error
    if data.size == 0:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy it again")
    try:
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:  # more than 2^30 pixels
        raise ImageError(f"{path}: too large to decode: scale it down to {MAX_SIDE_PX} px a side first") from error
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise SourceError(f"{path}: not an image with 8 or 16 bits, or damaged; known: {' '.join(SUFFIXES)}")
    if holds_several(data.tobytes()):
        remark(path, ONLY_THE_FIRST)
    if decoded.dtype == np.uint16:
        if what := twelve_bits(decoded):
            remark(path, what)
        decoded = (decoded >> 8).astype(np.uint8)
    image = cast(Image, decoded)
    check_image(image, str(path))
    image.flags.writeable = False
    return image


def images_at(path: Path) -> list[Path]:
    """The image, or those in a folder, sorted. Raises SourceError if there are none, or none that may be read."""
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
    return sorted(found, key=lambda child: _natural(child.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts digits by value and letters without case; the name itself decides between "1" and "01"."""
    parts = re.split(r"([0-9]+)", name)
    keys = [(0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in parts if part]
    return [*keys, (2, 0, name)]
