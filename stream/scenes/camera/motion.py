"""Endless smooth motion. Every position is a function of time alone, so any moment can be rendered by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.vectors import Vector, vector
from stream.scenes.scene import Point

AHEAD_S, SIDEWAYS_S, UP_S, YAW_S, PITCH_S, ROLL_S = 26.0, 17.0, 7.0, 21.0, 13.0, 11.0
"""Periods of the camera's swings in seconds, without a small common multiple, so that views do not repeat for long."""


@dataclass(frozen=True, slots=True)
class Sway:
    """A camera that drifts inside a small box and turns a little."""

    center: Point
    """Centre of the box, metres, world."""
    reach: Point
    """Largest distance from the centre ahead, sideways and up, metres."""
    pitch_rad: float
    """Mean pitch; positive angles look up."""
    field_of_view_rad: float
    """Horizontal."""
    yaw_swing_rad: float = math.radians(7)
    """Largest turn to either side."""
    pitch_swing_rad: float = math.radians(1.5)
    """Largest difference from ``pitch_rad``."""
    roll_swing_rad: float = math.radians(0.6)
    """Largest roll to either side."""
    phase: float = 0.0
    """Start angle of each swing, in radians per second of its period."""

    def stopped(self) -> Sway:
        """The same camera on a tripod, at the centre of its box."""
        return replace(self, reach=(0.0, 0.0, 0.0), yaw_swing_rad=0.0, pitch_swing_rad=0.0, roll_swing_rad=0.0)

    def at(self, time_s: float) -> Camera:
        """The camera ``time_s`` seconds after the start."""
        x, y, z = (
            middle + reach * self._wave(time_s, period_s)
            for middle, reach, period_s in zip(self.center, self.reach, (AHEAD_S, SIDEWAYS_S, UP_S), strict=True)
        )
        return Camera(
            (x, y, z),
            self.yaw_swing_rad * self._wave(time_s, YAW_S),
            self.pitch_rad + self.pitch_swing_rad * self._wave(time_s, PITCH_S),
            self.roll_swing_rad * self._wave(time_s, ROLL_S),
            self.field_of_view_rad,
        )

    def _wave(self, time_s: float, period_s: float) -> float:
        return math.sin(2 * math.pi * time_s / period_s + self.phase * period_s)


@dataclass(frozen=True, slots=True)
class EllipticPath:
    """An endless walk around a long ellipse on the floor: across the view, and back a little nearer."""

    center: Point
    """Centre of the ellipse, metres, world."""
    half_depth_m: float
    """Semi-axis along x."""
    half_width_m: float
    """Semi-axis along y."""
    period_s: float
    """Time of one round."""
    phase: float = 0.0
    """Angle at time 0, radians; 0 is the middle of the far side, moving left."""

    def position(self, time_s: float) -> Vector:
        """(3,) float64, metres, world."""
        angle = self._angle(time_s)
        x, y, z = self.center
        return vector(x + self.half_depth_m * math.cos(angle), y + self.half_width_m * math.sin(angle), z)

    def heading_rad(self, time_s: float) -> float:
        """Direction of the walk, for objects that face x."""
        angle = self._angle(time_s)
        return math.atan2(self.half_width_m * math.cos(angle), -self.half_depth_m * math.sin(angle))

    def distance_m(self, time_s: float) -> float:
        """Distance walked since angle 0, to within a few percent for a long ellipse: four half widths per round."""
        return 4 * self.half_width_m * self._angle(time_s) / (2 * math.pi)

    def _angle(self, time_s: float) -> float:
        return self.phase + 2 * math.pi * time_s / self.period_s
