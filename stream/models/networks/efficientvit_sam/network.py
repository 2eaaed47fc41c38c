"""EfficientViT-SAM (Zhang et al., 2024): Segment Anything for boxes with a fast image encoder, L0 to XL1.

An image is embedded once (``forward``, the image encoder); any number of boxes is then decoded (``decoder``). The
two run apart from each other and share one checkpoint, whose names these are (mit-han-lab/efficientvit).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.efficientvit_sam.blocks import ConvLayer, FusedBlock, Operations, Residual
from stream.models.networks.efficientvit_sam.image_encoder import Backbone, LayerNorm2d
from stream.models.networks.efficientvit_sam.mask_decoder import GRID, BoxDecoder, MaskDecoder, PromptEncoder

CHANNELS = 256
"""Of an embedded image; Segment Anything's."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything that variants differ in."""

    widths: tuple[int, ...]
    """Channels of the encoder's stages, at strides 2, 4, 8, ..."""
    depths: tuple[int, ...]
    """Blocks of each stage beside the one that halves."""
    neck: int
    """Blocks that the last three stages, put together, go through."""
    neck_expansion: int
    side: int
    """Of the square input, pixels."""
    channels: int = CHANNELS


WIDE = (32, 64, 128, 256, 512)
VARIANTS = {
    "l0": Shape(WIDE, (1, 1, 1, 4, 4), neck=4, neck_expansion=1, side=512),
    "l1": Shape(WIDE, (1, 1, 1, 6, 6), neck=8, neck_expansion=1, side=512),
    "l2": Shape(WIDE, (1, 2, 2, 8, 8), neck=12, neck_expansion=1, side=512),
    "xl0": Shape((*WIDE, 1024), (0, 1, 1, 2, 3, 3), neck=6, neck_expansion=4, side=1024),
    "xl1": Shape((*WIDE, 1024), (1, 2, 2, 4, 6, 6), neck=12, neck_expansion=4, side=1024),
}


class EfficientVitSam(nn.Module):
    """(N, 3, side, side) normalised RGB, the image top left -> embedded images (N, 256, 64, 64)."""

    def __init__(self, variant: str | Shape) -> None:
        """``variant``: "l0", "l1", "l2", "xl0" or "xl1", or a shape that is not official."""
        super().__init__()
        shape = VARIANTS[variant] if isinstance(variant, str) else variant
        self.image_encoder = ImageEncoder(shape)
        self.prompt_encoder, self.mask_decoder = PromptEncoder(shape.channels), MaskDecoder(shape.channels)

    def forward(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.image_encoder(pixels)
        return embedded

    def decoder(self, *, multimask: bool = False) -> BoxDecoder:
        """The half that makes masks of boxes, on the same parameters."""
        return BoxDecoder(self.prompt_encoder, self.mask_decoder, multimask).train(self.training)


class ImageEncoder(nn.Module):
    """The network's half that runs once for each image. Raises ValueError for any size but its own."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.side = shape.side
        self.backbone, self.neck = Backbone(shape.widths, shape.depths), Neck(shape)
        self.norm = LayerNorm2d(shape.channels)

    def forward(self, pixels: Tensor) -> Tensor:
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch.jit is not annotated
            h, w = pixels.shape[-2:]
            if (h, w) != (self.side, self.side):
                raise ValueError(f"width and height must be {self.side}x{self.side}, got {w}x{h}")
        embedded: Tensor = self.norm(self.neck(self.backbone(pixels)))
        return embedded


class Neck(nn.Module):
    """The features of the last three stages as one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels = shape.channels
        self.input_ops = nn.ModuleList(
            Operations(ConvLayer(width, channels, 1, activated=False)) for width in reversed(shape.widths[-3:])
        )
        self.middle = Operations(
            *(Residual(FusedBlock(channels, channels, expansion=shape.neck_expansion)) for _ in range(shape.neck))
        )
        last = ConvLayer(channels, channels, 1, bias=True, norm=False, activated=False)
        self.output_ops = nn.ModuleList([Operations(last)])

    def forward(self, features: list[Tensor]) -> Tensor:
        deep, middle, fine = (
            _on_grid(operation(x)) for operation, x in zip(self.input_ops, features[:-4:-1], strict=True)
        )
        merged: Tensor = self.output_ops[0](self.middle(deep + middle + fine))
        return merged


def _on_grid(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 64, 64), in float32 as the official code does it."""
    if not torch.jit.is_tracing() and tuple(x.shape[-2:]) == (GRID, GRID):  # type: ignore[attr-defined, no-untyped-call]
        return x
    return functional.interpolate(x.float(), (GRID, GRID), mode="bicubic", align_corners=False).to(x.dtype)
