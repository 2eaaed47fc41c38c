"""The surface under each pixel: its position, its normal and its texture coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stream.scenes.renderer.packing import HALF, OFFSET, PHASE, REPEATS, TO_LOCAL, PackedScenes
from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.raycast import Hits
from stream.scenes.renderer.vectors import Triple, along, dot, unit


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What the pixels of B images show; all (B, H, W) float32 unless noted otherwise."""

    point: Triple
    """Position, metres, world."""
    ray: Triple
    """Unit vector from the camera, world."""
    normal: Triple
    """Unit vector out of the surface, world."""
    attributes: Tensor
    """(B, ROWS, H, W): the column of the packed table for each pixel."""
    u: Tensor
    """Horizontal texture coordinate, in repeats."""
    v: Tensor
    """Vertical texture coordinate, in repeats."""
    in_primitive: Tensor
    """(B, H, W) bool: False on the environment."""


def look_up_surface(packed: PackedScenes, hits: Hits) -> Surface:
    """Look up the attributes of the surfaces in ``hits``, and compute normals and texture coordinates."""
    B, H, W = hits.entry.shape
    rows = packed.table.shape[1]
    attributes = packed.table.gather(2, hits.entry.view(B, 1, -1).expand(-1, rows, -1)).view(B, rows, H, W)
    rays = packed.world_rays()
    x, y, z = packed.position[:, :, None, None].unbind(1)
    point = along((x, y, z), rays, hits.distance)
    local = _local(attributes, point)
    facing = _local_normal(packed, hits.entry, local)
    u, v = _texture_coordinates(_kinds(packed, hits.entry), attributes, local, facing)
    return Surface(
        point,
        unit(rays),
        unit(_to_world(attributes, facing)),
        attributes,
        u,
        v,
        in_primitive=hits.entry < packed.slot_count,
    )


def _local(attributes: Tensor, point: Triple) -> Triple:
    """World points in the local frames of their primitives."""
    m, shift = attributes[:, TO_LOCAL].unbind(1), attributes[:, OFFSET].unbind(1)
    x, y, z = (dot((m[3 * i], m[3 * i + 1], m[3 * i + 2]), point) + shift[i] for i in range(3))
    return x, y, z


def _to_world(attributes: Tensor, normal: Triple) -> Triple:
    """World normals: they transform by the transpose of the matrix that takes points to the local frame."""
    m = attributes[:, TO_LOCAL].unbind(1)
    x, y, z = (dot((m[i], m[3 + i], m[6 + i]), normal) for i in range(3))
    return x, y, z


def _kinds(packed: PackedScenes, entry: Tensor) -> tuple[Tensor, Tensor]:
    """(B, H, W) bool masks of the ellipsoids and of the cylinders; slots are in the order of the shapes."""
    boxes = packed.shapes.count(Shape.BOX)
    round_end = boxes + packed.shapes.count(Shape.ELLIPSOID)
    return (entry >= boxes) & (entry < round_end), (entry >= round_end) & (entry < packed.slot_count)


def _local_normal(packed: PackedScenes, entry: Tensor, local: Triple) -> Triple:
    """Outward normals in the local frame, not of unit length.

    The largest coordinate decides the face of a box; a cylinder shows its cap where |z| exceeds the radius.
    """
    x, y, z = local
    is_ball, is_cylinder = _kinds(packed, entry)
    ax, ay, az = x.abs(), y.abs(), z.abs()
    # on the side of a cylinder x^2 + y^2 is 1, and |z| at most 1
    on_cap = az * az > torch.addcmul(x * x, y, y)
    on_z = torch.where(is_cylinder, on_cap, (az >= ax) & (az >= ay))
    keep_x = is_ball | (~on_z & (is_cylinder | (ax >= ay)))
    keep_y = is_ball | (~on_z & (is_cylinder | (ax < ay)))
    face = entry - packed.slot_count
    inside = face >= 0
    sign = (1 - 2 * (face % 2)).to(x.dtype)
    axis = torch.div(face, 2, rounding_mode="floor")
    return (
        torch.where(inside, sign * (axis == 0), x * keep_x),
        torch.where(inside, sign * (axis == 1), y * keep_y),
        torch.where(inside, sign * (axis == 2), z * (is_ball | on_z)),
    )


def _texture_coordinates(
    kinds: tuple[Tensor, Tensor], attributes: Tensor, local: Triple, facing: Triple
) -> tuple[Tensor, Tensor]:
    """Texture coordinates (u, v) in repeats: metres along the two axes most parallel to the surface, times repeats.

    Round sides are wrapped a whole number of times, so that the texture has no seam.
    """
    half, repeats = attributes[:, HALF].unbind(1), attributes[:, REPEATS]
    x, y, z = local[0] * half[0], local[1] * half[1], local[2] * half[2]
    ax, ay, az = (component.abs() for component in facing)
    along_x, along_z = (ax >= ay) & (ax >= az), (az > ax) & (az > ay)
    u, v = torch.where(along_x, y, x), torch.where(along_z, y, z)
    is_ball, is_cylinder = kinds
    wrapped = is_ball | (is_cylinder & ~along_z)
    # pi * (a + b) approximates an ellipse's circumference; it is exact for a circle.
    turns = (math.pi * (half[0] + half[1]) * repeats).round().clamp_min(1)
    angle = torch.atan2(local[1], local[0]) / (2 * math.pi)
    u = torch.where(wrapped, angle * turns, u * repeats)
    v = torch.where(wrapped, z, v) * repeats
    phase_u, phase_v = attributes[:, PHASE].unbind(1)
    return u + phase_u, phase_v - v
