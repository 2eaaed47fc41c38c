"""Where the sun does not reach, and where corners and near things keep the sky's light away. Both (B, H, W) in 0..1."""

from __future__ import annotations

import torch
from torch import Tensor

from stream.scenes.renderer.intervals import INTERVALS
from stream.scenes.renderer.packing import OCCLUSION_REACH, Packed
from stream.scenes.renderer.raycast import Hits
from stream.scenes.renderer.surface import Surface
from stream.scenes.renderer.triples import along, dot, minus

SKIN_M = 2e-3
"""A shadow ray that leaves a shape within this (plus a ten-thousandth of the depth) only grazed its own surface."""
THING_OCCLUSION = 0.75
"""Share of the sky's light that a thing takes where it touches."""
PENUMBRA = 0.04
"""A sun ray is blocked fully by what it passes through for this share of its distance: edges of shadows are soft, the
more so the further away the edge that throws them. The sun's own 0.5 degrees would be 0.01; thin haze makes it more."""
CORNER_OCCLUSION = 0.4
CORNER_REACH_M = 0.25


def sunlit(packed: Packed, hits: Hits) -> Tensor:
    """1 where the sun is seen, 0 in the full shadow of any primitive; the environment throws none."""
    lit = torch.ones_like(hits.distance)
    for patches in packed.shadowed:
        distance = patches.view(hits.distance)
        rays = packed.rays(patches.pick(packed.spread), patches)
        start = along(patches.triple(packed.origin), rays, distance)
        enter, leave = INTERVALS[packed.shapes[patches.slots[0]]](start, patches.triple(packed.sun))
        blocked = (enter < leave) & (leave > SKIN_M + 1e-4 * distance)
        begin = enter.clamp_min(0)
        passes = ((leave - begin) * (2 / PENUMBRA) / (leave + begin).clamp_min(SKIN_M)).clamp_max(1)
        for _, shade, (lit_here,) in patches.onto(1 - passes * blocked, lit):
            torch.minimum(lit_here, shade, out=lit_here)
    return lit


def sky_seen(packed: Packed, seen: Surface) -> Tensor:
    """Ambient occlusion: each primitive counts as a ball of its volume, and the environment's corners are darker."""
    open_ = _corners(packed, seen)
    facts = torch.stack([*seen.point, *seen.normal], dim=1)
    for patches in packed.darkened:
        *point, nx, ny, nz = patches.view(facts).unbind(1)
        to_thing = minus(patches.triple(packed.center), (point[0], point[1], point[2]))
        inverse_square = dot(to_thing, to_thing).clamp_min(1e-6).reciprocal()
        cosine = dot(to_thing, (nx, ny, nz)).clamp_min(0) * inverse_square.sqrt()
        nearness = patches.pick(packed.radius)[..., None, None] ** 2 * inverse_square - OCCLUSION_REACH**-2
        open_here = 1 - THING_OCCLUSION * cosine * nearness.clamp(0, 1)
        for _, factor, (before,) in patches.onto(open_here, open_):
            before.mul_(factor)
    return open_


def _corners(packed: Packed, seen: Surface) -> Tensor:
    """Darker near the environment's second nearest face, and primitives near the floor."""
    x, y, z = (
        torch.minimum(point - low[:, None, None], high[:, None, None] - point).clamp_min(0)
        for point, low, high in zip(seen.point, packed.low.unbind(1), packed.high.unbind(1), strict=True)
    )
    low, high = torch.minimum(x, y), torch.maximum(x, y)
    second = torch.maximum(low, torch.minimum(high, z))
    gap = torch.where(seen.in_primitive, seen.point[2].clamp_min(0), second)
    return 1 - CORNER_OCCLUSION * torch.exp(gap * (-1 / CORNER_REACH_M))
