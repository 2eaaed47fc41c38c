"""Resizing Segment Anything's masks to an image's size.

The official rule (postprocess_masks) resizes the 256 x 256 logits bilinearly to the frame of 1024, crops what lies
outside of the image, and resizes the rest bilinearly to the image. At 1080p that takes 8 MB per mask and step, 390 MB
for 47 masks. Here masks are resized one after the other, and only the part of the small map that lies in the image. The
result is the same to the bit: the first resize is by exactly four, and each of its rows depends on two small rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.models.networks.efficientvit_sam.mask_decoder import FRAME, MASK

FACTOR = FRAME // MASK


def resize_masks(logits: Tensor, framed: Size, size: Size) -> Tensor:
    """(K, 256, 256) float32 logits -> (K, H, W) bool at the image's ``size``, true where the logit is above zero.

    ``framed``: the image's size in the frame of 1024, pixels.
    """
    height, width = (_small_side(side) for side in framed)
    masks = torch.empty(len(logits), *size, dtype=torch.bool, device=logits.device)
    for small, mask in zip(logits[:, :height, :width].split(1), masks, strict=True):  # type: ignore[no-untyped-call]
        torch.gt(_resize(small, framed, size), 0.0, out=mask)
    return masks


def _resize(small: Tensor, framed: Size, size: Size) -> Tensor:
    """(1, h, w) logits that cover the image -> (H, W)."""
    fine = interpolate(small[None], scale_factor=float(FACTOR), mode="bilinear", align_corners=False)
    cropped = fine[:, :, : framed.height, : framed.width]
    return interpolate(cropped, tuple(size), mode="bilinear", align_corners=False)[0, 0]


def _small_side(side: int) -> int:
    """Number of small pixels on which the first ``side`` pixels of the frame depend: those they lie in, plus one."""
    return min(MASK, -(-side // FACTOR) + 1)
