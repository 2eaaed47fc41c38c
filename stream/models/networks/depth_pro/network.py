"""Depth Pro (Bochkovskii et al., "Depth Pro: Sharp Monocular Metric Depth in Less Than a Second", ICLR 2025).

Parameters have the names of the official checkpoint, so that it loads strictly; attribute names like
``upsample_latent0`` come from there. The output depends on details that are easy to get wrong (source:
apple/ml-depth-pro): the tiles of all images form one batch, with all images' first tiles first; the two finest levels
are the outputs of whole blocks without the last normalisation; the field of view is estimated from the image at quarter
size and the coarsest level of the decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stream.models.networks.depth_pro.decoder import Decoder, Float32Sequential, depth_head
from stream.models.networks.depth_pro.encoder import Config, Encoder, Transformer, downscale
from stream.models.networks.layers.vit import as_grid


class DepthPro(nn.Module):
    """(N, 3, 1536, 1536) RGB in -1..1 -> canonical inverse depth (N, 1536, 1536) and field of view (N,).

    Inverse depth is >= 0 and float32, or in the network's own type; multiplied by width / focal length (both in pixels)
    it is 1 / metres. The field of view is horizontal, in degrees. Any other input size raises ValueError.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.side_px = config.side_px
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.head = depth_head(config.features)
        self.fov = FieldOfView(config)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        self._require_size(pixels)
        quarter = downscale(pixels, 0.25)
        features, coarsest = self.decoder(self.encoder(pixels, quarter))
        return self.head(features).squeeze(1), self.fov(quarter, coarsest)

    def _require_size(self, pixels: Tensor) -> None:
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch.jit is public but not annotated
            return  # a trace cannot record a condition and would only warn about it
        height, width = pixels.shape[-2:]
        if (height, width) != (self.side_px, self.side_px):
            raise ValueError(f"images must be {self.side_px}x{self.side_px}, got {width}x{height}")


class FieldOfView(nn.Module):
    """The image at quarter size and the decoder's coarsest level (N, C, 2G, 2G) -> field of view in degrees (N,)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        features = config.features
        self.grid = config.grid
        self.encoder = nn.Sequential(Transformer(config), nn.Linear(config.width, features // 2))
        self.downsample = nn.Sequential(_halve(features, features // 2), nn.ReLU())
        self.head = Float32Sequential(
            _halve(features // 2, features // 4),
            nn.ReLU(),
            _halve(features // 4, features // 8),
            nn.ReLU(),
            nn.Conv2d(features // 8, 1, config.grid // 4),
        )

    def forward(self, quarter: Tensor, coarsest: Tensor) -> Tensor:
        encoded = as_grid(self.encoder(quarter), self.grid, self.grid)
        degrees: Tensor = self.head(encoded + self.downsample(coarsest))
        return degrees.flatten()


def _halve(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride=2, padding=1)
