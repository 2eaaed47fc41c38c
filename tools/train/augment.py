"""From views at hand to a batch: cut, shrunk, mirrored, lit differently, normalised as the product does it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stream.frames import Size
from stream.models.spec import InputSpec
from tools.train.resize import nearest, shrunk

SMALLEST_CUT, LARGEST_ENLARGEMENT = 0.6, 1.1
"""A cut keeps at least this share of each side that the batch's shape allows, and is not enlarged by more than this."""
WHOLE_SHARE, GREY_SHARE = 0.35, 0.03
SECOND_SHARE, SECOND_SCALE, SECOND_MULTIPLE = 0.6, (0.5, 0.8), 32
"""Of a batch's images that are looked at twice; how much smaller, and what the network's sizes are multiples of."""
SECOND_GAIN, SECOND_OFFSET, SECOND_NOISE = 0.1, 0.15, 0.05
"""At most so much, in the network's units: other light and sensor noise."""


def batch_of(
    rgb: Tensor, inverse: Tensor, size: Size, rng: np.random.Generator, spec: InputSpec
) -> tuple[Tensor, Tensor]:
    """(B, 3, H, W) uint8 and (B, H, W) float16 -> network input (B, 3, h, w) and inverse depth (B, h, w), float32."""
    cut = _cut_size(Size(*inverse.shape[1:]), size, 1.0 if rng.random() < WHOLE_SHARE else rng.random())
    rgb, inverse = _cut(rgb, inverse, cut, rng)
    images, target = shrunk(rgb.float() / 255, size), nearest(inverse.float(), size)
    mirrored = torch.from_numpy(rng.random(len(rgb)) < 0.5).to(rgb.device)
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    target = torch.where(mirrored[:, None, None], target.flip(-1), target)
    return normalised(_relit(images, rng), spec).contiguous(memory_format=torch.channels_last), target


def second_look(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """The first six tenths of network input (B, 3, h, w) again, smaller, lit differently and noisy: (n, 3, h2, w2).

    The answers should be the same: depth depends neither on the size an image is seen at nor on the light.
    """
    n = max(2, round(SECOND_SHARE * len(pixels)))
    scale = rng.uniform(*SECOND_SCALE)
    sides = (max(2, round(scale * side / SECOND_MULTIPLE)) * SECOND_MULTIPLE for side in pixels.shape[2:])
    smaller = shrunk(pixels[:n], Size(*sides))
    noise = torch.from_numpy(rng.standard_normal(smaller.shape, dtype=np.float32) * rng.uniform(0, SECOND_NOISE))
    gain = torch.from_numpy(rng.uniform(1 - SECOND_GAIN, 1 + SECOND_GAIN, (n, 3, 1, 1))).float()
    offset = torch.from_numpy(rng.uniform(-SECOND_OFFSET, SECOND_OFFSET, (n, 3, 1, 1))).float()
    device = pixels.device
    seen = smaller * gain.to(device) + offset.to(device) + noise.float().to(device)
    return seen.contiguous(memory_format=torch.channels_last)


def normalised(images: Tensor, spec: InputSpec) -> Tensor:
    """(B, 3, h, w) in 0..1 as the network wants it."""
    mean, std = images.new_tensor(spec.mean), images.new_tensor(spec.std)
    return (images - mean[:, None, None]) / std[:, None, None]


def _cut_size(have: Size, want: Size, share: float) -> Size:
    """Of the wanted shape: the largest cut for a ``share`` of 1, the smallest for 0."""
    largest = min(have.height / want.height, have.width / want.width)
    smallest = min(largest, max(SMALLEST_CUT * largest, 1 / LARGEST_ENLARGEMENT))
    scale = smallest + share * (largest - smallest)
    return Size(min(have.height, round(want.height * scale)), min(have.width, round(want.width * scale)))


def _cut(rgb: Tensor, inverse: Tensor, cut: Size, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Another place in every image, one size for all."""
    B, H, W = inverse.shape
    tops, lefts = rng.integers(H - cut.height + 1, size=B), rng.integers(W - cut.width + 1, size=B)
    places = [(slice(t, t + cut.height), slice(left, left + cut.width)) for t, left in zip(tops, lefts, strict=True)]
    cuts = [rgb[b, :, rows, columns] for b, (rows, columns) in enumerate(places)]
    return torch.stack(cuts), torch.stack([inverse[b, rows, columns] for b, (rows, columns) in enumerate(places)])


def _relit(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A little colour, light and offset on top of what the film did, for a view is used more than once."""
    B, device = len(images), images.device
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (B, 3, 1, 1)) * rng.uniform(0.8, 1.2, (B, 1, 1, 1))).float()
    offset = torch.from_numpy(rng.uniform(-0.05, 0.05, (B, 1, 1, 1))).float()
    lit = (images * gain.to(device) + offset.to(device)).clamp(0, 1)
    grey = torch.from_numpy(rng.random(B) < GREY_SHARE).to(device)[:, None, None, None]
    return torch.where(grey, lit.mean(1, keepdim=True), lit)
