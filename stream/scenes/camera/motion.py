"""Endless smooth motion: everything is a function of the time alone, so any moment can be rendered by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.rotations import Vector, vector
from stream.scenes.scene import Point

DOLLY_S, SIDE_S, BOB_S, LOOK_S, NOD_S, LEAN_S = 26.0, 17.0, 7.0, 21.0, 13.0, 11.0
"""Periods of the camera's sways; without a common multiple nearby, so that the view does not repeat for long."""


@dataclass(frozen=True, slots=True)
class Sway:
    """A camera that drifts inside a small box and looks around a little."""

    center: Point
    reach: Point
    """Furthest it goes from the centre: ahead, aside, up; metres."""
    pitch_rad: float
    field_of_view_rad: float
    look_rad: float = math.radians(7)
    nod_rad: float = math.radians(1.5)
    lean_rad: float = math.radians(0.6)
    phase: float = 0.0
    """Where in all its sways it is at time 0, radians."""

    def stopped(self) -> Sway:
        """The same camera on a tripod, in the middle of its box."""
        return replace(self, reach=(0.0, 0.0, 0.0), look_rad=0.0, nod_rad=0.0, lean_rad=0.0)

    def at(self, time_s: float) -> Camera:
        x, y, z = (
            middle + reach * self._wave(time_s, period_s)
            for middle, reach, period_s in zip(self.center, self.reach, (DOLLY_S, SIDE_S, BOB_S), strict=True)
        )
        return Camera(
            (x, y, z),
            self.look_rad * self._wave(time_s, LOOK_S),
            self.pitch_rad + self.nod_rad * self._wave(time_s, NOD_S),
            self.lean_rad * self._wave(time_s, LEAN_S),
            self.field_of_view_rad,
        )

    def _wave(self, time_s: float, period_s: float) -> float:
        return math.sin(2 * math.pi * time_s / period_s + self.phase * period_s)


@dataclass(frozen=True, slots=True)
class Round:
    """A walk round and round a long ellipse on the floor: across the view, back a little nearer."""

    center: Point
    half_depth_m: float
    half_width_m: float
    period_s: float
    phase: float = 0.0
    """Angle at time 0, radians; 0 is the middle of the way to the left, on the far side."""

    def place(self, time_s: float) -> Vector:
        angle = self._angle(time_s)
        x, y, z = self.center
        return vector(x + self.half_depth_m * math.cos(angle), y + self.half_width_m * math.sin(angle), z)

    def heading_rad(self, time_s: float) -> float:
        """The direction of the walk, for things that face x."""
        angle = self._angle(time_s)
        return math.atan2(self.half_width_m * math.cos(angle), -self.half_depth_m * math.sin(angle))

    def walked_m(self, time_s: float) -> float:
        """The way behind it, to within a few percent of a long ellipse's length: four half widths a round."""
        return 4 * self.half_width_m * self._angle(time_s) / (2 * math.pi)

    def _angle(self, time_s: float) -> float:
        return self.phase + 2 * math.pi * time_s / self.period_s
