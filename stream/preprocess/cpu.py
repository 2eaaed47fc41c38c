"""Preprocessing on the CPU: images to network input, and depth back to camera size.

OpenCV does the resizing; ``separable`` has the filters that OpenCV lacks.

MiDaS' official path divides by 255, resizes in float64, swaps to RGB and normalises in four passes. This module resizes
float32 BGR and does the rest in one ``cv2.transform`` of the small image. The numbers agree within 5e-4 (normalised),
and it takes 0.4 instead of 3.0 ms for 640x480 -> 256x192 and 0.6 instead of 4.6 ms for 1280x720 -> 256x128 (2 cores,
EPYC). Resizing integers would be faster still, but it rounds (0.009 off) and, in uint8, cuts off the overshoot of a
cubic at hard edges, so only networks whose official code resizes bytes set ``round_to_bytes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from stream.errors import ImageError
from stream.frames import Floats, Image, Size
from stream.models.spec import InputSpec, Interpolation
from stream.preprocess import filters, separable
from stream.preprocess.geometry import Placement, placement

SEPARABLE: dict[Interpolation, filters.Taps] = {
    "triangle": filters.triangle,
    "linear_corners": filters.linear_corners,
}
"""The filters that OpenCV lacks."""


def to_network(images: Sequence[Image], spec: InputSpec) -> Floats:
    """Convert N images (H, W, 3) uint8 BGR to one batch (N, 3, h, w) float32 of normalised RGB.

    The images may have different sizes if they share one network size, and no result depends on the other images. The
    memory is NHWC and the result is a transposed view, which torch takes as ``channels_last`` without a copy. Raises
    ImageError for an image that is not 8-bit BGR.
    """
    import cv2

    for image in images:
        _check(image)
    places = [placement(Size(*image.shape[:2]), spec) for image in images]
    nhwc, matrix = _canvases(places, spec), _bgr_to_normalised_rgb(spec)
    for image, place, canvas in zip(images, places, nhwc, strict=True):
        resized = _resized_image(image, place.size, spec)
        # Written to its place in the batch, because stacking would copy every image once more.
        cv2.transform(resized, matrix, dst=canvas[place.rows, place.columns])
    return nhwc.transpose(0, 3, 1, 2)


def to_camera(depth: Floats, size: Size, spec: InputSpec) -> Floats:
    """(h, w) float32 -> a new array (H, W) float32: the border is cut off and the rest resized to the camera's size.

    OpenCV's cubic and torch's ``bicubic`` with ``align_corners=False, antialias=False`` are the same kernel
    (a = -0.75, edges repeated).
    """
    place = placement(size, spec)
    return _resized(depth if place.fills_canvas else depth[place.rows, place.columns], size, spec.restore)


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        shape = "x".join(str(side) for side in image.shape)
        raise ImageError(f"an image must be (H, W, 3) uint8 BGR, not {shape} {image.dtype}; convert it first")


def _canvases(places: Sequence[Placement], spec: InputSpec) -> Floats:
    """(N, h, w, 3) float32, filled with the border's colour where an image does not cover all of it."""
    sizes = {place.canvas for place in places}
    assert len(sizes) == 1, f"a batch holds images of one network size, not {sizes}"
    (size,) = sizes
    nhwc = np.empty((len(places), *size, 3), np.float32)
    for place, canvas in zip(places, nhwc, strict=True):
        if not place.fills_canvas:
            assert spec.canvas is not None
            # a whole row at once: broadcasting three values takes numpy ten times as long
            canvas[:] = np.tile(_normalised(spec.canvas.border, spec), (size.width, 1))
    return nhwc


def _resized_image(image: Image, size: Size, spec: InputSpec) -> Floats:
    """Resize to (h, w, 3) float32 BGR, 0..255, not normalised yet."""
    if not spec.round_to_bytes:
        return _resized(image.astype(np.float32), size, spec.resize)
    return _resized_bytes(np.ascontiguousarray(image), size, spec.resize).astype(np.float32)


def _resized(array: Floats, size: Size, interpolation: Interpolation) -> Floats:
    if interpolation in SEPARABLE:
        return separable.resized(array, size, SEPARABLE[interpolation])
    return cast(Floats, _by_opencv(array, size, interpolation))


def _resized_bytes(image: Image, size: Size, interpolation: Interpolation) -> Image:
    if interpolation in SEPARABLE:
        return separable.resized_bytes(image, size, SEPARABLE[interpolation])
    return cast(Image, _by_opencv(image, size, interpolation))


def _by_opencv(array: Floats | Image, size: Size, interpolation: Interpolation) -> object:
    import cv2

    flags = {
        "nearest": cv2.INTER_NEAREST,
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "area": cv2.INTER_AREA,
    }
    return cv2.resize(array, (size.width, size.height), interpolation=flags[interpolation])


def _bgr_to_normalised_rgb(spec: InputSpec) -> NDArray[np.float64]:
    """(3, 4): one matrix that swaps channels, divides by 255, subtracts the mean and divides by the deviation."""
    matrix = np.zeros((3, 4))
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        matrix[channel, 2 - channel] = 1.0 / (255.0 * std)
        matrix[channel, 3] = -mean / std
    return matrix


def _normalised(rgb: tuple[float, float, float], spec: InputSpec) -> Floats:
    """Normalise an RGB colour, 0..255: (3,) float32."""
    return ((np.array(rgb) / 255 - spec.mean) / spec.std).astype(np.float32)
