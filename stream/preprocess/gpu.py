"""Images to network input and depth back to camera size in torch: on a GPU, or on the CPU with the same numbers.

Images travel as they are, one byte a sample, and become float only where they are resized. Filters are those of
``filters``, applied side by side: a few shifted sums, or for INTER_AREA two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.models.spec import Decoding, InputSpec, Interpolation
from stream.preprocess import filters
from stream.preprocess.geometry import Placement, placement

KEPT = 64
"""Filters, by length and device."""
Tapped = Literal["cubic", "linear", "linear_of_area", "triangle", "linear_corners"]
TAPS: dict[Tapped, filters.Taps] = {
    "cubic": filters.cubic,
    "linear": filters.linear,
    "linear_of_area": filters.linear_of_area,
    "triangle": filters.triangle,
    "linear_corners": filters.linear_corners,
}


def to_network(images: Tensor, spec: InputSpec, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, H, W, 3) uint8 BGR of one size -> (N, 3, h, w) normalised RGB in ``dtype``, on the images' device.

    In channels-last memory. Within 5e-4 of the official float64 path of OpenCV (in float32). For networks that see
    ``whole_values``: exactly PIL's bytes for "triangle", at most one level beside OpenCV's for the others.
    """
    place = placement(Size(*images.shape[1:3]), spec)
    planes = images.permute(0, 3, 1, 2).flip(1)
    if spec.whole_values:
        planes = _resized_bytes(planes, place.size, spec.resize)
    else:
        planes = resized(planes.float(), place.size, spec.resize)
    mean, factor = _normalisation(spec, images.device)
    return _placed(planes.sub_(mean).mul_(factor), place, spec, dtype)


def to_camera(depth: Tensor, size: Size, spec: InputSpec) -> Tensor:
    """(N, h, w) of any floating type -> (N, H, W) float32: the border cut off, the rest by the official resize back."""
    place = placement(size, spec)
    inside = depth if place.fills else depth[:, place.rows, place.columns]
    return resized(inside.float()[:, None], size, spec.restore)[:, 0]


def decoded_(depth: Tensor, decodings: Sequence[Decoding]) -> Tensor:
    """``Decoding.decoded`` of each image of (N, H, W) float32, in place."""
    if len(set(decodings)) == 1:
        return _decoded_(depth, decodings[0])
    for image, decoding in zip(depth, decodings, strict=True):
        _decoded_(image, decoding)
    return depth


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


def _resized_bytes(planes: Tensor, size: Size, interpolation: Interpolation) -> Tensor:
    """(N, C, H, W) uint8 -> (N, C, h, w) float32 that holds whole numbers only."""
    if interpolation == "triangle":
        return _triangle_of_bytes(planes.int(), size).float()
    return resized(planes.float(), size, interpolation).add_(0.5).floor_().clamp_(0, 255)


def _triangle_of_bytes(planes: Tensor, size: Size) -> Tensor:
    """PIL's own arithmetic, int32: widths first, then heights, rounded after each."""
    for dim, length in ((-1, size.width), (-2, size.height)):
        if planes.shape[dim] != length:
            places, shares = _whole_taps(planes.shape[dim], length, dim, planes.device)
            half = 1 << (filters.SHARE_BITS - 1)
            planes = _sum(planes, dim, places, shares).add_(half).bitwise_right_shift_(filters.SHARE_BITS)
    return planes


def _placed(planes: Tensor, place: Placement, spec: InputSpec, dtype: torch.dtype) -> Tensor:
    """In the canvas, the border filled."""
    if place.fills:
        return planes.to(dtype, memory_format=torch.channels_last)
    shape = (*planes.shape[:2], *place.canvas)
    canvas = torch.empty(shape, dtype=dtype, device=planes.device, memory_format=torch.channels_last)
    canvas[:] = _border(spec, planes.device)
    canvas[:, :, place.rows, place.columns] = planes
    return canvas


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
    return _sum(planes, dim, *_taps(name, planes.shape[dim], length, dim, planes.device))


def _sum(planes: Tensor, dim: int, places: Tensor, shares: Tensor) -> Tensor:
    total = planes.index_select(dim, places[0]).mul_(shares[0])
    for place, share in zip(places[1:], shares[1:], strict=True):
        total.addcmul_(planes.index_select(dim, place), share)
    return total


def _decoded_(depth: Tensor, decoding: Decoding) -> Tensor:
    if decoding.gain != 1.0:
        depth.mul_(decoding.gain)
    if decoding.low is not None or decoding.high is not None:
        depth.clamp_(decoding.low, decoding.high)
    return depth.reciprocal_() if decoding.reciprocal else depth


@lru_cache(maxsize=KEPT)
def _taps(name: Tapped, long: int, short: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(taps, short) places, and shares that stretch along ``dim``."""
    places, shares = TAPS[name](long, short)
    return torch.from_numpy(places).to(device), _stretched(torch.from_numpy(shares).float(), dim).to(device)


@lru_cache(maxsize=KEPT)
def _whole_taps(long: int, short: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """As ``_taps``, of PIL's BILINEAR on bytes: shares are int32."""
    places, shares = filters.triangle(long, short)
    whole = torch.from_numpy(filters.in_whole_numbers(shares))
    return torch.from_numpy(places).to(device), _stretched(whole, dim).to(device)


def _stretched(shares: Tensor, dim: int) -> Tensor:
    """(taps, short), or (taps, short, 1) where they go along heights."""
    return shares[..., None] if dim == -2 else shares


@lru_cache(maxsize=KEPT)
def _areas(long: int, short: int, device: torch.device) -> Tensor:
    return torch.from_numpy(filters.area(long, short)).float().to(device)


@lru_cache(maxsize=KEPT)
def _normalisation(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is subtracted from values of 0..255 and what they are multiplied with then, each (3, 1, 1)."""
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (spec.mean, spec.std))
    return (255 * mean).float().to(device), (1 / (255 * std)).float().to(device)


@lru_cache(maxsize=KEPT)
def _border(spec: InputSpec, device: torch.device) -> Tensor:
    """(3, 1, 1) float32: the normalised colour around the image."""
    assert spec.canvas is not None
    rgb, mean, std = (torch.tensor(values, dtype=torch.float64) for values in (spec.canvas.border, spec.mean, spec.std))
    return ((rgb / 255 - mean) / std).float()[:, None, None].to(device)
