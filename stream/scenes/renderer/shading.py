"""Shading: textures, sun, shadows, sky, ambient occlusion, a lamp and haze.

All colours are linear red, green and blue, (B, 3, H, W) float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stream.scenes.renderer.packing import CONTRAST, GLOSS, OCCLUSION_REACH, REPEATS, TEXTURE, TINT, PackedScenes
from stream.scenes.renderer.raycast import INTERVALS, Hits
from stream.scenes.renderer.surface import Surface, look_up_surface
from stream.scenes.renderer.textures import Atlas
from stream.scenes.renderer.vectors import Triple, along, dot, inverse_length, minus, unit
from stream.scenes.scene import Scene

HIGHLIGHT = 24
"""Exponent of the sun's highlight (Blinn-Phong)."""
SHARPNESS = 0.3
"""Added to the mip level: slightly softer than one texel per pixel, so that moving cameras see no shimmer."""
SKY_DISTANCE_M = 400.0
"""Distance at which outdoor air has replaced 1 - 1/e of the light even without haze."""
CLOUDS_PER_HEIGHT = 0.12
"""Repeats of the cloud texture per unit of (sideways / up) along the view."""
SELF_SHADOW_M = 2e-3
"""A shadow ray that leaves a shape within this distance (plus a ten-thousandth of the depth) only grazed the surface
that it starts from, and does not count as blocked."""
OBJECT_OCCLUSION = 0.75
"""Share of the sky's light that an object takes away where it touches a surface."""
PENUMBRA = 0.04
"""A sun ray is fully blocked once it runs inside a shape for this share of its distance. Shadows therefore have soft
edges that widen with the distance to the object. The sun's own 0.5 degrees would be 0.01; thin haze makes it more."""
CORNER_OCCLUSION = 0.4
"""Share of the sky's light that the environment's corners take away."""
CORNER_REACH_M = 0.25
"""Distance from a corner at which its occlusion has fallen to 1/e."""


@dataclass(frozen=True, slots=True, eq=False)
class Lights:
    """The fields of ``scene.Light`` for B scenes: colours are (B, 3, 1, 1) and numbers (B, 1, 1), float32."""

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
    """Collect the lights of all scenes into tensors on ``device``."""

    def values_of(field: str) -> Tensor:
        values = [getattr(scene.light, field) for scene in scenes]
        return torch.tensor(values, dtype=torch.float32, device=device)[..., None, None]

    def triple(field: str) -> Triple:
        x, y, z = values_of(field).unbind(1)
        return x, y, z

    return Lights(
        *(triple("sun_toward"), values_of("sun"), values_of("ambient")),
        *(triple("lamp_at"), values_of("lamp"), values_of("lamp_reach_m")),
        *(values_of("horizon"), values_of("zenith")),
        *(values_of("clouds"), values_of("cloud_texture"), values_of("haze_per_m")),
    )


def shade(packed: PackedScenes, hits: Hits, light: Lights, atlas: Atlas, *, shadows: bool, occlusion: bool) -> Tensor:
    """The light that reaches each pixel, (B, 3, H, W) linear, before exposure."""
    surface = look_up_surface(packed, hits)
    sun_part = dot(surface.normal, light.sun_toward).clamp_min(0)
    if shadows:
        sun_part = sun_part * sun_visibility(packed, hits)
    sky_part = 0.75 + 0.25 * surface.normal[2]
    if occlusion:
        openness = sky_visibility(packed, surface)
        sky_part, sun_part = sky_part * openness, sun_part * (0.5 + 0.5 * openness)
    highlight = surface.attributes[:, GLOSS] * _highlight(surface, light) * (sun_part > 0)
    incoming = light.ambient * sky_part[:, None] + light.sun * sun_part[:, None] + light.lamp * _lamp(surface, light)
    outgoing = torch.addcmul(light.sun * highlight[:, None], albedo(packed, hits, surface, atlas), incoming)
    return _with_haze(packed, hits, light, _sky(surface, light, atlas), outgoing)


def albedo(packed: PackedScenes, hits: Hits, surface: Surface, atlas: Atlas) -> Tensor:
    """The surfaces' own colour, (B, 3, H, W) linear, from the mip level that fits their distance and slant."""
    texture, repeats = surface.attributes[:, TEXTURE].int(), surface.attributes[:, REPEATS]
    steepness = dot(surface.ray, surface.normal).abs().clamp_min(0.1).sqrt()
    texels_per_pixel = hits.distance / packed.focal_px[:, None, None] * repeats * atlas.side / steepness
    level = torch.log2(texels_per_pixel.clamp_min(1e-3)) + SHARPNESS
    mean = atlas.mean(texture)
    painted = torch.lerp(mean, atlas.sample(texture, surface.u, surface.v, level), surface.attributes[:, CONTRAST])
    return painted.transpose(0, 1) * surface.attributes[:, TINT]


