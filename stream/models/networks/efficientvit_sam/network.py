"""EfficientViT-SAM (Zhang et al., 2024): Segment Anything for boxes with a fast image encoder, L0 to XL1.

An image is embedded once (``forward``, the image encoder); then any number of boxes is decoded (``decoder``). The two
halves run separately but share one checkpoint, whose parameter names are used here (mit-han-lab/efficientvit).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.efficientvit_sam.blocks import ConvLayer, FusedBlock, OpSequential, Residual
from stream.models.networks.efficientvit_sam.image_encoder import Backbone, LayerNorm2d
from stream.models.networks.efficientvit_sam.mask_decoder import GRID, BoxDecoder, MaskDecoder, PromptEncoder

CHANNELS = 256
"""Channels of an embedded image, as in Segment Anything."""


@dataclass(frozen=True, slots=True)
class Config:
    """The proportions of one variant."""

    widths: tuple[int, ...]
    """Channels of the encoder's stages, at strides 2, 4, 8, ..."""
    depths: tuple[int, ...]
    """Blocks of each stage, not counting the one that halves the size."""
    neck: int
    """Blocks after the last three stages are added up."""
    neck_expansion: int
    """Expansion of these blocks."""
    side: int
    """Side of the square input, pixels."""
    channels: int = CHANNELS
    """Channels of an embedded image."""


WIDE = (32, 64, 128, 256, 512)
VARIANTS = {
    "l0": Config(WIDE, (1, 1, 1, 4, 4), neck=4, neck_expansion=1, side=512),
    "l1": Config(WIDE, (1, 1, 1, 6, 6), neck=8, neck_expansion=1, side=512),
    "l2": Config(WIDE, (1, 2, 2, 8, 8), neck=12, neck_expansion=1, side=512),
    "xl0": Config((*WIDE, 1024), (0, 1, 1, 2, 3, 3), neck=6, neck_expansion=4, side=1024),
    "xl1": Config((*WIDE, 1024), (1, 2, 2, 4, 6, 6), neck=12, neck_expansion=4, side=1024),
}


class EfficientVitSam(nn.Module):
    """(N, 3, side, side) normalised RGB, with the image at the top left -> embedded images (N, 256, 64, 64)."""

    def __init__(self, variant: str | Config) -> None:
        """``variant``: "l0", "l1", "l2", "xl0" or "xl1", or the proportions of an unofficial variant."""
        super().__init__()
        config = VARIANTS[variant] if isinstance(variant, str) else variant
        self.image_encoder = ImageEncoder(config)
        self.prompt_encoder, self.mask_decoder = PromptEncoder(config.channels), MaskDecoder(config.channels)

    def forward(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.image_encoder(pixels)
        return embedded

    def decoder(self, *, multimask: bool = False) -> BoxDecoder:
        """The half that makes masks from boxes; it shares this network's parameters."""
        return BoxDecoder(self.prompt_encoder, self.mask_decoder, multimask).train(self.training)


class ImageEncoder(nn.Module):
    """The half of the network that runs once per image. Raises ValueError for any other input size."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.side = config.side
        self.backbone, self.neck = Backbone(config.widths, config.depths), Neck(config)
        self.norm = LayerNorm2d(config.channels)

    def forward(self, pixels: Tensor) -> Tensor:
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch.jit is not annotated
            h, w = pixels.shape[-2:]
            if (h, w) != (self.side, self.side):
                raise ValueError(f"width and height must be {self.side}x{self.side}, got {w}x{h}")
        embedded: Tensor = self.norm(self.neck(self.backbone(pixels)))
        return embedded


class Neck(nn.Module):
    """Adds up the features of the last three stages at 64 x 64 and refines the sum."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.channels
        self.input_ops = nn.ModuleList(
            OpSequential(ConvLayer(width, channels, 1, activated=False)) for width in reversed(config.widths[-3:])
        )
        self.middle = OpSequential(
            *(Residual(FusedBlock(channels, channels, expansion=config.neck_expansion)) for _ in range(config.neck))
        )
        last = ConvLayer(channels, channels, 1, bias=True, norm=False, activated=False)
        self.output_ops = nn.ModuleList([OpSequential(last)])

    def forward(self, features: list[Tensor]) -> Tensor:
        deep, middle, fine = (
            _on_grid(operation(x)) for operation, x in zip(self.input_ops, features[:-4:-1], strict=True)
        )
        merged: Tensor = self.output_ops[0](self.middle(deep + middle + fine))
        return merged


def _on_grid(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 64, 64), resized in float32 as in the official code."""
    if not torch.jit.is_tracing() and tuple(x.shape[-2:]) == (GRID, GRID):  # type: ignore[attr-defined, no-untyped-call]
        return x
    return functional.interpolate(x.float(), (GRID, GRID), mode="bicubic", align_corners=False).to(x.dtype)
