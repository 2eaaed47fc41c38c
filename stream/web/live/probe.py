"""The depth under somebody's pointer, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from stream.frames import DepthMap, Floats, Kind, Unit

_MEANING: dict[Kind, str] = {
    "metric": "",
    "relative_inverse": ", relative: larger is nearer",
    "relative": ", relative: larger is farther",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One point of one depth map."""

    depth: float | None
    """Metres if ``kind`` is metric, else without unit; None where unknown, or infinitely far."""
    kind: Kind
    unit: Unit
    words: str
    """The same for people: "2.31 m", "2.31 m (a guess)", "0.82, relative: larger is nearer"."""


@dataclass(frozen=True, slots=True)
class Readable:
    """What probes need of a depth map, without its image: kept for longer than the view itself."""

    seq: int
    depth: Floats
    """(H, W) float32, NaN where unknown."""
    kind: Kind
    unit: Unit
    doubt: str
    """Why not to believe the number: "a guess"; empty for none."""

    @classmethod
    def of(cls, depth_map: DepthMap) -> Self:
        is_guess = depth_map.scale_guessed and depth_map.kind == "metric"
        doubt = "random weights: means nothing" if depth_map.weights == "random" else "a guess" if is_guess else ""
        return cls(depth_map.frame.seq, depth_map.depth, depth_map.kind, depth_map.unit, doubt)

    def at(self, x: float, y: float) -> Probe:
        """At ``x`` (0: left edge, 1: right edge) and ``y`` (0: top, 1: bottom), the pixel that the point lies in."""
        height, width = self.depth.shape
        value = float(self.depth[_index(y, height), _index(x, width)])
        return Probe(value if math.isfinite(value) else None, self.kind, self.unit, self._words(value))

    def _words(self, value: float) -> str:
        if not math.isfinite(value):
            return "infinitely far" if value == math.inf and self.kind != "relative_inverse" else "not known here"
        number = f"{value:.2f} m" if self.unit == "m" else _digits(value) + _MEANING[self.kind]
        return f"{number} ({self.doubt})" if self.doubt else number


def _digits(value: float) -> str:
    """About three that count; networks of one kind give 0.05, those of another 2300."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _index(share: float, count: int) -> int:
    return min(max(int(share * count), 0), count - 1)
