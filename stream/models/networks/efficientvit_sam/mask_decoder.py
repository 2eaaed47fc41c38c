"""Segment Anything's second half (Kirillov et al., ICCV 2023), for boxes: an embedded image and boxes in, masks out.

Boxes of several images are one batch: each names its image. Boxes are in the frame of an image whose longer side
is 1024, whatever size the encoder saw. Names of parameters are those of the official checkpoints; parts that only
points and mask prompts need are loaded and not run. Norms have EfficientViT-SAM's epsilon.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.efficientvit_sam.image_encoder import LayerNorm2d
from stream.models.networks.efficientvit_sam.two_way_attention import Transformer

FRAME = 1024
"""Side of the square that boxes are given in, and that masks are made for."""
GRID = 64
"""Side of an embedded image."""
MASK = 256
"""Side of the masks that come out."""
MASKS = 4
"""One for prompts that leave no doubt, and three guesses for prompts that do."""


class BoxDecoder(nn.Module):
    """Masks of boxes: the network's half that runs once for each box.

    It shares its parts with the network. With ``multimask`` it gives the three guesses, else the one mask.
    """

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, multimask: bool = False) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = prompt_encoder, mask_decoder
        self.masks = slice(1, MASKS) if multimask else slice(0, 1)

    def forward(self, embeddings: Tensor, boxes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """``embeddings`` (M, C, 64, 64), ``boxes`` (K, 4) float32: x0, y0, x1, y1 in the frame of 1024, ``index``
        (K,) int64: which image each box is of -> logits (K, 1 or 3, 256, 256), estimated IoU (K, 1 or 3), float32.

        Positions are encoded in float32 whatever the mask decoder computes in: half precision cannot tell pixels
        of the frame apart.
        """
        encoder, dtype = self.prompt_encoder, self.mask_decoder.iou_token.weight.dtype
        images = (embeddings.float() + encoder.no_mask()).to(dtype)
        grid, prompts = encoder.grid().to(dtype), encoder.boxes(boxes).to(dtype)
        masks, iou = self.mask_decoder(images[index], grid, prompts, self.masks)
        return masks.float(), iou.float()


class PositionEncoding(nn.Module):
    """Places as waves of random direction and length, which are part of the checkpoint."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """(..., 2) from 0 to 1 -> (..., channels)."""
        phase = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat((phase.sin(), phase.cos()), -1)


class PromptEncoder(nn.Module):
    """Boxes as two tokens each, one for each corner."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pe_layer = PositionEncoding(channels)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed, self.no_mask_embed = nn.Embedding(1, channels), nn.Embedding(1, channels)
        quarter, full = 4, 16
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, quarter, 2, 2),
            LayerNorm2d(quarter),
            nn.GELU(),
            nn.Conv2d(quarter, full, 2, 2),
            LayerNorm2d(full),
            nn.GELU(),
            nn.Conv2d(full, channels, 1),
        )

    def boxes(self, boxes: Tensor) -> Tensor:
        """(K, 4) in the frame of 1024 -> (K, 2, channels). Nothing is written in place: that exports as scattering."""
        corners = torch.stack([cast(nn.Embedding, corner).weight[0] for corner in self.point_embeddings[2:]])
        places: Tensor = self.pe_layer((boxes.reshape(-1, 2, 2) + 0.5) / FRAME)
        return places + corners

    def grid(self) -> Tensor:
        """Positions of an embedded image's places, (1, 64 * 64, channels)."""
        device = self.no_mask_embed.weight.device
        centre = (torch.arange(GRID, device=device, dtype=torch.float32) + 0.5) / GRID
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        places: Tensor = self.pe_layer(torch.stack((x, y), -1).reshape(1, GRID * GRID, 2))
        return places

    def no_mask(self) -> Tensor:
        """What stands for a mask prompt where there is none, (channels, 1, 1)."""
        return self.no_mask_embed.weight[0][:, None, None]


class MaskDecoder(nn.Module):
    """Tokens and an image look at each other; then each mask's token is made into a filter for the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transformer = Transformer(channels)
        self.iou_token, self.mask_tokens = nn.Embedding(1, channels), nn.Embedding(MASKS, channels)
        half, quarter = channels // 4, channels // 8
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, 2),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp(channels, quarter) for _ in range(MASKS))
        self.iou_prediction_head = Mlp(channels, MASKS)

    def forward(self, images: Tensor, grid: Tensor, prompts: Tensor, masks: slice) -> tuple[Tensor, Tensor]:
        """``images`` (K, C, 64, 64), ``grid`` (1, 64 * 64, C), ``prompts`` (K, 2, C); ``masks``: which of the four
        -> logits (K, masks, 256, 256), estimated IoU (K, masks). Masks that are not asked for cost nothing."""
        own = torch.cat((self.iou_token.weight, self.mask_tokens.weight))
        tokens = torch.cat((own.expand(prompts.shape[0], -1, -1), prompts), 1)
        tokens, places = self.transformer(tokens, images.flatten(2).transpose(1, 2), grid)
        fine = self.output_upscaling(places.transpose(1, 2).unflatten(2, (GRID, GRID)))
        filters = [self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in range(MASKS)[masks]]
        logits = (torch.stack(filters, 1) @ fine.flatten(2)).unflatten(2, (MASK, MASK))
        return logits, self.iou_prediction_head(tokens[:, 0])[:, masks]


class Mlp(nn.Module):
    """Three layers; what comes out is a filter, or four estimates."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        widths = (channels, channels, out)
        self.layers = nn.ModuleList(nn.Linear(channels, width) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        y: Tensor = last(functional.relu(second(functional.relu(first(x)))))
        return y
