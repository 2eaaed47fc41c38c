"""The interface that the Video4Linux and the OpenCV reader of webcams share."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stream.core.clock import Stamp
from stream.frames import Image, Integrity, Size


class NegotiatedFormat(NamedTuple):
    """The size, rate and pixel format that the camera really delivers."""

    size: Size
    fps: float
    """Frames per second; 0: the camera does not report it."""
    pixel_format: str
    """FFmpeg's name; empty: the camera does not report it."""

    def __str__(self) -> str:
        rate = f"{self.fps:.3g} fps" if self.fps else "an unknown rate"
        return ", ".join(fact for fact in (str(self.size), rate, self.pixel_format) if fact)


class CapturedImage(NamedTuple):
    """One image with its time and integrity."""

    image: Image | None
    """(H, W, 3) uint8 BGR, contiguous, read-only; None: left out because a newer one was there already."""
    stamp: Stamp
    integrity: Integrity


class WebcamReader(Protocol):
    """An open webcam, for one thread at a time."""

    path: str
    name: str
    """The camera's own name; empty if the system does not report it."""
    negotiated: NegotiatedFormat

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last errors and warnings of driver and decoder, at most ten."""
        ...

    def discard_buffered(self) -> None:
        """Discard the images that the driver captured before the first read. Raises SourceError."""

    def read(self, timeout_s: float) -> CapturedImage | None:
        """The next image; None if none came in time or it cannot be decoded. Raises SourceError."""
        ...

    def close(self) -> None: ...
