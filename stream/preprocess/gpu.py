"""Preprocessing in torch, on a GPU or, with the same numbers, on the CPU.

It converts images to network input, and depth back to camera size. Images are uploaded as bytes and become float only
where they are resized. The filters are those of ``filters``, applied one axis at a time: as a few shifted sums, or as
two matrix products for INTER_AREA.
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

CACHED_FILTERS = 64
"""Filters kept on devices, by lengths and device."""
FilterName = Literal["cubic", "linear", "linear_of_area", "triangle", "linear_corners"]
FILTERS: dict[FilterName, filters.Taps] = {
    "cubic": filters.cubic,
    "linear": filters.linear,
    "linear_of_area": filters.linear_of_area,
    "triangle": filters.triangle,
    "linear_corners": filters.linear_corners,
}


def to_network(images: Tensor, spec: InputSpec, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, H, W, 3) uint8 BGR of one size -> (N, 3, h, w) normalised RGB in ``dtype``, on the images' device.

    The memory is channels-last. In float32 the result is within 5e-4 of the official float64 path of OpenCV. For
    networks with ``round_to_bytes``, "triangle" gives exactly PIL's bytes, and other filters are at most one level off
    OpenCV's.
    """
    place = placement(Size(*images.shape[1:3]), spec)
    planes = images.permute(0, 3, 1, 2).flip(1)
    if spec.round_to_bytes:
        planes = _resized_bytes(planes, place.size, spec.resize)
    else:
        planes = resized(planes.float(), place.size, spec.resize)
    mean, factor = _normalisation(spec, images.device)
    return _on_canvas(planes.sub_(mean).mul_(factor), place, spec, dtype)


def to_camera(depth: Tensor, size: Size, spec: InputSpec) -> Tensor:
    """(N, h, w) of any floating type -> (N, H, W) float32: the border is cut off and the rest resized back."""
    place = placement(size, spec)
    inside = depth if place.fills_canvas else depth[:, place.rows, place.columns]
    return resized(inside.float()[:, None], size, spec.restore)[:, 0]


def decoded_(depth: Tensor, decodings: Sequence[Decoding]) -> Tensor:
    """Apply ``Decoding.decoded`` to each image of (N, H, W) float32 in place."""
    if len(set(decodings)) == 1:
        return _decoded_(depth, decodings[0])
    for image, decoding in zip(depth, decodings, strict=True):
        _decoded_(image, decoding)
    return depth


def resized(planes: Tensor, size: Size, interpolation: Interpolation) -> Tensor:
    """(N, C, H, W) float32 -> a new tensor (N, C, h, w), as OpenCV resizes with the filter of that name."""
    H, W = planes.shape[-2:]
    if tuple(size) == (H, W):
        return planes.clone()  # callers modify the result in place
    if interpolation == "nearest":
        return interpolate(planes, tuple(size), mode="nearest")
    # torch's own "area" is up to 0.45 (of 0..1) off OpenCV's where the ratio is not a whole number.
    if interpolation == "area":
        if size.height <= H and size.width <= W:
            return _area_matrix(H, size.height, planes.device) @ planes @ _area_matrix(W, size.width, planes.device).T
        return _filtered(planes, size, "linear_of_area")
    return _filtered(planes, size, interpolation)


def _resized_bytes(planes: Tensor, size: Size, interpolation: Interpolation) -> Tensor:
    """(N, C, H, W) uint8 -> (N, C, h, w) float32 with whole numbers."""
    if interpolation == "triangle":
        return _triangle_of_bytes(planes.int(), size).float()
    # Clamped, because a cubic overshoots at hard edges.
    return resized(planes.float(), size, interpolation).add_(0.5).floor_().clamp_(0, 255)


