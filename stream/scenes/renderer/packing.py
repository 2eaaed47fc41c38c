"""Pack a batch of scenes into tensors: slots of primitives ordered by shape, then the environment's six faces.

Each slot is one column of a table that shading looks up per pixel. Scenes with fewer primitives than the largest one of
the batch are padded with specks far below the ground, which no ray hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream.frames import Size
from stream.scenes.renderer.primitives import WHITE, Material, Primitive, Shape
from stream.scenes.renderer.vectors import UPRIGHT, Triple, vector
from stream.scenes.renderer.windows import (
    Corners,
    Patches,
    ball_corners,
    box_corners,
    group_windows,
    image_windows,
    with_shadow_corners,
)
from stream.scenes.scene import Scene

TO_LOCAL, OFFSET, HALF = slice(0, 9), slice(9, 12), slice(12, 15)
"""Rows of the table: the matrix from world to unit shape, row by row; its offset; half sizes, metres."""
TEXTURE, REPEATS, CONTRAST, GLOSS, TINT = 15, 16, 17, 18, slice(19, 22)
"""Rows of the table: the fields of ``Material``."""
PHASE = slice(22, 24)
"""Rows of the table: shift of the texture in u and v, in repeats."""
ROWS = 24
PHASE_STEP = (0.37, 0.61)
"""Shift in u and v from one primitive to the next, in repeats, so that equal boxes do not look alike."""

OCCLUSION_REACH = 2.5
"""A primitive darkens surfaces nearer than this multiple of its mean radius."""
LARGEST_OCCLUDER_M = 1.5
"""Primitives with a larger mean radius darken nothing: ambient occlusion takes them for balls, and houses are not."""
LARGEST_GROUP_PX = (1 << 24, 1 << 15)
"""Pixels computed at once on an accelerator, where memory is the limit, and on a CPU, where a core's cache is."""
SPECK = Primitive(Shape.BOX, vector(0, 0, -1e3), vector(1e-3, 1e-3, 1e-3), Material(0, 1.0, WHITE), UPRIGHT)
"""Padding: a box of 1 mm half size, 1 km below the ground."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedScenes:
    """B scenes of n slots for images of one size; float32 tensors on one device unless noted otherwise."""

    size: Size
    """Of the images, pixels."""
    shapes: tuple[Shape, ...]
    """The shape in each of the n slots."""
    table: Tensor
    """(B, ROWS, n + 6): the attributes of the slots and of the environment's six faces."""
    origin: Tensor
    """(B, n, 3): position of the camera in each slot's local frame."""
    ray_to_local: Tensor
    """(B, n, 3, 3): matrix from rays (x, y, 1) of the optical frame to each slot's local frame."""
    sun: Tensor
    """(B, n, 3): direction to the sun in each slot's local frame."""
    center: Tensor
    """(B, n, 3): centres of the primitives, metres, world."""
    radius: Tensor
    """(B, n): geometric mean of the half sizes, metres."""
    focal_px: Tensor
    """(B,): focal lengths, pixels."""
    position: Tensor
    """(B, 3): position of the camera, metres, world."""
    axes: Tensor
    """(B, 3, 3): rotation from the optical frame to the world."""
    low: Tensor
    """(B, 3): lower corner of the environment's box, metres."""
    high: Tensor
    """(B, 3): upper corner of the environment's box, metres."""
    has_sky: Tensor
    """(B,) bool."""
    visible: tuple[Patches, ...]
    """The windows in which slots can be visible."""
    shadowed: tuple[Patches, ...]
    """The windows in which their shadows can fall."""
    darkened: tuple[Patches, ...]
    """The windows in which they can darken their surroundings."""

    @property
    def slot_count(self) -> int:
        return len(self.shapes)

    def world_rays(self) -> Triple:
        """Directions (B, H, W) of the camera rays in the world; their optical z is 1."""
        x, y, z = self.rays(self.axes[:, None], Patches.whole(*self.size))
        return x[:, 0], y[:, 0], z[:, 0]

    def rays(self, ray_to_local: Tensor, patches: Patches) -> Triple:
        """Directions (B, K, h, w) of the patches' camera rays, transformed by ``ray_to_local`` (B, K or 1, 3, 3).

        A direction is the sum of a part that changes along a row and one that changes down a column.
        """
        top, left = patches.corners(ray_to_local.device)
        focal = self.focal_px[:, None, None, None]
        x = (left + torch.arange(patches.width, device=left.device) - (self.size.width - 1) / 2) / focal
        y = (top + torch.arange(patches.height, device=left.device)[:, None] - (self.size.height - 1) / 2) / focal
        m = ray_to_local[..., None, None]
        local_x, local_y, local_z = ((m[:, :, i, 0] * x + m[:, :, i, 2]) + m[:, :, i, 1] * y for i in range(3))
        return local_x, local_y, local_z


