"""Depth Pro's encoder: one vision transformer encodes tiles of the image at three sizes, another the whole image.

The image's side is four tiles long. The image is cut into 5 x 5 tiles, the image at half size into 3 x 3, and the image
at quarter size is one tile. These 35 tiles of T x T pixels, or G x G tokens, pass the transformer as one batch
(apple/ml-depth-pro, network/encoder.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.depth_pro.tiles import COARSE, FINE
from stream.models.networks.layers.vit import NORM_EPS, Block, PatchEmbed, as_grid

PATCH_PX = 16
TILES = FINE.count + COARSE.count + 1


@dataclass(frozen=True, slots=True)
class Config:
    """The proportions of the network; the defaults are the released network's."""

    width: int = 1024
    """Channels of a token, in all three transformers."""
    depth: int = 24
    heads: int = 16
    taps: tuple[int, int] = (5, 11)
    """Blocks, counted from 0, whose outputs become the two finest levels."""
    levels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Channels of the encoder's levels from strides 4 to 32."""
    features: int = 256
    """Channels of the finest level and of the decoder; a multiple of 8."""
    tile_px: int = 384
    """Side of a tile; a multiple of 128, so that the overlaps are whole tokens."""

    def __post_init__(self) -> None:
        if self.tile_px < 128 or self.tile_px % 128:
            raise ValueError(f"tile_px must be a positive multiple of 128, got {self.tile_px}")

    @property
    def side_px(self) -> int:
        """Height and width of the network's input."""
        return 4 * self.tile_px

    @property
    def grid(self) -> int:
        """Tokens along each side of a tile."""
        return self.tile_px // PATCH_PX


class Transformer(nn.Module):
    """DINOv2's encoder on patches of 16 pixels: tiles (N, 3, T, T) -> tokens (N, G * G, width), normalised."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, config.width))
        self.patch_embed = PatchEmbed(config.width, PATCH_PX)
        self.blocks = nn.Sequential(*(Block(config.width, config.heads) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, tiles: Tensor) -> Tensor:
        return self.forward_with_taps(tiles, ())[0]

    def forward_with_taps(self, tiles: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
        """The normalised tokens, followed by the outputs of the blocks ``taps``, which are not normalised."""
        x = self.patch_embed(tiles)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), 1) + self.pos_embed
        tapped = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in taps:
                tapped.append(x[:, 1:])
        return [self.norm(x)[:, 1:], *tapped]


class Encoder(nn.Module):
    """The image (N, 3, 4T, 4T) and the same at quarter size -> features at strides 2, 4, 8, 16 and 32.

    The features' channels are ``config.features`` and ``config.levels``.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, (a, b, c, d) = config.width, config.levels
        self.taps, self.grid = config.taps, config.grid
        self.patch_encoder, self.image_encoder = Transformer(config), Transformer(config)
        self.upsample_latent0 = upsample_block(width, config.features, 3, between=a)
        self.upsample_latent1 = upsample_block(width, a, 2)
        self.upsample0, self.upsample1, self.upsample2 = (upsample_block(width, out, 1) for out in (b, c, d))
        self.upsample_lowres = nn.ConvTranspose2d(width, d, 2, 2)
        self.fuse_lowres = nn.Conv2d(2 * d, d, 1)

    def forward(self, pixels: Tensor, quarter: Tensor) -> list[Tensor]:
        last, early, middle = self._encode_tiles(pixels, quarter)
        whole = as_grid(self.image_encoder(quarter), self.grid, self.grid)
        coarsest = torch.cat((self.upsample2(last[-1]), self.upsample_lowres(whole)), 1)
        return [
            self.upsample_latent0(FINE.merge(early[: FINE.count])),
            self.upsample_latent1(FINE.merge(middle[: FINE.count])),
            self.upsample0(FINE.merge(last[: FINE.count])),
            self.upsample1(COARSE.merge(last[FINE.count : -1])),
            self.fuse_lowres(coarsest),
        ]

    def _encode_tiles(self, pixels: Tensor, quarter: Tensor) -> list[Tensor]:
        """Outputs of the last block and of the taps, (35, N, width, G, G) each: fine, coarse, and the quarter."""
        tiles = torch.cat((FINE.split(pixels), COARSE.split(downscale(pixels, 0.5)), quarter[None]))
        outputs = self.patch_encoder.forward_with_taps(tiles.flatten(0, 1), self.taps)
        grids = (as_grid(tokens, self.grid, self.grid) for tokens in outputs)
        # -1 and not the number of images, which a trace would keep as a constant.
        return [grid.reshape(TILES, -1, *grid.shape[1:]) for grid in grids]


def upsample_block(channels: int, out: int, doublings: int, *, between: int | None = None) -> nn.Sequential:
    """Projects to ``between`` channels (``out`` if not given), then doubles the size ``doublings`` times."""
    first = out if between is None else between
    inputs = [first, *(out for _ in range(doublings - 1))]
    upsampling = (nn.ConvTranspose2d(width, out, 2, 2, bias=False) for width in inputs)
    return nn.Sequential(nn.Conv2d(channels, first, 1, bias=False), *upsampling)


def downscale(pixels: Tensor, factor: float) -> Tensor:
    """Bilinear without antialias, as in the official code: each pixel comes from the nearest pixels only."""
    return functional.interpolate(pixels, scale_factor=factor, mode="bilinear", align_corners=False)
