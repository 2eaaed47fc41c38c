"""Metric3D's decoder: tokens -> a first depth estimate from 256 distance bins, then its refinement."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.metric3d.context import Context
from stream.models.networks.metric3d.encoder import Config
from stream.models.networks.metric3d.features import Features, Levels
from stream.models.networks.metric3d.refinement import FARTHEST_M, NEAREST_M, Refinement

BINS = 256
"""Distances, evenly spaced in the logarithm."""
NORMAL_CHANNELS = 128


class Expectation(nn.Module):
    """Logits of the distance bins (N, 256, h, w) -> the expected distance, (N, 1, h, w) canonical metres."""

    metres: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = torch.linspace(math.log(NEAREST_M), math.log(FARTHEST_M), BINS).exp()
        self.register_buffer("metres", bins.view(BINS, 1, 1), persistent=False)  # not in the official files

    def forward(self, logits: Tensor) -> Tensor:
        return (logits.float().softmax(1) * self.metres).sum(1, keepdim=True)


class Decoder(nn.Module):
    """Tokens of h x w patches -> depth (N, 1, 14h, 14w) in canonical metres."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        quarter, hidden = config.quarter, config.hidden
        self.token2feature, self.decoder_mono = Levels(config), Features(config)
        self.depth_regressor = nn.Sequential(
            nn.Conv2d(quarter, BINS, 3, padding=1), nn.ReLU(), nn.Conv2d(BINS, BINS, 1)
        )
        self.expectation = Expectation()
        self.normal_predictor = _normal_predictor(quarter)
        self.context_feature_encoder = Context(config)
        self.context_zqr_convs = nn.ModuleList(nn.Conv2d(hidden, 3 * hidden, 3, padding=1) for _ in range(3))
        self.update_block = Refinement(hidden, config.iterations)

    def forward(self, tokens: Tensor, h: int, w: int, all_outputs: bool = False) -> Tensor:
        """With ``all_outputs``, confidence and normals follow depth: (N, 6, 14h, 14w)."""
        third, second, first, finest = self.token2feature(tokens, h, w)
        # the official ``decoder_mono`` activates them in place, so the context is computed from activated features too
        second, first = functional.relu(second), functional.relu(first)
        features = self.decoder_mono(third, second, first, h, w)
        shared, confidence, kappa = features[:, :-2], features[:, -2:-1], features[:, -1:]
        depth = self.expectation(self.depth_regressor(shared))
        normals = torch.cat((self.normal_predictor(shared), kappa), 1)
        hidden, context = self.context_feature_encoder((finest, first, second))
        gate_context = [conv(x).chunk(3, 1) for conv, x in zip(self.context_zqr_convs, context, strict=True)]
        refined: Tensor = self.update_block(depth, confidence, normals, hidden, gate_context, all_outputs=all_outputs)
        return refined


def _normal_predictor(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, NORMAL_CHANNELS, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(NORMAL_CHANNELS, NORMAL_CHANNELS, 1),
        nn.ReLU(),
        nn.Conv2d(NORMAL_CHANNELS, NORMAL_CHANNELS, 1),
        nn.ReLU(),
        nn.Conv2d(NORMAL_CHANNELS, 3, 1),
    )
