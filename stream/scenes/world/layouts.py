"""Random scenes for training and tests: eleven families, and the check that a rendered view is worth keeping."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stream.scenes.renderer.primitives import Primitive, placed
from stream.scenes.renderer.vectors import vector
from stream.scenes.scene import FAR_M, Scene
from stream.scenes.world.closeups import close_up, curve
from stream.scenes.world.furniture import painting
from stream.scenes.world.sampler import Sampler, random_shelf, random_table, random_tree
from stream.scenes.world.staging import block, random_light, random_view, spot, surroundings
from stream.scenes.world.thickets import meadow, thicket
from stream.scenes.world.tilted import from_above, upward, wall_ahead

SAMPLING_STEP = 7
"""``worth_keeping`` looks at one pixel in this many."""
MIN_SURFACES, MIN_SURFACE_SHARE, MAX_SURFACE_SHARE = 4, 0.006, 0.72
"""A view shows at least four surfaces of more than 0.6% of the image, and none takes 72% or more."""
MIN_DEPTH_RATIO = 1.35
"""The 98th percentile of inverse depth is more than this multiple of the 2nd."""
NEAREST_M = 1 / 12
"""Nothing in the view is nearer."""


def random_scene(rng: np.random.Generator, textures: int, family: str | None = None) -> Scene:
    """Draw a scene of ``family``, or of a family drawn by the shares in FAMILIES.

    ``textures`` is the number of textures in the atlas.
    """
    names = list(FAMILIES)
    weights = np.array([share for _, share in FAMILIES.values()])
    build, _ = FAMILIES[family if family is not None else str(rng.choice(names, p=weights / weights.sum()))]
    return build(Sampler(rng, textures))


def worth_keeping(depth: Tensor, surface_id: Tensor) -> Tensor:
    """(B,) bool: False for views blocked by one surface, without depth, or with an object at the lens.

    ``depth`` (B, H, W) in metres and ``surface_id`` (B, H, W) are those of ``Images`` or ``Hits``.
    """
    inverse = (1 / depth).flatten(1)[:, ::SAMPLING_STEP]
    low, high = torch.quantile(inverse, 0.02, dim=1), torch.quantile(inverse, 0.98, dim=1)
    index = surface_id.flatten(1)[:, ::SAMPLING_STEP] + 1  # the sky's id is -1
    count = torch.zeros(len(index), int(index.max()) + 1, device=index.device)
    share = count.scatter_add_(1, index, torch.ones_like(inverse)) / index.shape[1]
    several = (share > MIN_SURFACE_SHARE).sum(1) >= MIN_SURFACES
    return (
        (high > MIN_DEPTH_RATIO * low)
        & (inverse.amax(1) < 1 / NEAREST_M)
        & several
        & (share.amax(1) < MAX_SURFACE_SHARE)
    )


def outdoors(sampler: Sampler) -> Scene:
    """Houses, street walls, trees and objects on open ground under a sky."""
    view = random_view(sampler, sampler.uniform(0.6, 3.0) if sampler.chance(0.8) else sampler.uniform(3, 12), (-28, 10))
    parts: list[Primitive] = []
    if sampler.chance(0.6):
        for _ in range(int(sampler.rng.integers(1, 7))):
            half = sampler.rng.uniform((2, 2, 1.5), (9, 9, 14))
            parts.append(block(sampler, spot(sampler, view, 8, 60, 1.4) + vector(half[0], 0, 0), half))
    if sampler.chance(0.35):
        for side in (-1, 1):
            half = np.array([sampler.uniform(10, 40), 3.0, sampler.uniform(1, 9)])
            base = vector(half[0] - 2, side * (sampler.uniform(2.5, 8) + 3), 0)
            parts.append(block(sampler, base, half, sampler.rng.normal(0, 0.03)))
    for _ in range(int(sampler.rng.integers(1, 12))):
        parts += sampler.object(spot(sampler, view, 1.8 + 0.4 * view.height_m, 30), sampler.uniform(0.4, 2.2))
    if sampler.chance(0.5):
        for _ in range(int(sampler.rng.integers(1, 5))):
            parts += placed(random_tree(sampler, sampler.uniform(2.5, 9)), spot(sampler, view, 4, 40, 1.3))
    environment = surroundings(sampler, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    return Scene(tuple(parts), environment, random_light(sampler, view, outdoors=True), view.camera())


def room(sampler: Sampler) -> Scene:
    """Tables, a shelf, objects on the floor, paintings on the wall ahead."""
    view = random_view(sampler, sampler.uniform(0.7, 2.1), (-28, 10))
    half_width, depth = sampler.uniform(1.3, 5), sampler.uniform(2, 9)
    middle = sampler.uniform(-0.7, 0.7) * half_width
    right, left = middle - half_width, middle + half_width
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(0, 3))):
        base = vector(sampler.uniform(1.4, max(1.5, depth - 0.5)), sampler.uniform(right, left) * 0.7, 0)
        objects_on_top = int(sampler.rng.integers(0, 5))
        parts += placed(
            random_table(sampler, sampler.uniform(0.7, 1.3), objects_on_top), base, sampler.uniform(-0.6, 0.6)
        )
    if sampler.chance(0.4):
        shelf = random_shelf(sampler, sampler.uniform(0.8, 1.4), int(sampler.rng.integers(0, 3)))
        parts += placed(shelf, vector(depth - 0.3, sampler.uniform(right, left) * 0.8, 0), math.pi)
    for _ in range(int(sampler.rng.integers(1, 9))):
        base = spot(sampler, view, 0.9, 0.95 * depth)
        # the view is often wider than the room
        base[1] = np.clip(base[1], right + 0.2, left - 0.2)
        parts += sampler.object(base, sampler.uniform(0.2, 1.3))
    for _ in range(int(sampler.rng.integers(0, 4))):
        hung = painting(sampler.uniform(0.3, 1.5), sampler.uniform(0.3, 1.3), sampler.material(), sampler.material())
        parts += placed(hung, vector(depth, sampler.uniform(right, left) * 0.9, sampler.uniform(0.8, 2.2)), math.pi)
    ceiling = max(sampler.uniform(2.2, 3.6), view.height_m + 0.3)
    environment = surroundings(sampler, (-1.5, right, 0), (depth, left, ceiling), sky=False)
    return Scene(tuple(parts), environment, random_light(sampler, view), view.camera())


def table_top(sampler: Sampler) -> Scene:
    """Small objects near the camera, in front of a wall; the floor is the table."""
    view = random_view(sampler, sampler.uniform(0.12, 0.8), (-45, -2))
    depth, half_width = sampler.uniform(0.8, 4), sampler.uniform(0.5, 3)
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(2, 14))):
        base = spot(sampler, view, 0.3 + 0.3 * view.height_m, min(depth, 2.2), 1.0)
        parts += sampler.object(base, sampler.uniform(0.05, 0.45))
    environment = surroundings(sampler, (-1, -half_width, 0), (depth, half_width, 5 + view.height_m), sky=False)
    return Scene(tuple(parts), environment, random_light(sampler, view), view.camera())


def backdrop(sampler: Sampler) -> Scene:
    """Objects at any height and distance in front of a wall; the floor is often out of sight."""
    view = random_view(sampler, sampler.uniform(0.3, 1.5), (-10, 8))
    depth = 1.2 * 6 ** sampler.uniform(0, 1)
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(2, 12))):
        base = spot(sampler, view, 0.35 * depth, 0.97 * depth, 0.95)
        if sampler.chance(0.7):
            base[2] = max(0.0, view.height_m + sampler.uniform(-0.9, 0.5) * base[0] * view.half_width)
        parts += sampler.object(base, base[0] * sampler.uniform(0.15, 0.8))
    low = (-1.0, -depth * sampler.uniform(0.8, 3), 0.0)
    high = (depth, depth * sampler.uniform(0.8, 3), view.height_m + sampler.uniform(0.6, 3))
    return Scene(tuple(parts), surroundings(sampler, low, high, sky=False), random_light(sampler, view), view.camera())


FAMILIES: dict[str, tuple[Callable[[Sampler], Scene], float]] = {
    "outdoors": (outdoors, 0.18),
    "room": (room, 0.20),
    "table_top": (table_top, 0.15),
    "backdrop": (backdrop, 0.12),
    "meadow": (meadow, 0.05),
    "close_up": (close_up, 0.08),
    "curve": (curve, 0.05),
    "from_above": (from_above, 0.04),
    "upward": (upward, 0.03),
    "thicket": (thicket, 0.05),
    "wall_ahead": (wall_ahead, 0.05),
}
"""Name -> builder and share of the scenes. The last six, 30%, have no floor that rises into the image."""
