"""Simulates what cameras do to an image: lens blur, exposure, colours, sensor noise, 8-bit rounding and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, pad

from stream.scenes.camera.jpeg import compressed

GREY_SHARE, SHALLOW_SHARE, JPEG_SHARE = 0.08, 0.25, 0.6
"""Shares of the images that are grey, have a shallow depth of field, and have been JPEG files."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
FARTHEST_FOCUS_M = 50.0
"""The lens focuses no farther than this."""
BLUR_STEPS_PX = (0.0, 0.6, 1.2, 2.4, 4.8)
"""Standard deviations of the blurred copies between which a pixel's blur is interpolated."""


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Camera settings of B images, drawn by ``random_shots``; all (B,) float32 unless noted otherwise."""

    exposure: Tensor
    """Factor of the displayed values."""
    balance: Tensor
    """(B, 3): factors of red, green and blue."""
    gamma: Tensor
    """Exponent of the displayed values."""
    contrast: Tensor
    """Factor of the distance from middle grey."""
    grey: Tensor
    """(B,) bool: True for cameras without colours."""
    softness_px: Tensor
    """Standard deviation of the lens's blur at any distance, pixels."""
    aperture: Tensor
    """Blur by distance from the focus, pixels times metres (``defocus_px``); 0 keeps everything sharp."""
    focus: Tensor
    """The depth in focus, as a quantile of the image's inverse depth, 0..1."""
    noise: Tensor
    """Standard deviation of the sensor's noise in the dark, on a 0..1 scale."""
    quality: Tensor
    """JPEG quality, 1..100; above 100 the image was never compressed."""
    noise_seed: int
    """Seed of the noise of all B images."""


def random_shots(rng: np.random.Generator, count: int) -> Shots:
    """Draw ``count`` everyday cameras, most of them slightly off and a few far off. The tensors are on the CPU."""
    shallow, jpeg = rng.random(count) < SHALLOW_SHARE, rng.random(count) < JPEG_SHARE
    return Shots(
        exposure=_tensor(2 ** rng.normal(0, 0.3, count)),
        balance=_tensor(np.exp(rng.normal(0, 0.07, (count, 3)))),
        gamma=_tensor(np.exp(rng.normal(0, 0.15, count))),
        contrast=_tensor(rng.uniform(0.75, 1.3, count)),
        grey=torch.from_numpy(rng.random(count) < GREY_SHARE),
        softness_px=_tensor(np.where(rng.random(count) < 0.5, rng.uniform(0, 0.6, count), rng.exponential(0.5, count))),
        aperture=_tensor(np.where(shallow, rng.uniform(0.5, 4, count), 0)),
        focus=_tensor(rng.uniform(0.2, 1.0, count)),
        noise=_tensor(0.05 * rng.random(count) ** 2.5),
        quality=_tensor(np.where(jpeg, rng.uniform(25, 97, count), 101)),
        noise_seed=int(rng.integers(1 << 62)),
    )


def take(displayed: Tensor, depth: Tensor, shots: Shots) -> Tensor:
    """Photograph (B, 3, H, W) in 0..1 with depth (B, H, W) metres: (B, 3, H, W) uint8 RGB on the same device.

    The same shots give the same image on one kind of device; the noise differs between a CPU and a GPU.
    """
    device = displayed.device
    image = blurred(displayed, _blur_px(depth, shots))
    image = _graded(image, shots)
    noise = torch.randn(image.shape, generator=torch.Generator(device).manual_seed(shots.noise_seed), device=device)
    # shot noise grows with the root of the light; displayed values are about that root, so it stays about the same
    image = image + noise * shots.noise.to(device)[:, None, None, None] * (1.2 - 0.6 * image)
    image = _rounded_to_8_bits(image)
    quality = shots.quality.to(device)
    keep = (quality > 100)[:, None, None, None]
    compressed_image = _rounded_to_8_bits(compressed(image, quality.clamp_max(100)))
    return (torch.where(keep, image, compressed_image) * 255).round().to(torch.uint8)


def defocus_px(depth: Tensor, focus_m: Tensor, aperture: Tensor) -> Tensor:
    """(B, H, W): standard deviation of the blur of a thin lens, pixels.

    The lens spreads a point over a disc that grows with ``|1 / depth - 1 / focus|``; ``aperture`` (B,) is the factor,
    pixels times metres. Depth is (B, H, W) metres, +inf allowed; ``focus_m`` is (B,).
    """
    return aperture[:, None, None] * (1 / depth - 1 / focus_m[:, None, None]).abs()


def blurred(image: Tensor, blur_px: Tensor) -> Tensor:
    """Blur each pixel of (B, C, H, W) with its own standard deviation ``blur_px`` (B, H, W or 1, 1), at most 4.8.

    Every pixel gathers from its neighbours, so a sharp edge in front of a blurred background glows a little. A real
    lens would not do that.
    """
    blur_index = _blur_index(blur_px.clamp(0, BLUR_STEPS_PX[-1]))
    result = torch.zeros_like(image)
    for index, width in enumerate(BLUR_STEPS_PX):
        share = (1 - (blur_index - index).abs()).clamp_min(0)[:, None]
        if bool((share > 0).any()):  # most batches need only a few of the copies
            result = result + share * _gaussian(image, width)
    return result


def _blur_px(depth: Tensor, shots: Shots) -> Tensor:
    """(B, H, W): standard deviation of softness and defocus together, which add as independent errors."""
    device = depth.device
    inverse = (1 / depth).flatten(1)  # the sky becomes 0, so the clamp below keeps the focus finite
    rank = (shots.focus.to(device) * (inverse.shape[1] - 1)).long()
    focus_m = 1 / inverse.sort(dim=1).values.gather(1, rank[:, None])[:, 0].clamp_min(1 / FARTHEST_FOCUS_M)
    defocus = defocus_px(depth, focus_m, shots.aperture.to(device))
    return torch.hypot(defocus, shots.softness_px.to(device)[:, None, None])


def _graded(image: Tensor, shots: Shots) -> Tensor:
    """Apply exposure, colour cast, tone curve and contrast, and drop the colours of grey cameras."""
    device = image.device
    gain = (shots.exposure[:, None] * shots.balance).to(device)[..., None, None]
    toned = (image * gain).clamp(0, 1) ** shots.gamma.to(device)[:, None, None, None]
    toned = 0.5 + (toned - 0.5) * shots.contrast.to(device)[:, None, None, None]
    luma = (toned * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return torch.where(shots.grey.to(device)[:, None, None, None], luma.expand_as(toned), toned)


def _rounded_to_8_bits(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def _blur_index(blur_px: Tensor) -> Tensor:
    """Fractional index into BLUR_STEPS_PX: 1.5 is halfway between the second and the third."""
    steps = [((blur_px - low) / (high - low)).clamp(0, 1) for low, high in pairwise(BLUR_STEPS_PX)]
    return torch.stack(steps).sum(0)


def _gaussian(image: Tensor, blur_px: float) -> Tensor:
    """Blur along rows, then columns; edges are repeated."""
    if blur_px == 0:
        return image
    reach, channels = int(3 * blur_px + 0.5), image.shape[1]
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=image.device)
    weights = torch.exp(-0.5 * (offsets / blur_px) ** 2)
    row = (weights / weights.sum()).view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = pad(image, (reach, reach, reach, reach), mode="replicate")
    return conv2d(conv2d(padded, row, groups=channels), row.transpose(2, 3), groups=channels)
