"""Turn rendered views into training batches: crop, shrink, mirror, relight, and normalise as the product does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.models.spec import InputSpec
from stream.preprocess.gpu import resized

MIN_CROP_SHARE, MAX_ENLARGEMENT = 0.6, 1.1
"""A crop keeps at least this share of the largest possible one, and is not enlarged by more than this factor."""
FULL_FRAME_SHARE, GREY_SHARE = 0.35, 0.03
"""Shares of the batches that are not cropped further than their shape requires, and of the images made grey."""
SECOND_SHARE, SECOND_SCALE, SECOND_MULTIPLE = 0.6, (0.5, 0.8), 32
"""Share of a batch's images that get a second look, range of its scale, and the multiple of the network's sizes."""
SECOND_GAIN, SECOND_OFFSET, SECOND_NOISE = 0.1, 0.15, 0.05
"""Largest changes of light and of sensor noise in a second look, in the network's units."""


def batch_of(
    rgb: Tensor, inverse: Tensor, size: Size, rng: np.random.Generator, spec: InputSpec
) -> tuple[Tensor, Tensor]:
    """Augment (B, 3, H, W) uint8 RGB and (B, H, W) float16 inverse depth, 1/m.

    Returns network input (B, 3, h, w) and inverse depth (B, h, w) of ``size``, both float32.
    """
    crop_size = _crop_size(Size(*inverse.shape[1:]), size, 1.0 if rng.random() < FULL_FRAME_SHARE else rng.random())
    rgb, inverse = _crop(rgb, inverse, crop_size, rng)
    images, target = shrunk(rgb.float() / 255, size), resized_nearest(inverse.float(), size)
    # Drawn by numpy, here and below: torch's generators give other numbers on a GPU than on a CPU.
    mirrored = torch.from_numpy(rng.random(len(rgb)) < 0.5).to(rgb.device)
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    target = torch.where(mirrored[:, None, None], target.flip(-1), target)
    return normalised(_relit(images, rng), spec).contiguous(memory_format=torch.channels_last), target


def second_look(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """The first six tenths of network input (B, 3, h, w) again, smaller, relit and noisy: (n, 3, h2, w2).

    The network should predict the same for both, because depth depends neither on the image's size nor on the light.
    """
    n = max(2, round(SECOND_SHARE * len(pixels)))
    scale = rng.uniform(*SECOND_SCALE)
    sides = (max(2, round(scale * side / SECOND_MULTIPLE)) * SECOND_MULTIPLE for side in pixels.shape[2:])
    smaller = shrunk(pixels[:n], Size(*sides))
    noise = torch.from_numpy(rng.standard_normal(smaller.shape, dtype=np.float32) * rng.uniform(0, SECOND_NOISE))
    gain = torch.from_numpy(rng.uniform(1 - SECOND_GAIN, 1 + SECOND_GAIN, (n, 3, 1, 1))).float()
    offset = torch.from_numpy(rng.uniform(-SECOND_OFFSET, SECOND_OFFSET, (n, 3, 1, 1))).float()
    device = pixels.device
    augmented = smaller * gain.to(device) + offset.to(device) + noise.float().to(device)
    return augmented.contiguous(memory_format=torch.channels_last)


def normalised(images: Tensor, spec: InputSpec) -> Tensor:
    """Normalise (B, 3, h, w) in 0..1 as ``spec`` demands."""
    mean, std = images.new_tensor(spec.mean), images.new_tensor(spec.std)
    return (images - mean[:, None, None]) / std[:, None, None]


def shrunk(images: Tensor, size: Size) -> Tensor:
    """(B, C, H, W) float -> (B, C, h, w): every pixel is the mean of the area it covers.

    This is OpenCV's INTER_AREA, which InputSpec calls "area" and the product uses.
    """
    return resized(images, size, "area")


def resized_nearest(values: Tensor, size: Size) -> Tensor:
    """(B, H, W) -> (B, h, w) without mixing near and far, because a depth between two surfaces is right for neither."""
    return interpolate(values[:, None], tuple(size), mode="nearest-exact")[:, 0]


def _crop_size(available: Size, wanted: Size, share: float) -> Size:
    """Size of a crop in the shape of ``wanted``: the largest for a ``share`` of 1, the smallest for 0."""
    largest = min(available.height / wanted.height, available.width / wanted.width)
    smallest = min(largest, max(MIN_CROP_SHARE * largest, 1 / MAX_ENLARGEMENT))
    scale = smallest + share * (largest - smallest)
    return Size(min(available.height, round(wanted.height * scale)), min(available.width, round(wanted.width * scale)))


def _crop(rgb: Tensor, inverse: Tensor, crop_size: Size, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Crop every image to one size at a random position of its own."""
    B, H, W = inverse.shape
    tops, lefts = rng.integers(H - crop_size.height + 1, size=B), rng.integers(W - crop_size.width + 1, size=B)
    windows = [
        (slice(t, t + crop_size.height), slice(left, left + crop_size.width))
        for t, left in zip(tops, lefts, strict=True)
    ]
    crops = [rgb[b, :, rows, columns] for b, (rows, columns) in enumerate(windows)]
    return torch.stack(crops), torch.stack([inverse[b, rows, columns] for b, (rows, columns) in enumerate(windows)])


def _relit(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary colour and light a little, because a view is used more than once and its film effects stay the same."""
    B, device = len(images), images.device
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (B, 3, 1, 1)) * rng.uniform(0.8, 1.2, (B, 1, 1, 1))).float()
    offset = torch.from_numpy(rng.uniform(-0.05, 0.05, (B, 1, 1, 1))).float()
    lit = (images * gain.to(device) + offset.to(device)).clamp(0, 1)
    grey = torch.from_numpy(rng.random(B) < GREY_SHARE).to(device)[:, None, None, None]
    return torch.where(grey, lit.mean(1, keepdim=True), lit)