def sun_visibility(packed: PackedScenes, hits: Hits) -> Tensor:
    """(B, H, W): 1 in sunlight, 0 in the full shadow of any primitive. The environment casts no shadow."""
    lit = torch.ones_like(hits.distance)
    for patches in packed.shadowed:
        distance = patches.gather(hits.distance)
        rays = packed.rays(patches.select(packed.ray_to_local), patches)
        start = along(patches.triple(packed.origin), rays, distance)
        enter, leave = INTERVALS[packed.shapes[patches.slots[0]]](start, patches.triple(packed.sun))
        blocked = (enter < leave) & (leave > SELF_SHADOW_M + 1e-4 * distance)
        begin = enter.clamp_min(0)
        # the length inside of the shape, relative to PENUMBRA times the distance to its middle
        passes = ((leave - begin) * (2 / PENUMBRA) / (leave + begin).clamp_min(SELF_SHADOW_M)).clamp_max(1)
        for _, shade, (lit_window,) in patches.crops(1 - passes * blocked, lit):
            torch.minimum(lit_window, shade, out=lit_window)
    return lit


def sky_visibility(packed: PackedScenes, surface: Surface) -> Tensor:
    """(B, H, W) in 0..1: the share of the sky's light that ambient occlusion leaves.

    Each primitive occludes like a ball of its volume, and the environment's corners are darker.
    """
    openness = _corner_openness(packed, surface)
    point_and_normal = torch.stack([*surface.point, *surface.normal], dim=1)
    for patches in packed.darkened:
        *point, nx, ny, nz = patches.gather(point_and_normal).unbind(1)
        to_object = minus(patches.triple(packed.center), (point[0], point[1], point[2]))
        inverse_square = dot(to_object, to_object).clamp_min(1e-6).reciprocal()
        cosine = dot(to_object, (nx, ny, nz)).clamp_min(0) * inverse_square.sqrt()
        # the solid angle of a ball falls with (radius / distance)^2; the offset makes it 0 at OCCLUSION_REACH
        nearness = patches.select(packed.radius)[..., None, None] ** 2 * inverse_square - OCCLUSION_REACH**-2
        patch_openness = 1 - OBJECT_OCCLUSION * cosine * nearness.clamp(0, 1)
        for _, factor, (before,) in patches.crops(patch_openness, openness):
            before.mul_(factor)
    return openness


def _highlight(surface: Surface, light: Lights) -> Tensor:
    """(B, H, W): strength of the sun's reflection (Blinn-Phong)."""
    between = unit(minus(light.sun_toward, surface.ray))
    return dot(between, surface.normal).clamp_min(0) ** HIGHLIGHT


def _lamp(surface: Surface, light: Lights) -> Tensor:
    """(B, 1, H, W): share of the lamp's light that reaches the surface; it casts no shadow."""
    to_lamp = minus(light.lamp_at, surface.point)
    cosine = dot(to_lamp, surface.normal).clamp_min(0) * inverse_length(to_lamp)
    return (cosine / (1 + dot(to_lamp, to_lamp) / light.lamp_reach_m**2))[:, None]


def _with_haze(packed: PackedScenes, hits: Hits, light: Lights, sky: Tensor, colour: Tensor) -> Tensor:
    """Replace what is hit by sky where nothing is, and fade far surfaces into the sky's colour; rooms have no haze."""
    outdoors = packed.has_sky[:, None, None]
    lost = 1 - torch.exp(-(light.haze_per_m + 1 / SKY_DISTANCE_M) * hits.distance)
    return torch.lerp(colour, sky, torch.where(hits.sky, 1.0, lost * outdoors)[:, None])


def _sky(surface: Surface, light: Lights, atlas: Atlas) -> Tensor:
    """(B, 3, H, W): blends the horizon's colour into the zenith's, with clouds on a plane overhead."""
    x, y, z = surface.ray
    up = z.clamp(0, 1)
    colour = torch.lerp(light.horizon, light.zenith, up.sqrt()[:, None])
    overhead = CLOUDS_PER_HEIGHT / (up + 0.12)
    texture = light.cloud_texture.int().expand_as(up)
    cover = atlas.sample_finest(texture, x * overhead, y * overhead)[0]
    return torch.lerp(colour, torch.ones_like(colour), (cover * light.clouds)[:, None])


def _corner_openness(packed: PackedScenes, surface: Surface) -> Tensor:
    """(B, H, W): darker where a second face of the environment is near, and on primitives near the floor."""
    x, y, z = (
        torch.minimum(point - low[:, None, None], high[:, None, None] - point).clamp_min(0)
        for point, low, high in zip(surface.point, packed.low.unbind(1), packed.high.unbind(1), strict=True)
    )
    low, high = torch.minimum(x, y), torch.maximum(x, y)
    second = torch.maximum(low, torch.minimum(high, z))
    gap = torch.where(surface.in_primitive, surface.point[2].clamp_min(0), second)
    return 1 - CORNER_OCCLUSION * torch.exp(gap * (-1 / CORNER_REACH_M))