def pack(scenes: Sequence[Scene], size: Size, device: torch.device | str = "cpu") -> PackedScenes:
    """Pack scenes for images of ``size``; matrices are computed in float64 and stored in float32."""
    shapes, slots = _slots(scenes)
    B, n = len(scenes), len(shapes)
    center = np.array([[p.center for p in row] for row in slots], np.float64).reshape(B, n, 3)
    half = np.array([[p.half for p in row] for row in slots], np.float64).reshape(B, n, 3)
    turn = np.array([[p.turn for p in row] for row in slots], np.float64).reshape(B, n, 3, 3)
    to_world = turn * half[:, :, None]
    to_local = (turn / half[:, :, None]).swapaxes(2, 3)
    poses = np.stack([scene.camera.pose() for scene in scenes])
    focal = np.array([scene.camera.intrinsics(size).fx_px for scene in scenes])
    sun = np.array([scene.light.sun_toward for scene in scenes])
    radius = np.cbrt(half.prod(2))
    corners = box_corners(center, to_world)
    # the tensors of a group hold every pixel once per scene
    largest_px = LARGEST_GROUP_PX[torch.device(device).type == "cpu"] // B

    def tensor(array: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(device)

    def patches(corners: Corners) -> tuple[Patches, ...]:
        return group_windows(shapes, image_windows(corners, poses, focal, size), largest_px)

    return PackedScenes(
        size=size,
        shapes=shapes,
        table=tensor(_table(scenes, slots, to_local, center, half)),
        origin=tensor(np.einsum("bnij,bnj->bni", to_local, poses[:, None, :3, 3] - center)),
        ray_to_local=tensor(to_local @ poses[:, None, :3, :3]),
        sun=tensor(np.einsum("bnij,bj->bni", to_local, sun)),
        center=tensor(center),
        radius=tensor(radius),
        focal_px=tensor(focal),
        position=tensor(poses[:, :3, 3]),
        axes=tensor(poses[:, :3, :3]),
        low=tensor(np.array([scene.environment.low for scene in scenes])),
        high=tensor(np.array([scene.environment.high for scene in scenes])),
        has_sky=torch.tensor([scene.environment.sky for scene in scenes], device=device),
        visible=patches(corners),
        shadowed=patches(with_shadow_corners(corners, sun)),
        darkened=patches(ball_corners(center, OCCLUSION_REACH * radius * (radius < LARGEST_OCCLUDER_M))),
    )


def _slots(scenes: Sequence[Scene]) -> tuple[tuple[Shape, ...], list[list[Primitive]]]:
    """Sort primitives by shape; every scene gets as many slots of a shape as the fullest scene needs."""
    by_shape = [{k: list(g) for k, g in groupby(sorted(s.primitives, key=_shape), key=_shape)} for s in scenes]
    counts = {shape: max((len(groups.get(shape, ())) for groups in by_shape), default=0) for shape in Shape}
    rows = []
    for groups in by_shape:
        filled = [groups.get(shape, [])[:] for shape in Shape]
        rows.append([p for shape, g in zip(Shape, filled, strict=True) for p in g + [SPECK] * (counts[shape] - len(g))])
    return tuple(shape for shape in Shape for _ in range(counts[shape])), rows


def _shape(primitive: Primitive) -> Shape:
    return primitive.shape


def _table(
    scenes: Sequence[Scene],
    slots: Sequence[Sequence[Primitive]],
    to_local: NDArray[np.float64],
    center: NDArray[np.float64],
    half: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(B, ROWS, n + 6): the attributes of every slot and face."""
    B, n = center.shape[:2]
    table = np.zeros((B, n + 6, ROWS))
    table[:, :n, TO_LOCAL] = to_local.reshape(B, n, 9)
    table[:, :n, OFFSET] = -np.einsum("bnij,bnj->bni", to_local, center)
    table[:, :n, HALF] = half
    table[:, n:, TO_LOCAL], table[:, n:, HALF] = UPRIGHT.ravel(), 1.0
    for b, (scene, row) in enumerate(zip(scenes, slots, strict=True)):
        materials = [p.material for p in row] + list(scene.environment.faces)
        table[b, :, TEXTURE : PHASE.start] = [
            (m.texture, m.repeats_per_m, m.contrast, m.gloss, *m.tint) for m in materials
        ]
        # by the place in the scene: the slot depends on the batch, and a scene must look the same in any batch
        numbers = {id(p): i for i, p in enumerate(scene.primitives)}
        table[b, :n, PHASE] = np.multiply.outer([float(numbers.get(id(p), 0)) for p in row], PHASE_STEP) % 1
    return table.swapaxes(1, 2).copy()
