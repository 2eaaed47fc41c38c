"""The description of a scene: primitives in a room or on a plain under a sky, a light and a camera.

Plain values without tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.primitives import Colour, Material, Primitive

FAR_M = 1e4
"""Distance at which an outdoor environment ends; it appears as sky, or as the end of the ground."""

Point = tuple[float, float, float]
"""x, y, z in metres, world."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The inside of an axis-aligned box around the camera: a room, or the ground and the sky."""

    low: Point
    """Lower corner; the floor is at z = 0."""
    high: Point
    """Upper corner."""
    faces: tuple[Material, Material, Material, Material, Material, Material]
    """Materials of the faces behind, ahead, right, left, floor and ceiling (x-, x+, y-, y+, z-, z+)."""
    sky: bool
    """True if every face but the floor is sky (depth +inf)."""


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a scene. It does not change while the camera moves, so nothing flickers."""

    sun_toward: Point
    """Unit vector from the ground to the sun, world."""
    sun: Colour = (2.2, 2.0, 1.7)
    """Linear colour and strength of the sunlight."""
    ambient: Colour = (0.55, 0.62, 0.75)
    """Linear colour and strength of the light from all sides."""
    lamp_at: Point = (0.0, 0.0, 2.0)
    """Position of the point light."""
    lamp: Colour = (0.0, 0.0, 0.0)
    """Linear colour and strength of the point light; 0 turns it off."""
    lamp_reach_m: float = 2.0
    """Distance at which the point light has half of the strength it has at its position."""
    horizon: Colour = (0.75, 0.82, 0.9)
    """Linear colour of the sky at the horizon."""
    zenith: Colour = (0.18, 0.38, 0.75)
    """Linear colour of the sky overhead."""
    clouds: float = 0.0
    """0 for no clouds; 1 for white where the cloud texture is bright."""
    cloud_texture: int = 0
    """Index of the cloud texture in the atlas."""
    haze_per_m: float = 0.0
    """Share of the light that each metre of air replaces by the sky's colour; outdoors only."""
    exposure: float | None = None
    """Factor of the light before the tone curve; None chooses it for each image from its mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One moment in time; ``dataclasses.replace`` the camera or the primitives for the next one."""

    primitives: tuple[Primitive, ...]
    environment: Environment
    light: Light
    camera: Camera
