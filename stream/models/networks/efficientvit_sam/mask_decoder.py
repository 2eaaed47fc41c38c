"""Segment Anything's mask decoder for box prompts (Kirillov et al., ICCV 2023): embedded images and boxes -> masks.

Boxes of several images form one batch, with the index of its image for each box. Box coordinates belong to an image
whose longer side is 1024, whatever the size of the encoder's input. Parameters have the names of the official
checkpoints; parts that only point and mask prompts need are loaded but not run. Norms have EfficientViT-SAM's epsilon.
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
"""Side of the square in which box coordinates are given and masks are made, pixels."""
GRID = 64
"""Side of an embedded image, positions."""
MASK = 256
"""Side of the decoder's masks, pixels."""
MASKS = 4
"""One mask for unambiguous prompts, and three candidates for ambiguous ones."""


class BoxDecoder(nn.Module):
    """The half of the network that runs once per box; it shares its parameters with the network.

    With ``multimask`` it returns the three candidates, else the one mask.
    """

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, multimask: bool = False) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = prompt_encoder, mask_decoder
        self.masks = slice(1, MASKS) if multimask else slice(0, 1)

    def forward(self, embeddings: Tensor, boxes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (K, 1 or 3, 256, 256) and estimated IoU (K, 1 or 3), float32, of K boxes in M images.

        ``embeddings`` (M, C, 64, 64); ``boxes`` (K, 4) float32: x0, y0, x1, y1 in the frame of 1024; ``index`` (K,)
        int64: the image of each box.
        """
        # positions are encoded in float32 always: half precision cannot distinguish the frame's pixels
        encoder, dtype = self.prompt_encoder, self.mask_decoder.iou_token.weight.dtype
        images = (embeddings.float() + encoder.no_mask()).to(dtype)
        grid, prompts = encoder.grid().to(dtype), encoder.boxes(boxes).to(dtype)
        masks, iou = self.mask_decoder(images[index], grid, prompts, self.masks)
        return masks.float(), iou.float()


class PositionEncoding(nn.Module):
    """Encodes positions by waves of random direction and length, which are part of the checkpoint."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """Positions (..., 2) from 0 to 1 -> (..., channels)."""
        phase = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat((phase.sin(), phase.cos()), -1)


class PromptEncoder(nn.Module):
    """Encodes each box as two tokens, one per corner; its other parts exist only for the checkpoint."""

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
        """(K, 4) in the frame of 1024 -> (K, 2, channels)."""
        # nothing is written in place, because that would be exported as a scatter operation
        corners = torch.stack([cast(nn.Embedding, corner).weight[0] for corner in self.point_embeddings[2:]])
        # Segment Anything's boxes are moved to pixel centres.
        positions: Tensor = self.pe_layer((boxes.reshape(-1, 2, 2) + 0.5) / FRAME)
        return positions + corners

    def grid(self) -> Tensor:
        """Position encoding of an embedded image, (1, 64 * 64, channels)."""
        device = self.no_mask_embed.weight.device
        centre = (torch.arange(GRID, device=device, dtype=torch.float32) + 0.5) / GRID
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        positions: Tensor = self.pe_layer(torch.stack((x, y), -1).reshape(1, GRID * GRID, 2))
        return positions

    def no_mask(self) -> Tensor:
        """The embedding that replaces a missing mask prompt, (channels, 1, 1)."""
        return self.no_mask_embed.weight[0][:, None, None]


class MaskDecoder(nn.Module):
    """Lets tokens and image attend to each other, then makes each mask's token a filter for the upsampled image."""

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
        """Logits (K, masks, 256, 256) and estimated IoU (K, masks).

        ``images`` (K, C, 64, 64); ``grid`` (1, 64 * 64, C); ``prompts`` (K, 2, C); ``masks`` selects from the four
        masks, and only those are computed.
        """
        outputs = torch.cat((self.iou_token.weight, self.mask_tokens.weight))
        tokens = torch.cat((outputs.expand(prompts.shape[0], -1, -1), prompts), 1)
        tokens, positions = self.transformer(tokens, images.flatten(2).transpose(1, 2), grid)
        fine = self.output_upscaling(positions.transpose(1, 2).unflatten(2, (GRID, GRID)))
        filters = [self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in range(MASKS)[masks]]
        logits = (torch.stack(filters, 1) @ fine.flatten(2)).unflatten(2, (MASK, MASK))
        return logits, self.iou_prediction_head(tokens[:, 0])[:, masks]


class Mlp(nn.Module):
    """Three linear layers; their output is a mask's filter, or the four IoU estimates."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        widths = (channels, channels, out)
        self.layers = nn.ModuleList(nn.Linear(channels, width) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        y: Tensor = last(functional.relu(second(functional.relu(first(x)))))
        return y
