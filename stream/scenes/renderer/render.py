"""Render scenes to images with exact depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stream.frames import Size
from stream.scenes.camera.exposure import develop
from stream.scenes.renderer.packing import PackedScenes, pack
from stream.scenes.renderer.raycast import Hits, cast_rays
from stream.scenes.renderer.shading import lights, shade
from stream.scenes.renderer.textures import Atlas
from stream.scenes.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """B images with per-pixel ground truth, on the atlas's device."""

    rgb: Tensor
    """(B, 3, H, W) float32, displayed red, green, blue in 0..1; ``exposure.to_bgr`` converts them to 8 bits."""
    depth: Tensor
    """(B, H, W) float32, metres along the optical axis; +inf for sky."""
    surface_id: Tensor
    """(B, H, W) int64: slot of the primitive (boxes, ellipsoids, cylinders), then the 6 faces; -1 for sky."""


@dataclass(frozen=True, slots=True, eq=False)
class TracedScenes:
    """B scenes and the surface that each pixel sees, before shading."""

    scenes: Sequence[Scene]
    packed: PackedScenes
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
    """Render a batch of scenes on the device of ``atlas``. Deterministic: nothing random happens here.

    ``softness`` is explained in ``exposure.develop``.
    """
    with torch.inference_mode():
        return colour(trace(scenes, size, atlas.texels.device), atlas, shadows, occlusion, softness)


def trace(scenes: Sequence[Scene], size: Size, device: torch.device | str) -> TracedScenes:
    """The first pass of ``render``, a third of its time; its result suffices to decide which views to shade."""
    with torch.inference_mode():
        packed = pack(scenes, size, device)
        return TracedScenes(scenes, packed, cast_rays(packed))


def colour(
    traced: TracedScenes, atlas: Atlas, shadows: bool = True, occlusion: bool = True, softness: float = 0.0
) -> Images:
    """The second pass of ``render``: light, materials and exposure."""
    with torch.inference_mode():
        light = lights(traced.scenes, atlas.texels.device)
        linear = shade(traced.packed, traced.hits, light, atlas, shadows=shadows, occlusion=occlusion)
        return Images(develop(linear, traced.scenes, softness), traced.hits.depth, traced.hits.surface_id)
