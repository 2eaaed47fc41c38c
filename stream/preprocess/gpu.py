"""Pictures to network input and depth back to camera size in torch: on a GPU, or on the CPU with the same numbers.

Pictures travel as they are, one byte a sample, and become float only where they are resized. Filters are OpenCV's
(``filters``), applied side by side: a few shifted sums, or for INTER_AREA two matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.input_spec import InputSpec, Interpolation
from stream.preprocess import filters
from stream.preprocess.geometry import network_size

KEPT = 64
"""Filters, by length and device."""
Tapped = Literal["cubic", "linear", "linear_of_area"]
TAPS: dict[Tapped, Callable[[int, int], tuple[filters.Places, filters.Shares]]] = {
    "cubic": filters.cubic,
    "linear": filters.linear,
    "linear_of_area": filters.linear_of_area,
}


def to_network(pictures: Tensor, spec: InputSpec, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, H, W, 3) uint8 BGR of one size -> (N, 3, h, w) normalised RGB in ``dtype``, on the pictures' device.

    In channels-last memory. Within 5e-4 of the official float64 path of OpenCV (in float32).
    """
    size = network_size(Size(*pictures.shape[1:3]), spec)
    planes = pictures.permute(0, 3, 1, 2).flip(1).float()
    mean, factor = _normalisation(spec, pictures.device)
    return resized(planes, size, spec.resize).sub_(mean).mul_(factor).to(dtype, memory_format=torch.channels_last)


def to_camera(depth: Tensor, size: Size, spec: InputSpec) -> Tensor:
    """(N, h, w) of any floating type -> (N, H, W) float32, by the official resize back."""
    return resized(depth.float()[:, None], size, spec.restore)[:, 0]


def resized(planes: Tensor, size: Size, interpolation: Interpolation) -> Tensor:
    """(N, C, H, W) float32 -> (N, C, h, w), as OpenCV does it by the same name; a tensor of its own."""
    H, W = planes.shape[-2:]
    if tuple(size) == (H, W):
        return planes.clone()
    if interpolation == "nearest":
        return interpolate(planes, tuple(size), mode="nearest")
    if interpolation == "area":
        if size.height <= H and size.width <= W:
            return _areas(H, size.height, planes.device) @ planes @ _areas(W, size.width, planes.device).T
        return _tapped(planes, size, "linear_of_area")
    return _tapped(planes, size, interpolation)


def _tapped(planes: Tensor, size: Size, name: Tapped) -> Tensor:
    """One side after the other, the one first that leaves less to do for the second."""
    sides = [(-2, size.height), (-1, size.width)]
    sides.sort(key=lambda side: side[1] / planes.shape[side[0]])
    for dim, length in sides:
        planes = _along(planes, dim, length, name)
    return planes


def _along(planes: Tensor, dim: int, length: int, name: Tapped) -> Tensor:
    if planes.shape[dim] == length:
        return planes
    places, shares = _taps(name, planes.shape[dim], length, dim, planes.device)
    total = planes.index_select(dim, places[0]).mul_(shares[0])
    for place, share in zip(places[1:], shares[1:], strict=True):
        total.addcmul_(planes.index_select(dim, place), share)
    return total


@lru_cache(maxsize=KEPT)
def _taps(name: Tapped, long: int, short: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(taps, short) places, and shares that stretch along ``dim``."""
    places, shares = TAPS[name](long, short)
    stretched = torch.from_numpy(shares).float()[(..., None) if dim == -2 else ...]
    return torch.from_numpy(places).to(device), stretched.to(device)


@lru_cache(maxsize=KEPT)
def _areas(long: int, short: int, device: torch.device) -> Tensor:
    return torch.from_numpy(filters.area(long, short)).float().to(device)


@lru_cache(maxsize=KEPT)
def _normalisation(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is subtracted from values of 0..255 and what they are multiplied with then, each (3, 1, 1)."""
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (spec.mean, spec.std))
    return (255 * mean).float().to(device), (1 / (255 * std)).float().to(device)
