"""Ray casting: which surface each pixel sees and how far away it is, exact up to float32.

Rays and shapes meet in the shape's local frame. An affine map keeps the ray parameter, and camera rays have z = 1 in
the optical frame, so the parameter of a camera ray *is* the depth along the optical axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from stream.scenes.renderer.packing import PackedScenes
from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.vectors import Triple, along, dot
from stream.scenes.renderer.windows import NEAR_M

SKY = -1
"""Surface id of the sky."""
FLOOR = 4
"""Index of the floor among the environment's faces: behind, ahead, right, left, floor, ceiling."""
ALMOST_INFINITE = 1e30
"""Bound of 1 / direction, so that a ray along a slab gives large numbers instead of NaN."""

Interval: TypeAlias = tuple[Tensor, Tensor]
"""(enter, leave): the ray parameters between which a ray is inside a unit shape; it hits if enter < leave."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The surface that each pixel of B images sees."""

    distance: Tensor
    """(B, H, W) float32, metres along the optical axis; finite everywhere, for sky the environment's far wall."""
    entry: Tensor
    """(B, H, W) int64: column of the packed table, which is a slot or slot_count + face."""
    sky: Tensor
    """(B, H, W) bool."""

    @property
    def depth(self) -> Tensor:
        """(B, H, W) float32, metres along the optical axis; +inf for sky."""
        return self.distance.masked_fill(self.sky, torch.inf)

    @property
    def surface_id(self) -> Tensor:
        """(B, H, W) int64: the entry, or SKY."""
        return self.entry.masked_fill(self.sky, SKY)


def cast_rays(packed: PackedScenes) -> Hits:
    """Follow one ray through the centre of every pixel and keep the nearest surface."""
    distance, face = _environment(packed)
    entry = face + packed.slot_count
    for patches in packed.visible:
        rays = packed.rays(patches.select(packed.ray_to_local), patches)
        enter, leave = INTERVALS[packed.shapes[patches.slots[0]]](patches.triple(packed.origin), rays)
        # a ray that starts inside of a shape enters behind the camera: such shapes stay invisible
        reached = torch.where((enter < leave) & (enter > NEAR_M), enter, torch.inf)
        for slot, patch_depth, (nearest, nearest_entry) in patches.crops(reached, distance, entry):
            nearest_entry.masked_fill_(patch_depth < nearest, slot)
            torch.minimum(nearest, patch_depth, out=nearest)
    sky = packed.has_sky[:, None, None] & (entry >= packed.slot_count) & (entry != packed.slot_count + FLOOR)
    return Hits(distance, entry, sky)


def box_interval(origin: Triple, direction: Triple) -> Interval:
    """Intersect three slabs: the ray enters at the last of three planes and leaves at the first of the opposite ones.

    Here and below, origins and directions broadcast: camera rays share an origin, shadow rays share a direction.
    """
    (enter_x, leave_x), (enter_y, leave_y), (enter_z, leave_z) = (
        _slab(o, d) for o, d in zip(origin, direction, strict=True)
    )
    enter = torch.maximum(torch.maximum(enter_x, enter_y), enter_z)
    return enter, torch.minimum(torch.minimum(leave_x, leave_y), leave_z)


def ellipsoid_interval(origin: Triple, direction: Triple) -> Interval:
    """Start from the ray's point nearest to the centre, which keeps far and small balls exact in float32.

    Haines et al., "Precision improvements for ray/sphere intersection", Ray Tracing Gems, 2019, chapter 7.
    """
    inverse_square = dot(direction, direction).reciprocal()
    nearest = -dot(direction, origin) * inverse_square
    offset = along(origin, direction, nearest)
    return _symmetric(nearest, (1 - dot(offset, offset)) * inverse_square)


def cylinder_interval(origin: Triple, direction: Triple) -> Interval:
    """Intersect the endless cylinder about z with the slab between the caps."""
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    # The clamp is for rays along the axis, which would give 0 * infinity, NaN.
    inverse_square = torch.addcmul(dx * dx, dy, dy).clamp_min(1e-12).reciprocal()
    nearest = -torch.addcmul(dx * ox, dy, oy) * inverse_square
    offset_x, offset_y = torch.addcmul(ox, dx, nearest), torch.addcmul(oy, dy, nearest)
    distance_square = torch.addcmul(offset_x * offset_x, offset_y, offset_y)
    enter_side, leave_side = _symmetric(nearest, (1 - distance_square) * inverse_square)
    enter_cap, leave_cap = _slab(oz, dz)
    return torch.maximum(enter_side, enter_cap), torch.minimum(leave_side, leave_cap)


INTERVALS: dict[Shape, Callable[[Triple, Triple], Interval]] = {
    Shape.BOX: box_interval,
    Shape.ELLIPSOID: ellipsoid_interval,
    Shape.CYLINDER: cylinder_interval,
}
"""Shape -> function from a ray's origin and direction, both in the shape's local frame, to its interval."""


def _slab(origin: Tensor, direction: Tensor) -> Interval:
    """The interval of one axis. A ray along the slab is inside almost everywhere or never; no NaN arises."""
    inverse = direction.reciprocal().clamp(-ALMOST_INFINITE, ALMOST_INFINITE)
    middle, reach = -origin * inverse, inverse.abs()
    return middle - reach, middle + reach


def _symmetric(nearest: Tensor, half_square: Tensor) -> Interval:
    """The interval of half length sqrt(``half_square``) around ``nearest``; a miss gives enter == leave."""
    # clamping first: the root of a negative number is ten times slower than that of a zero
    half = half_square.clamp_min(0).sqrt()
    return nearest - half, nearest + half


def _environment(packed: PackedScenes) -> tuple[Tensor, Tensor]:
    """Distance (B, H, W) to the inside of the environment's box, and the index of the face that is hit."""
    distance, face = None, None
    low, high, position = _columns(packed.low), _columns(packed.high), _columns(packed.position)
    for axis, direction in enumerate(packed.world_rays()):
        positive = direction > 0
        wall = torch.where(positive, high[axis], low[axis])
        reach = ((wall - position[axis]) / direction).abs()  # a ray along the wall: infinity, never minus infinity
        face_index = positive.long() + 2 * axis
        if distance is None or face is None:
            distance, face = reach, face_index
            continue
        nearer = reach < distance
        distance, face = torch.where(nearer, reach, distance), torch.where(nearer, face_index, face)
    assert distance is not None
    assert face is not None
    return distance, face


def _columns(vectors: Tensor) -> Triple:
    """(B, 3) as three tensors (B, 1, 1) that broadcast over images."""
    x, y, z = vectors[:, :, None, None].unbind(1)
    return x, y, z
