"""Where a ray is inside a unit shape: the pair (enter, leave) of ray parameters; it hits if enter < leave.

Ray and shape are in the shape's local frame. An affine map keeps the ray parameter, and camera rays have z = 1 in the
optical frame, so the parameter of a camera ray *is* the depth along the optical axis. Origins and directions broadcast:
camera rays share an origin, shadow rays share a direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.triples import Triple, along, dot

Interval: TypeAlias = tuple[Tensor, Tensor]

ALMOST_INFINITE = 1e30


def box_interval(origin: Triple, direction: Triple) -> Interval:
    """Slabs: in at the last of three planes, out at the first of the three opposite ones."""
    (enter_x, leave_x), (enter_y, leave_y), (enter_z, leave_z) = (
        _slab(o, d) for o, d in zip(origin, direction, strict=True)
    )
    enter = torch.maximum(torch.maximum(enter_x, enter_y), enter_z)
    return enter, torch.minimum(torch.minimum(leave_x, leave_y), leave_z)


def ellipsoid_interval(origin: Triple, direction: Triple) -> Interval:
    """From the ray's point nearest to the centre, which keeps far and small balls exact in float32.

    Haines et al., "Precision improvements for ray/sphere intersection", Ray Tracing Gems, 2019, chapter 7.
    """
    inverse_square = dot(direction, direction).reciprocal()
    nearest = -dot(direction, origin) * inverse_square
    offset = along(origin, direction, nearest)
    return _around(nearest, (1 - dot(offset, offset)) * inverse_square)


def cylinder_interval(origin: Triple, direction: Triple) -> Interval:
    """The endless cylinder about z, cut by the slab between the caps."""
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    inverse_square = torch.addcmul(dx * dx, dy, dy).clamp_min(1e-12).reciprocal()
    nearest = -torch.addcmul(dx * ox, dy, oy) * inverse_square
    offset_x, offset_y = torch.addcmul(ox, dx, nearest), torch.addcmul(oy, dy, nearest)
    distance_square = torch.addcmul(offset_x * offset_x, offset_y, offset_y)
    enter_side, leave_side = _around(nearest, (1 - distance_square) * inverse_square)
    enter_cap, leave_cap = _slab(oz, dz)
    return torch.maximum(enter_side, enter_cap), torch.minimum(leave_side, leave_cap)


INTERVALS: dict[Shape, Callable[[Triple, Triple], Interval]] = {
    Shape.BOX: box_interval,
    Shape.ELLIPSOID: ellipsoid_interval,
    Shape.CYLINDER: cylinder_interval,
}


def _slab(origin: Tensor, direction: Tensor) -> Interval:
    """A ray along the slab is inside from almost -infinity to almost infinity, or never: no NaN arises."""
    inverse = direction.reciprocal().clamp(-ALMOST_INFINITE, ALMOST_INFINITE)
    middle, reach = -origin * inverse, inverse.abs()
    return middle - reach, middle + reach


def _around(nearest: Tensor, half_square: Tensor) -> Interval:
    """A miss gives one point, enter == leave (the root of a negative number is ten times slower than of a zero)."""
    half = half_square.clamp_min(0).sqrt()
    return nearest - half, nearest + half