def _triangle_of_bytes(planes: Tensor, size: Size) -> Tensor:
    """PIL's own arithmetic in int32: widths first, then heights, rounded after each."""
    for dim, length in ((-1, size.width), (-2, size.height)):
        if planes.shape[dim] != length:
            indices, weights = _fixed_point_taps(planes.shape[dim], length, dim, planes.device)
            # Weights sum to 1, so that a byte's sum takes 8 + 22 bits and int32 does not overflow.
            half = 1 << (filters.PRECISION_BITS - 1)
            planes = (
                _weighted_sum(planes, dim, indices, weights).add_(half).bitwise_right_shift_(filters.PRECISION_BITS)
            )
    return planes


def _on_canvas(planes: Tensor, place: Placement, spec: InputSpec, dtype: torch.dtype) -> Tensor:
    """Put the planes on the canvas and fill the border."""
    if place.fills_canvas:
        return planes.to(dtype, memory_format=torch.channels_last)
    shape = (*planes.shape[:2], *place.canvas)
    canvas = torch.empty(shape, dtype=dtype, device=planes.device, memory_format=torch.channels_last)
    canvas[:] = _border(spec, planes.device)
    canvas[:, :, place.rows, place.columns] = planes
    return canvas


def _filtered(planes: Tensor, size: Size, name: FilterName) -> Tensor:
    """Resize one axis after the other, starting with the one that leaves less work for the second."""
    sides = [(-2, size.height), (-1, size.width)]
    sides.sort(key=lambda side: side[1] / planes.shape[side[0]])
    for dim, length in sides:
        planes = _resized_along(planes, dim, length, name)
    return planes


def _resized_along(planes: Tensor, dim: int, length: int, name: FilterName) -> Tensor:
    if planes.shape[dim] == length:
        return planes
    return _weighted_sum(planes, dim, *_taps(name, planes.shape[dim], length, dim, planes.device))


def _weighted_sum(planes: Tensor, dim: int, indices: Tensor, weights: Tensor) -> Tensor:
    total = planes.index_select(dim, indices[0]).mul_(weights[0])
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        total.addcmul_(planes.index_select(dim, index), weight)
    return total


def _decoded_(depth: Tensor, decoding: Decoding) -> Tensor:
    if decoding.gain != 1.0:
        depth.mul_(decoding.gain)
    if decoding.low is not None or decoding.high is not None:
        depth.clamp_(decoding.low, decoding.high)
    return depth.reciprocal_() if decoding.reciprocal else depth


@lru_cache(maxsize=CACHED_FILTERS)
def _taps(name: FilterName, source: int, target: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices (taps, target), and weights that broadcast along ``dim``."""
    indices, weights = FILTERS[name](source, target)
    return torch.from_numpy(indices).to(device), _broadcast_along(torch.from_numpy(weights).float(), dim).to(device)


@lru_cache(maxsize=CACHED_FILTERS)
def _fixed_point_taps(source: int, target: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """``_taps`` of PIL's BILINEAR on bytes, with int32 weights."""
    indices, weights = filters.triangle(source, target)
    fixed_point = torch.from_numpy(filters.to_fixed_point(weights))
    return torch.from_numpy(indices).to(device), _broadcast_along(fixed_point, dim).to(device)


def _broadcast_along(weights: Tensor, dim: int) -> Tensor:
    """(taps, target) for widths, (taps, target, 1) for heights."""
    return weights[..., None] if dim == -2 else weights


@lru_cache(maxsize=CACHED_FILTERS)
def _area_matrix(source: int, target: int, device: torch.device) -> Tensor:
    return torch.from_numpy(filters.area(source, target)).float().to(device)


@lru_cache(maxsize=CACHED_FILTERS)
def _normalisation(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation of values in 0..255, (3, 1, 1) float32 each."""
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (spec.mean, spec.std))
    return (255 * mean).float().to(device), (1 / (255 * std)).float().to(device)


@lru_cache(maxsize=CACHED_FILTERS)
def _border(spec: InputSpec, device: torch.device) -> Tensor:
    """(3, 1, 1) float32: the normalised colour around the image."""
    assert spec.canvas is not None
    rgb, mean, std = (torch.tensor(values, dtype=torch.float64) for values in (spec.canvas.border, spec.mean, spec.std))
    return ((rgb / 255 - mean) / std).float()[:, None, None].to(device)
