"""The depth at one point of a depth map, as a number and as text for people."""

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
    """Metres if ``kind`` is metric, else without unit; None where unknown or infinitely far."""
    kind: Kind
    unit: Unit
    text: str
    """The same for people: "2.31 m", "2.31 m (a guess)", "0.82, relative: larger is nearer"."""


@dataclass(frozen=True, slots=True)
class ProbeableDepth:
    """The part of a depth map that probes need. Without the image, it can be kept longer than the view itself."""

    seq: int
    depth: Floats
    """(H, W) float32, NaN where unknown."""
    kind: Kind
    unit: Unit
    caveat: str
    """Why the number should not be trusted, as in "a guess"; empty for none."""

    @classmethod
    def of(cls, depth_map: DepthMap) -> Self:
        is_guess = depth_map.scale_guessed and depth_map.kind == "metric"
        caveat = "random weights: means nothing" if depth_map.weights == "random" else "a guess" if is_guess else ""
        return cls(depth_map.frame.seq, depth_map.depth, depth_map.kind, depth_map.unit, caveat)

    def at(self, x: float, y: float) -> Probe:
        """Read the pixel that contains the point ``x`` (0: left edge, 1: right edge), ``y`` (0: top, 1: bottom)."""
        height, width = self.depth.shape
        value = float(self.depth[_index(y, height), _index(x, width)])
        return Probe(value if math.isfinite(value) else None, self.kind, self.unit, self._text(value))

    def _text(self, value: float) -> str:
        if not math.isfinite(value):
            # Infinite inverse depth would be a point at the camera, which is as good as unknown.
            return "infinitely far" if value == math.inf and self.kind != "relative_inverse" else "not known here"
        number = f"{value:.2f} m" if self.unit == "m" else _three_digits(value) + _MEANING[self.kind]
        return f"{number} ({self.caveat})" if self.caveat else number


def _three_digits(value: float) -> str:
    """About three significant digits: one network's relative depths are about 0.05, another one's 2300."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _index(fraction: float, count: int) -> int:
    return min(max(int(fraction * count), 0), count - 1)  # 1.0, the right or lower edge, is in the last pixel
