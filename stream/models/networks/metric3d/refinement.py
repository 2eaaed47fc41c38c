"""Metric3D's refinement: depth, confidence and normals are corrected in turns, together, then enlarged four times.

After RAFT-Stereo (Lipson et al., 3DV 2021): gated recurrent units at 1/4, 1/7 and 1/14 of the image's size, the
coarser ones running more often. What is corrected is called the flow: six channels, the first of them
(depth - 200 m) / 100 m. Near depth lies close to -2 there, where half precision has steps of 0.1 m and bfloat16 of
0.8 m: whatever the convolutions compute in, the flow is kept in float32, as it was in training. What this module is
given and gives is in metres, of which half precision keeps three digits at any distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

NEAREST_M, FARTHEST_M = 0.1, 200.0
"""Canonical metres; official configuration, ``depth_normalize``."""
FLOW_UNIT_M = 100.0
FLOW = 6
"""Channels: depth, its confidence, the normal's x, y and z, and how concentrated the normal is."""
SHORTEST = 1e-10
"""Added to a normal's length, so that none is divided by zero."""
LEAST_KAPPA = 0.01
MASK_WEIGHT = 0.25
"""RAFT's balance of gradients, part of what was trained."""
ENLARGE = 4


class Gru(nn.Module):
    """Memory (N, hidden, h, w), what its gates are told, and input (N, channels, h, w) -> the memory after a turn."""

    def __init__(self, hidden: int, channels: int) -> None:
        super().__init__()
        self.convz = nn.Conv2d(hidden + channels, hidden, 3, padding=1)
        self.convr = nn.Conv2d(hidden + channels, hidden, 3, padding=1)
        self.convq = nn.Conv2d(hidden + channels, hidden, 3, padding=1)

    def forward(self, hidden: Tensor, told: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        seen = torch.cat((hidden, *inputs), 1)
        update, reset = torch.sigmoid(self.convz(seen) + told[0]), torch.sigmoid(self.convr(seen) + told[1])
        new = torch.tanh(self.convq(torch.cat((reset * hidden, *inputs), 1)) + told[2])
        return (1 - update) * hidden + update * new


class FlowHead(nn.Module):
    """Memory (N, hidden, h, w) -> correction of the flow (N, 6, h, w), or of its first two channels."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv1d, self.conv2d = nn.Conv2d(hidden, hidden, 3, padding=1), nn.Conv2d(hidden, 2, 3, padding=1)
        self.conv1n, self.conv2n = nn.Conv2d(hidden, hidden, 3, padding=1), nn.Conv2d(hidden, 4, 3, padding=1)

    def forward(self, hidden: Tensor, *, normals: bool = True) -> Tensor:
        depth = cast(Tensor, self.conv2d(functional.relu(self.conv1d(hidden))))
        if not normals:
            return depth
        return torch.cat((depth, self.conv2n(functional.relu(self.conv1n(hidden)))), 1)


class Refinement(nn.Module):
    """Of features at 1/4 of the image's size; returns what has the image's size."""

    def __init__(self, hidden: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.gru08, self.gru16 = Gru(hidden, FLOW + hidden), Gru(hidden, 2 * hidden)
        self.gru32 = Gru(hidden, hidden)
        self.flow_head = FlowHead(hidden)
        weights = 9 * ENLARGE**2
        self.mask = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, weights, 1))

    def forward(
        self,
        depth: Tensor,
        confidence: Tensor,
        normals: Tensor,
        hidden: Sequence[Tensor],
        told: Sequence[Sequence[Tensor]],
        everything: bool = False,
    ) -> Tensor:
        """Depth (N, 1, h, w) in canonical metres, or with ``everything`` confidence and normals after it (N, 6, h, w).

        ``depth``, ``confidence`` (N, 1, ...) and ``normals`` (N, 4, ...) as first told; memory ``hidden`` and what
        gates are ``told``, three tensors each, at 1/4, 1/7 and 1/14.
        """
        away = (_limited(depth.float()) - FARTHEST_M) / FLOW_UNIT_M
        flow = torch.cat((away, confidence.float(), normalised(normals.float())), 1)
        for turn in range(1, self.iterations + 1):
            hidden = self._turn(hidden, told, flow)
            change = self.flow_head(hidden[0], normals=everything or turn < self.iterations)
            flow = flow[:, : change.shape[1]] + change.float()
        wanted = flow if everything else flow[:, :1]
        enlarged = convex_upsampled(wanted, MASK_WEIGHT * self.mask(hidden[0]).float())
        metres = _limited(enlarged[:, :1] * FLOW_UNIT_M + FARTHEST_M)
        return torch.cat((metres, enlarged[:, 1:2], normalised(enlarged[:, 2:])), 1) if everything else metres

    def _turn(self, hidden: Sequence[Tensor], told: Sequence[Sequence[Tensor]], flow: Tensor) -> Sequence[Tensor]:
        """The coarse memory takes three steps, the middle one two, the fine one its only step at last."""
        fine, middle, coarse = hidden
        for step in range(3):
            coarse = self.gru32(coarse, told[2], _pooled(middle))
            if step > 0:
                middle = self.gru16(middle, told[1], _like(_pooled(fine), middle), _like(coarse, middle))
        # Both for traces, which may be made bfloat16 later: a type's name would stay float32's there, and without the
        # copy the cast, which does nothing while tracing, would take the place of the flow itself
        seen = flow.clone().type_as(fine)
        return self.gru08(fine, told[0], seen, _like(middle, fine)), middle, coarse


def normalised(normals: Tensor) -> Tensor:
    """(N, 4, h, w) of any values -> a vector of length one, and its concentration, at least 0.01."""
    vector, kappa = normals[:, :3], normals[:, 3:]
    length = vector.square().sum(1, keepdim=True).sqrt() + SHORTEST
    return torch.cat((vector / length, functional.elu(kappa) + 1 + LEAST_KAPPA), 1)


def convex_upsampled(x: Tensor, logits: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 4h, 4w): each pixel a mean of its 3 x 3 coarse neighbours, weighted by a softmax.

    ``logits`` (N, 9 * 16, h, w): of the neighbours, then of the new pixels, row by row. Beyond the border x is zero.
    """
    h, w = x.shape[-2:]
    padded = functional.pad(x, (1, 1, 1, 1))
    near = torch.stack([padded[..., i : i + h, j : j + w] for i in range(3) for j in range(3)], 2)
    weights = logits.reshape(-1, 1, 9, ENLARGE**2, h, w).softmax(2)
    return functional.pixel_shuffle((weights * near.unsqueeze(3)).sum(2).flatten(1, 2), ENLARGE)


def _limited(depth: Tensor) -> Tensor:
    return depth.clamp(NEAREST_M, FARTHEST_M)


def _pooled(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=2, padding=1)


def _like(x: Tensor, other: Tensor) -> Tensor:
    return functional.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=True)
