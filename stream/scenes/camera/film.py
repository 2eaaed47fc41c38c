"""What a camera and its file do to a rendered image: exposure, colours, blur, noise, 8 bits, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream.scenes.camera.jpeg import compressed
from stream.scenes.camera.lens import blurred, out_of_focus_px

GREY_SHARE, SHALLOW_SHARE, JPEG_SHARE = 0.08, 0.25, 0.6
"""How many images are grey, have a shallow depth of field, were JPEG files."""
LUMA = (0.299, 0.587, 0.114)
FARTHEST_FOCUS_M = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """What happens to B images, drawn by ``random_shots``; all (B,) float32 unless said otherwise."""

    exposure: Tensor
    """Factor of the displayed values."""
    balance: Tensor
    """(B, 3): factors of red, green and blue."""
    gamma: Tensor
    contrast: Tensor
    """About middle grey; 1 leaves it."""
    grey: Tensor
    """bool."""
    softness_px: Tensor
    """Standard deviation of the lens's blur, everywhere."""
    aperture: Tensor
    """Blur by distance from the focus, pixels times metres (``lens.out_of_focus_px``); 0: all is sharp."""
    focus: Tensor
    """Which depth is sharp: this quantile of the image's inverse depth, 0..1."""
    noise: Tensor
    """Standard deviation of the sensor's noise in the dark, in 0..1."""
    quality: Tensor
    """JPEG's, 1..100; above 100: no JPEG."""
    noise_seed: int


def random_shots(rng: np.random.Generator, count: int) -> Shots:
    """Everyday cameras: most a little off, few far off. On the CPU; the seed decides."""
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
    """(B, 3, H, W) in 0..1 and depth (B, H, W) metres -> (B, 3, H, W) uint8 RGB, on the same device.

    The same shots give the same image on one kind of device; noise differs between a CPU and a GPU.
    """
    device = displayed.device
    image = blurred(displayed, _blur_px(depth, shots))
    image = _graded(image, shots)
    noise = torch.randn(image.shape, generator=torch.Generator(device).manual_seed(shots.noise_seed), device=device)
    # shot noise grows with the root of the light; displayed values are about that root, so it stays about the same
    image = image + noise * shots.noise.to(device)[:, None, None, None] * (1.2 - 0.6 * image)
    image = _eight_bits(image)
    quality = shots.quality.to(device)
    keep = (quality > 100)[:, None, None, None]
    filed = _eight_bits(compressed(image, quality.clamp_max(100)))
    return (torch.where(keep, image, filed) * 255).round().to(torch.uint8)


def _blur_px(depth: Tensor, shots: Shots) -> Tensor:
    """(B, H, W): the lens's softness and the distance from the focus, as independent errors."""
    device = depth.device
    inverse = (1 / depth).flatten(1)
    rank = (shots.focus.to(device) * (inverse.shape[1] - 1)).long()
    focus_m = 1 / inverse.sort(dim=1).values.gather(1, rank[:, None])[:, 0].clamp_min(1 / FARTHEST_FOCUS_M)
    out_of_focus = out_of_focus_px(depth, focus_m, shots.aperture.to(device))
    return torch.hypot(out_of_focus, shots.softness_px.to(device)[:, None, None])


def _graded(image: Tensor, shots: Shots) -> Tensor:
    """Exposure, colour cast, tone curve, and grey where the camera has no colours."""
    device = image.device
    gain = (shots.exposure[:, None] * shots.balance).to(device)[..., None, None]
    toned = (image * gain).clamp(0, 1) ** shots.gamma.to(device)[:, None, None, None]
    toned = 0.5 + (toned - 0.5) * shots.contrast.to(device)[:, None, None, None]
    luma = (toned * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return torch.where(shots.grey.to(device)[:, None, None, None], luma.expand_as(toned), toned)


def _eight_bits(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
