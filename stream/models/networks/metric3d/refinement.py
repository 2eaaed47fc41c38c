"""Metric3D's refinement: it corrects depth, confidence and normals together in iterations, then upsamples four times.

It follows RAFT-Stereo (Lipson et al., 3DV 2021): gated recurrent units run at 1/4, 1/7 and 1/14 of the image's size,
the coarser ones more often. The corrected value is called the flow: six channels, the first of them
(depth - 200 m) / 100 m. Near depth lies close to -2 there, where float16 has steps of 0.1 m and bfloat16 of 0.8 m.
Whatever the convolutions compute in, the flow is therefore kept in float32, as it was in training. Input and output of
this module are in metres, of which half precision keeps three digits at any distance.
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
"""Metres per unit of the flow's first channel."""
FLOW = 6
"""Channels: depth, its confidence, the normal's x, y and z, and how concentrated the normal is."""
LENGTH_EPS = 1e-10
"""Added to a normal's length, so that no division is by zero."""
MIN_KAPPA = 0.01
"""Smallest concentration of a normal."""
MASK_WEIGHT = 0.25
"""RAFT's factor to balance gradients; the network was trained with it."""
UPSCALE = 4
"""From the refinement's size to the image's, per side."""


class Gru(nn.Module):
    """Hidden state (N, hidden, h, w), context of the three gates and input (N, channels, h, w) -> next hidden state."""

    def __init__(self, hidden: int, channels: int) -> None:
        super().__init__()
        self.convz = nn.Conv2d(hidden + channels, hidden, 3, padding=1)
        self.convr = nn.Conv2d(hidden + channels, hidden, 3, padding=1)
        self.convq = nn.Conv2d(hidden + channels, hidden, 3, padding=1)

    def forward(self, hidden: Tensor, context: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        x = torch.cat((hidden, *inputs), 1)
        update, reset = torch.sigmoid(self.convz(x) + context[0]), torch.sigmoid(self.convr(x) + context[1])
        new = torch.tanh(self.convq(torch.cat((reset * hidden, *inputs), 1)) + context[2])
        return (1 - update) * hidden + update * new


class FlowHead(nn.Module):
    """Hidden state (N, hidden, h, w) -> correction of the flow (N, 6, h, w), or without ``normals`` (N, 2, h, w)."""

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
    """Refines depth at 1/4 of the image's size and upsamples it to the image's size."""

    def __init__(self, hidden: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.gru08, self.gru16 = Gru(hidden, FLOW + hidden), Gru(hidden, 2 * hidden)
        self.gru32 = Gru(hidden, hidden)
        self.flow_head = FlowHead(hidden)
        weights = 9 * UPSCALE**2
        self.mask = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, weights, 1))

    def forward(
        self,
        depth: Tensor,
        confidence: Tensor,
        normals: Tensor,
        hidden: Sequence[Tensor],
        context: Sequence[Sequence[Tensor]],
        all_outputs: bool = False,
    ) -> Tensor:
        """Depth (N, 1, h, w) in canonical metres; with ``all_outputs``, confidence and normals follow: (N, 6, h, w).

        ``depth`` (N, 1, ...) in metres, ``confidence`` (N, 1, ...) and ``normals`` (N, 4, ...) are the first estimates.
        The ``hidden`` states and the ``context`` of the gates are at 1/4, 1/7 and 1/14; each context has three tensors.
        """
        depth_flow = (_clamped(depth.float()) - FARTHEST_M) / FLOW_UNIT_M
        flow = torch.cat((depth_flow, confidence.float(), normalised(normals.float())), 1)
        for iteration in range(1, self.iterations + 1):
            hidden = self._update(hidden, context, flow)
            # the last iteration's normals are only needed if they are returned
            change = self.flow_head(hidden[0], normals=all_outputs or iteration < self.iterations)
            flow = flow[:, : change.shape[1]] + change.float()
        coarse = flow if all_outputs else flow[:, :1]
        fine = convex_upsampled(coarse, MASK_WEIGHT * self.mask(hidden[0]).float())
        metres = _clamped(fine[:, :1] * FLOW_UNIT_M + FARTHEST_M)
        return torch.cat((metres, fine[:, 1:2], normalised(fine[:, 2:])), 1) if all_outputs else metres

    def _update(self, hidden: Sequence[Tensor], context: Sequence[Sequence[Tensor]], flow: Tensor) -> Sequence[Tensor]:
        """One iteration: three steps of the coarse state, two of the middle one, and finally one of the fine one."""
        fine, middle, coarse = hidden
        for step in range(3):
            coarse = self.gru32(coarse, context[2], _pooled(middle))
            if step > 0:
                middle = self.gru16(middle, context[1], _like(_pooled(fine), middle), _like(coarse, middle))
        # ``type_as`` and ``clone`` are for traces that are converted to bfloat16 later: a dtype by name would stay
        # float32 there, and without the copy the cast, which does nothing while tracing, would replace the flow itself
        flow_input = flow.clone().type_as(fine)
        return self.gru08(fine, context[0], flow_input, _like(middle, fine)), middle, coarse


def normalised(normals: Tensor) -> Tensor:
    """(N, 4, h, w) raw values -> unit vector (three channels) and its concentration, at least 0.01."""
    vector, kappa = normals[:, :3], normals[:, 3:]
    length = vector.square().sum(1, keepdim=True).sqrt() + LENGTH_EPS
    return torch.cat((vector / length, functional.elu(kappa) + 1 + MIN_KAPPA), 1)


def convex_upsampled(x: Tensor, logits: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 4h, 4w): each pixel is a mean of its 3 x 3 coarse neighbours, weighted by a softmax.

    ``logits`` (N, 9 * 16, h, w): the 9 neighbours are the outer index, the 16 new pixels the inner one, both row by
    row. Beyond the border x is zero.
    """
    h, w = x.shape[-2:]
    padded = functional.pad(x, (1, 1, 1, 1))
    neighbours = torch.stack([padded[..., i : i + h, j : j + w] for i in range(3) for j in range(3)], 2)
    weights = logits.reshape(-1, 1, 9, UPSCALE**2, h, w).softmax(2)
    return functional.pixel_shuffle((weights * neighbours.unsqueeze(3)).sum(2).flatten(1, 2), UPSCALE)


def _clamped(depth: Tensor) -> Tensor:
    return depth.clamp(NEAREST_M, FARTHEST_M)


def _pooled(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=2, padding=1)


def _like(x: Tensor, other: Tensor) -> Tensor:
    return functional.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=True)
