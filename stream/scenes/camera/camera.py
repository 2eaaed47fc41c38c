"""The pinhole camera of a scene, with exact intrinsics and an exact pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Intrinsics, Size
from stream.scenes.renderer.vectors import Matrix


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that looks along the world's x when all angles are 0."""

    position: tuple[float, float, float] = (0.0, 0.0, 1.5)
    """x (ahead), y (left), z (up) in the world, metres."""
    yaw_rad: float = 0.0
    """Positive angles look to the left."""
    pitch_rad: float = 0.0
    """Positive angles look up."""
    roll_rad: float = 0.0
    """Positive angles turn the camera clockwise, seen from behind."""
    field_of_view_rad: float = math.radians(60)
    """Horizontal, from the left edge of the leftmost pixel to the right edge of the rightmost."""

    def axes(self) -> Matrix:
        """(3, 3): the columns are right, down and ahead (the optical frame of REP 103) in the world."""
        cos_yaw, sin_yaw = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        cos_pitch, sin_pitch = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        ahead = np.array([cos_pitch * cos_yaw, cos_pitch * sin_yaw, sin_pitch])
        level_right = np.array([sin_yaw, -cos_yaw, 0.0])
        level_down = np.cross(ahead, level_right)
        right = math.cos(self.roll_rad) * level_right + math.sin(self.roll_rad) * level_down
        return np.stack([right, np.cross(ahead, right), ahead], axis=1)

    def pose(self) -> NDArray[np.float64]:
        """(4, 4) float64: transform from the optical frame (x right, y down, z ahead, metres) to the world."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.axes(), self.position
        return pose

    def intrinsics(self, size: Size) -> Intrinsics:
        """Intrinsics for images of ``size``: square pixels, principal point in the middle."""
        focal_px = size.width / 2 / math.tan(self.field_of_view_rad / 2)
        # Pixel centres have whole coordinates, so the image begins at -0.5 and its middle is (width - 1) / 2.
        return Intrinsics(focal_px, focal_px, (size.width - 1) / 2, (size.height - 1) / 2, size, calibrated=True)
