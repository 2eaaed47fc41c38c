"""Images made smaller as the product makes them: every output pixel is the mean of the area it covers."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.preprocess.gpu import resized


def shrunk(images: Tensor, size: Size) -> Tensor:
    """(B, C, H, W) float -> (B, C, h, w), as OpenCV's INTER_AREA, which InputSpec calls "area"."""
    return resized(images, size, "area")


def nearest(values: Tensor, size: Size) -> Tensor:
    """(B, H, W) -> (B, h, w) without mixing near and far: depth between two surfaces would be true of neither."""
    return interpolate(values[:, None], tuple(size), mode="nearest-exact")[:, 0]
