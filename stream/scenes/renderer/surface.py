"""The surface under each pixel: where, which way it faces, and where on its texture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stream.scenes.renderer.packing import HALF, OFFSET, PHASE, REPEATS, TO_LOCAL, Packed
from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.raycast import Hits
from stream.scenes.renderer.triples import Triple, along, dot, unit


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """All (B, H, W) float32 unless said otherwise."""

    point: Triple
    """Metres, world."""
    ray: Triple
    """Unit vector from the camera, world."""
    normal: Triple
    """Unit vector out of the surface, world."""
    looks: Tensor
    """(B, ROWS, H, W): the packed table's column of each pixel."""
    u: Tensor
    """Place on the texture, in repeats."""
    v: Tensor
    in_primitive: Tensor
    """bool: False on the environment."""


def surface(packed: Packed, hits: Hits) -> Surface:
    """Look up what ``hits`` found."""
    B, H, W = hits.entry.shape
    rows = packed.table.shape[1]
    looks = packed.table.gather(2, hits.entry.view(B, 1, -1).expand(-1, rows, -1)).view(B, rows, H, W)
    rays = packed.world_rays()
    x, y, z = packed.position[:, :, None, None].unbind(1)
    point = along((x, y, z), rays, hits.distance)
    local = _local(looks, point)
    facing = _local_normal(packed, hits.entry, local)
    u, v = _texture_place(_kinds(packed, hits.entry), looks, local, facing)
    return Surface(
        point, unit(rays), unit(_to_world(looks, facing)), looks, u, v, in_primitive=hits.entry < packed.slots
    )


def _local(looks: Tensor, point: Triple) -> Triple:
    m, shift = looks[:, TO_LOCAL].unbind(1), looks[:, OFFSET].unbind(1)
    x, y, z = (dot((m[3 * i], m[3 * i + 1], m[3 * i + 2]), point) + shift[i] for i in range(3))
    return x, y, z


def _to_world(looks: Tensor, normal: Triple) -> Triple:
    """Normals go by the transpose of the matrix that brings points to the local frame."""
    m = looks[:, TO_LOCAL].unbind(1)
    x, y, z = (dot((m[i], m[3 + i], m[6 + i]), normal) for i in range(3))
    return x, y, z


def _kinds(packed: Packed, entry: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the entry is an ellipsoid, and whether it is a cylinder: slots are in the order of the shapes."""
    boxes = packed.shapes.count(Shape.BOX)
    round_end = boxes + packed.shapes.count(Shape.ELLIPSOID)
    return (entry >= boxes) & (entry < round_end), (entry >= round_end) & (entry < packed.slots)


def _local_normal(packed: Packed, entry: Tensor, local: Triple) -> Triple:
    """Not of unit length. A box by its largest coordinate, a cylinder's cap where |z| is more than the radius."""
    x, y, z = local
    is_ball, is_cylinder = _kinds(packed, entry)
    ax, ay, az = x.abs(), y.abs(), z.abs()
    on_cap = az * az > torch.addcmul(x * x, y, y)
    on_z = torch.where(is_cylinder, on_cap, (az >= ax) & (az >= ay))
    keep_x = is_ball | (~on_z & (is_cylinder | (ax >= ay)))
    keep_y = is_ball | (~on_z & (is_cylinder | (ax < ay)))
    face = entry - packed.slots
    inside = face >= 0
    sign = (1 - 2 * (face % 2)).to(x.dtype)
    axis = torch.div(face, 2, rounding_mode="floor")
    return (
        torch.where(inside, sign * (axis == 0), x * keep_x),
        torch.where(inside, sign * (axis == 1), y * keep_y),
        torch.where(inside, sign * (axis == 2), z * (is_ball | on_z)),
    )


def _texture_place(kinds: tuple[Tensor, Tensor], looks: Tensor, local: Triple, facing: Triple) -> tuple[Tensor, Tensor]:
    """Metres along the flattest two axes times repeats; round sides are wrapped a whole number of times."""
    half, repeats = looks[:, HALF].unbind(1), looks[:, REPEATS]
    x, y, z = local[0] * half[0], local[1] * half[1], local[2] * half[2]
    ax, ay, az = (component.abs() for component in facing)
    along_x, along_z = (ax >= ay) & (ax >= az), (az > ax) & (az > ay)
    u, v = torch.where(along_x, y, x), torch.where(along_z, y, z)
    is_ball, is_cylinder = kinds
    wrapped = is_ball | (is_cylinder & ~along_z)
    turns = (math.pi * (half[0] + half[1]) * repeats).round().clamp_min(1)
    angle = torch.atan2(local[1], local[0]) / (2 * math.pi)
    u = torch.where(wrapped, angle * turns, u * repeats)
    v = torch.where(wrapped, z, v) * repeats
    phase_u, phase_v = looks[:, PHASE].unbind(1)
    return u + phase_u, phase_v - v
