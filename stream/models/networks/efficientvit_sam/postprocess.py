"""Segment Anything's masks at an image's size.

The official rule (postprocess_masks): 256 x 256 logits are resized to the frame of 1024, bilinearly; what lies outside
of the image there is cut off; the rest is resized to the image, bilinearly again. That is 8 MB a mask and step at
1080p, and 390 MB for 47 masks: here one mask after the other, and of the small map only the part that lies in the
image. The same numbers, to the bit: the first resize is by exactly four, and a row of it depends on two small rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.models.networks.efficientvit_sam.mask_decoder import FRAME, MASK

FACTOR = FRAME // MASK


def masks_at(logits: Tensor, framed: Size, size: Size) -> Tensor:
    """(K, 256, 256) float32 logits -> (K, H, W) bool at the image's ``size``, true where the logit is above zero.

    ``framed``: the image's size in the frame of 1024.
    """
    height, width = (_reaching(side) for side in framed)
    masks = torch.empty(len(logits), *size, dtype=torch.bool, device=logits.device)
    for small, mask in zip(logits[:, :height, :width].split(1), masks, strict=True):  # type: ignore[no-untyped-call]
        torch.gt(_at_size(small, framed, size), 0.0, out=mask)
    return masks


def _at_size(small: Tensor, framed: Size, size: Size) -> Tensor:
    """(1, h, w) logits that reach over the image -> (H, W)."""
    fine = interpolate(small[None], scale_factor=float(FACTOR), mode="bilinear", align_corners=False)
    cut = fine[:, :, : framed.height, : framed.width]
    return interpolate(cut, tuple(size), mode="bilinear", align_corners=False)[0, 0]


def _reaching(side: int) -> int:
    """Small pixels on which the first ``side`` pixels of the frame depend: those that they lie in, and the next."""
    return min(MASK, -(-side // FACTOR) + 1)
