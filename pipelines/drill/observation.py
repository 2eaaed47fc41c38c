"""What the product side of a drill tells the drill: values that travel as one JSON object per line.

All times are CLOCK_MONOTONIC of this machine, nanoseconds, which compare between processes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from stream.core.clock import StampSource
from stream.frames import Image, Integrity


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that reached the consumer."""

    camera: str
    at_ns: int
    """When the consumer got it."""
    seq: int
    stamp_ns: int
    """Its capture as the product claims it."""
    source: StampSource
    media_s: float | None
    integrity: Integrity
    number: int | None
    """The number that the test camera painted into it; None if there is none to be read."""
    digest: int
    """CRC-32 of its pixels."""

    @property
    def stamped_age_s(self) -> float:
        """Its age on arrival at the consumer, as the product claims it."""
        return (self.at_ns - self.stamp_ns) / 1e9


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that was counted as dropped."""

    camera: str
    at_ns: int
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A camera's state changed."""

    camera: str
    at_ns: int
    state: str
    """live, lost, or refused (the user or the password is wrong)."""
    trouble: str
    """Why it is not live; empty if it is."""


@dataclass(frozen=True, slots=True)
class ClockFault:
    """The product said what is wrong with a camera's clock; empty: nothing any more."""

    camera: str
    at_ns: int
    fault: str


@dataclass(frozen=True, slots=True)
class Standstill:
    """A thread that wanted to wake up did not get a core in time."""

    at_ns: int
    """When it woke up."""
    late_ns: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The product side has loaded everything and opens its cameras now."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the product side, bytes."""

    at_ns: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The product side was asked to stop, and all its cameras have ended."""

    at_ns: int
    stop_s: float
    """From the wish to the end of the last camera."""
    threads: tuple[str, ...]
    """Names of the threads that are left."""
    files: tuple[str, ...]
    """What the file descriptors are that are open, but were not before the cameras were opened."""


Observation: TypeAlias = Shown | LeftOut | Changed | ClockFault | Standstill | Ready | Memory | Ended

_KINDS: Mapping[str, type[Observation]] = {
    kind.__name__: kind for kind in (Shown, LeftOut, Changed, ClockFault, Standstill, Ready, Memory, Ended)
}


def digest(image: Image) -> int:
    """CRC-32 of an image's pixels, by which the same image is known again in another process."""
    return zlib.crc32(image.data)


def to_line(observation: Observation) -> str:
    """One line of JSON, without the line's end."""
    return json.dumps({"kind": type(observation).__name__, **asdict(observation)})


def from_line(line: str) -> Observation:
    """The observation of one line; raises ValueError for anything else."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("kind")]
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return kind(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no observation: {line[:200]!r}") from error
