"""Light: textures, sun, sky, a lamp, haze. Works in linear colour, (B, 3, H, W) red, green, blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stream.scenes.renderer.packing import CONTRAST, GLOSS, REPEATS, TEXTURE, TINT, Packed
from stream.scenes.renderer.raycast import Hits
from stream.scenes.renderer.shadows import sky_seen, sunlit
from stream.scenes.renderer.surface import Surface, surface
from stream.scenes.renderer.textures import Atlas
from stream.scenes.renderer.triples import Triple, dot, inverse_length, minus, unit
from stream.scenes.scene import Scene

HIGHLIGHT = 24
"""Exponent of the sun's highlight (Blinn-Phong)."""
SHARPNESS = 0.3
"""Added to the mip level: a little softer than one texel a pixel, so that moving cameras see no shimmer."""
SKY_DISTANCE_M = 400.0
"""Where outdoor air has taken most of the light even without haze."""
CLOUDS_PER_HEIGHT = 0.12
"""Repeats of the cloud texture for each unit of (sideways / up) along the view."""


@dataclass(frozen=True, slots=True, eq=False)
class Lights:
    """The lights of B scenes, colours as (B, 3, 1, 1) and numbers as (B, 1, 1)."""

    sun_toward: Triple
    sun: Tensor
    ambient: Tensor
    lamp_at: Triple
    lamp: Tensor
    lamp_reach_m: Tensor
    horizon: Tensor
    zenith: Tensor
    clouds: Tensor
    cloud_texture: Tensor
    haze_per_m: Tensor


def lights(scenes: Sequence[Scene], device: torch.device | str) -> Lights:
    def values_of(of: str) -> Tensor:
        return torch.tensor([getattr(scene.light, of) for scene in scenes], dtype=torch.float32, device=device)[
            ..., None, None
        ]

    def triple(of: str) -> Triple:
        x, y, z = values_of(of).unbind(1)
        return x, y, z

    return Lights(
        *(triple("sun_toward"), values_of("sun"), values_of("ambient")),
        *(triple("lamp_at"), values_of("lamp"), values_of("lamp_reach_m")),
        *(values_of("horizon"), values_of("zenith")),
        *(values_of("clouds"), values_of("cloud_texture"), values_of("haze_per_m")),
    )


def shade(packed: Packed, hits: Hits, light: Lights, atlas: Atlas, *, shadows: bool, occlusion: bool) -> Tensor:
    """The light that reaches each pixel, (B, 3, H, W) linear, without exposure."""
    seen = surface(packed, hits)
    sun_part = dot(seen.normal, light.sun_toward).clamp_min(0)
    if shadows:
        sun_part = sun_part * sunlit(packed, hits)
    sky_part = 0.75 + 0.25 * seen.normal[2]
    if occlusion:
        open_ = sky_seen(packed, seen)
        sky_part, sun_part = sky_part * open_, sun_part * (0.5 + 0.5 * open_)
    highlight = seen.looks[:, GLOSS] * _highlight(seen, light) * (sun_part > 0)
    incoming = light.ambient * sky_part[:, None] + light.sun * sun_part[:, None] + light.lamp * _lamp(seen, light)
    outgoing = torch.addcmul(light.sun * highlight[:, None], albedo(packed, hits, seen, atlas), incoming)
    return _through_air(packed, hits, light, _sky(seen, light, atlas), outgoing)


def albedo(packed: Packed, hits: Hits, seen: Surface, atlas: Atlas) -> Tensor:
    """The surfaces' own colour, (B, 3, H, W) linear."""
    texture, repeats = seen.looks[:, TEXTURE].int(), seen.looks[:, REPEATS]
    steepness = dot(seen.ray, seen.normal).abs().clamp_min(0.1).sqrt()
    texels_per_pixel = hits.distance / packed.focal_px[:, None, None] * repeats * atlas.side / steepness
    level = torch.log2(texels_per_pixel.clamp_min(1e-3)) + SHARPNESS
    mean = atlas.mean(texture)
    painted = torch.lerp(mean, atlas.sample(texture, seen.u, seen.v, level), seen.looks[:, CONTRAST])
    return painted.transpose(0, 1) * seen.looks[:, TINT]


def _highlight(seen: Surface, light: Lights) -> Tensor:
    between = unit(minus(light.sun_toward, seen.ray))
    return dot(between, seen.normal).clamp_min(0) ** HIGHLIGHT


def _lamp(seen: Surface, light: Lights) -> Tensor:
    to_lamp = minus(light.lamp_at, seen.point)
    cosine = dot(to_lamp, seen.normal).clamp_min(0) * inverse_length(to_lamp)
    return (cosine / (1 + dot(to_lamp, to_lamp) / light.lamp_reach_m**2))[:, None]


def _through_air(packed: Packed, hits: Hits, light: Lights, sky: Tensor, colour: Tensor) -> Tensor:
    """Sky where nothing is hit, and its colour before what is far away; rooms have no air."""
    outdoors = packed.has_sky[:, None, None]
    lost = 1 - torch.exp(-(light.haze_per_m + 1 / SKY_DISTANCE_M) * hits.distance)
    return torch.lerp(colour, sky, torch.where(hits.sky, 1.0, lost * outdoors)[:, None])


def _sky(seen: Surface, light: Lights, atlas: Atlas) -> Tensor:
    """From the horizon's colour to the zenith's, with clouds on a plane overhead."""
    x, y, z = seen.ray
    up = z.clamp(0, 1)
    colour = torch.lerp(light.horizon, light.zenith, up.sqrt()[:, None])
    overhead = CLOUDS_PER_HEIGHT / (up + 0.12)
    texture = light.cloud_texture.int().expand_as(up)
    cover = atlas.sample_finest(texture, x * overhead, y * overhead)[0]
    return torch.lerp(colour, torch.ones_like(colour), (cover * light.clouds)[:, None])
