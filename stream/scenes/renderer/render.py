"""Scenes in, images with exact depth out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stream.frames import Size
from stream.scenes.camera.exposure import develop
from stream.scenes.renderer.packing import Packed, pack
from stream.scenes.renderer.raycast import Hits, cast
from stream.scenes.renderer.shading import lights, shade
from stream.scenes.renderer.textures import Atlas
from stream.scenes.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """B images and what is known of every pixel, on the atlas's device."""

    rgb: Tensor
    """(B, 3, H, W) float32, displayed red, green, blue in 0..1; ``exposure.to_bgr`` makes 8-bit images."""
    depth: Tensor
    """(B, H, W) float32, metres along the optical axis; +inf for sky."""
    ident: Tensor
    """(B, H, W) int64: primitives by their slot (boxes, ellipsoids, cylinders), then 6 faces; -1 for sky."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """B scenes and what each pixel of their cameras sees, not yet coloured."""

    scenes: Sequence[Scene]
    packed: Packed
    hits: Hits


def render(
    scenes: Sequence[Scene],
    atlas: Atlas,
    size: Size,
    *,
    shadows: bool = True,
    occlusion: bool = True,
    softness: float = 0.0,
) -> Images:
    """Render scenes of any kind together, on the device of ``atlas``; nothing is drawn by chance in here."""
    with torch.inference_mode():
        return colour(outlines(scenes, size, atlas.texels.device), atlas, shadows, occlusion, softness)


def outlines(scenes: Sequence[Scene], size: Size, device: torch.device | str) -> Outlines:
    """The first part of ``render``, a third of its time: enough to tell which views are worth the second."""
    with torch.inference_mode():
        packed = pack(scenes, size, device)
        return Outlines(scenes, packed, cast(packed))


def colour(seen: Outlines, atlas: Atlas, shadows: bool = True, occlusion: bool = True, softness: float = 0.0) -> Images:
    """The second part: light and materials."""
    with torch.inference_mode():
        light = lights(seen.scenes, atlas.texels.device)
        linear = shade(seen.packed, seen.hits, light, atlas, shadows=shadows, occlusion=occlusion)
        return Images(develop(linear, seen.scenes, softness), seen.hits.depth, seen.hits.ident)
