"""A scene: things in a box or on a plain under a sky, lit, with a camera. Plain values, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.materials import Colour, Material
from stream.scenes.renderer.primitives import Primitive

FAR_M = 1e4
"""Where an outdoor environment ends; seen as sky, or as the last of the ground."""

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Environment:
    """The inside of an axis-aligned box that holds the camera: a room, or the ground and the sky."""

    low: Point
    """Metres; the floor is at z = 0."""
    high: Point
    faces: tuple[Material, Material, Material, Material, Material, Material]
    """Behind, ahead, right, left, floor, ceiling (x-, x+, y-, y+, z-, z+)."""
    sky: bool
    """Whether everything but the floor is sky (depth +inf)."""


@dataclass(frozen=True, slots=True)
class Light:
    """Light that does not change while the camera moves: nothing flickers."""

    sun_toward: Point
    """Unit vector from the ground to the sun, in the world."""
    sun: Colour = (2.2, 2.0, 1.7)
    ambient: Colour = (0.55, 0.62, 0.75)
    lamp_at: Point = (0.0, 0.0, 2.0)
    lamp: Colour = (0.0, 0.0, 0.0)
    """A point light; 0: none."""
    lamp_reach_m: float = 2.0
    """Where its light has fallen to half of the inverse-square law's start."""
    horizon: Colour = (0.75, 0.82, 0.9)
    zenith: Colour = (0.18, 0.38, 0.75)
    clouds: float = 0.0
    """0: none; 1: white where the cloud texture is bright."""
    cloud_texture: int = 0
    haze_per_m: float = 0.0
    """Share of the light lost in each metre of air, replaced by the horizon's colour; outdoors only."""
    exposure: float | None = None
    """Multiplies the light before the tone curve; None: chosen for each image from its mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One moment: ``dataclasses.replace`` the camera or the primitives for the next."""

    primitives: tuple[Primitive, ...]
    environment: Environment
    light: Light
    camera: Camera
