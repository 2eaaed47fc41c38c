"""Converts the GPU frames of video decoders (NV12, P010, P016) to BGR with torch, without leaving the GPU.

The same code runs on CPU memory, which is how it is tested without a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from torch import Tensor

FORMATS = ("nv12", "p010le", "p016le")
"""FFmpeg's names. All are 4:2:0: full-size luma, and half-size chroma with interleaved Cb and Cr. P010 and P016 have
16-bit samples with the significant bits at the top."""
BT709, BT2020 = "ITU709", "BT2020"
LUMA_WEIGHTS = {BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}
"""K_R and K_B, the weights of red and blue in luma, by PyAV's name of the matrix (ITU-T H.273, table 4)."""
BT601_WEIGHTS = (0.299, 0.114)
"""K_R and K_B for all others, and for streams that name no matrix, as FFmpeg does."""
FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG: luma from 0 to 255 rather than 16 to 235."""


def frame_to_bgr(frame: VideoFrame) -> Tensor:
    """(H, W, 3) uint8 BGR on the frame's device, for a frame whose ``sw_format`` is one of FORMATS.

    The result shares no memory with the decoder, which has few surfaces and stops when all of them are held.
    """
    from av.video.reformatter import Colorspace

    name = next((space.name for space in Colorspace if space.value == frame.colorspace), "")
    luma, chroma = planes(frame)
    return to_bgr(luma, chroma, LUMA_WEIGHTS.get(name, BT601_WEIGHTS), full_range=frame.color_range == FULL_RANGE)


def planes(frame: VideoFrame) -> tuple[Tensor, Tensor]:
    """Luma (H, W) and chroma (H // 2, W // 2, 2: Cb, Cr), uint8 or uint16, without a copy: valid as long as ``frame``.

    On a GPU, torch's current stream waits for the decoder's work, which runs on the default stream.
    """
    import torch
    from torch.utils.dlpack import from_dlpack

    # the capsule, not the plane: torch would pass its stream to PyAV, which accepts none
    luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in frame.planes[:2])
    if luma.is_cuda:
        torch.cuda.current_stream(luma.device).wait_stream(torch.cuda.default_stream(luma.device))
    return luma, chroma


def to_bgr(luma: Tensor, chroma: Tensor, weights: tuple[float, float], *, full_range: bool) -> Tensor:
    """(H, W) and (H // 2, W // 2, 2), 8-bit or 16-bit -> (H, W, 3) uint8 BGR (ITU-T H.273, equations 22 to 34).

    ``weights``: K_R and K_B of the matrix. Each chroma sample is repeated for its four pixels, not interpolated.
    """
    import torch

    red, blue = weights
    green = 1 - red - blue
    black, luma_steps, chroma_steps = (0, 255, 255) if full_range else (16, 219, 224)
    y = (_to_8_bit_scale(luma) - black) * (255 / luma_steps)
    u, v = ((_upsampled(_to_8_bit_scale(chroma), y.shape) - 128) * (255 / chroma_steps)).unbind(-1)
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / green
    return torch.stack((b, g, r), dim=-1).round_().clamp_(0, 255).byte()


def _to_8_bit_scale(samples: Tensor) -> Tensor:
    """float32 on the scale of 0 to 255."""
    return samples.float() if samples.element_size() == 1 else samples.float() / 256


def _upsampled(chroma: Tensor, size: tuple[int, ...]) -> Tensor:
    """(h, w, 2) -> (H, W, 2); the last row or column of an odd size repeats its neighbour's."""
    import torch

    rows, columns = (
        (torch.arange(length, device=chroma.device) // 2).clamp_max(chroma_length - 1)
        for length, chroma_length in zip(size, chroma.shape[:2], strict=True)
    )
    return chroma[rows][:, columns]
