"""What a system's own interface to a camera gives: the same for Video4Linux and for OpenCV."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stream.core.clock import Stamp
from stream.frames import Image, Integrity, Size


class Given(NamedTuple):
    """What the camera really gives."""

    size: Size
    fps: float
    """0: it does not say."""
    pixel_format: str
    """FFmpeg's name; empty: it does not say."""

    def __str__(self) -> str:
        rate = f"{self.fps:.3g} fps" if self.fps else "an unknown rate"
        return ", ".join(fact for fact in (str(self.size), rate, self.pixel_format) if fact)


class Taken(NamedTuple):
    """An image."""

    image: Image
    """(H, W, 3) uint8 BGR, contiguous, read-only."""
    stamp: Stamp
    integrity: Integrity


class WebcamReader(Protocol):
    """An open camera, for one thread at a time."""

    path: str
    name: str
    """Its own; empty where the system does not say."""
    given: Given

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last complaints of driver and decoder, at most ten."""
        ...

    def skip_waiting(self) -> None:
        """Leave out the images that were taken while nobody read. Raises SourceError."""

    def read(self, timeout_s: float) -> Taken | None:
        """The next image; None if there was none in time, or one that cannot be shown. Raises SourceError."""
        ...

    def close(self) -> None: ...
