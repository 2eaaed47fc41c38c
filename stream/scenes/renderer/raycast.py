"""Which surface each pixel sees, and how far away: exact up to float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stream.scenes.renderer.intervals import INTERVALS
from stream.scenes.renderer.packing import Packed
from stream.scenes.renderer.triples import Triple
from stream.scenes.world.windows import NEAR_M

SKY = -1
FLOOR = 4
"""The environment's faces count from 0: behind, ahead, right, left, floor, ceiling."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What the pixels of B images see."""

    distance: Tensor
    """(B, H, W) float32, metres along the optical axis; finite everywhere, the environment's far wall for sky."""
    entry: Tensor
    """(B, H, W) int64: column of the packed table: a slot, or slots + face."""
    sky: Tensor
    """(B, H, W) bool."""

    @property
    def depth(self) -> Tensor:
        """(B, H, W) float32, metres along the optical axis; +inf for sky."""
        return self.distance.masked_fill(self.sky, torch.inf)

    @property
    def ident(self) -> Tensor:
        """(B, H, W) int64: the entry, or SKY."""
        return self.entry.masked_fill(self.sky, SKY)


def cast(packed: Packed) -> Hits:
    """Follow one ray through the middle of every pixel."""
    distance, face = _environment(packed)
    entry = face + packed.slots
    for patches in packed.seen:
        rays = packed.rays(patches.pick(packed.spread), patches)
        enter, leave = INTERVALS[packed.shapes[patches.slots[0]]](patches.triple(packed.origin), rays)
        reached = torch.where((enter < leave) & (enter > NEAR_M), enter, torch.inf)
        for slot, mine, (seen, name) in patches.onto(reached, distance, entry):
            name.masked_fill_(mine < seen, slot)
            torch.minimum(seen, mine, out=seen)
    sky = packed.has_sky[:, None, None] & (entry >= packed.slots) & (entry != packed.slots + FLOOR)
    return Hits(distance, entry, sky)


def _environment(packed: Packed) -> tuple[Tensor, Tensor]:
    """Distance to the inside of the environment's box and the number of the face."""
    distance, face = None, None
    low, high, position = _columns(packed.low), _columns(packed.high), _columns(packed.position)
    for axis, direction in enumerate(packed.world_rays()):
        positive = direction > 0
        wall = torch.where(positive, high[axis], low[axis])
        reach = ((wall - position[axis]) / direction).abs()  # a ray along the wall: infinity, never minus infinity
        number = positive.long() + 2 * axis
        if distance is None or face is None:
            distance, face = reach, number
            continue
        nearer = reach < distance
        distance, face = torch.where(nearer, reach, distance), torch.where(nearer, number, face)
    assert distance is not None
    assert face is not None
    return distance, face


def _columns(vectors: Tensor) -> Triple:
    """(B, 3) as three tensors (B, 1, 1) that broadcast over images."""
    x, y, z = vectors[:, :, None, None].unbind(1)
    return x, y, z
