"""The weights that are shipped: a running mean of those that are trained."""

from __future__ import annotations

import copy

import torch
from torch import nn

DECAY = 0.998


def follow(average: nn.Module, network: nn.Module, steps: int) -> None:
    """Move ``average`` towards ``network``: faster in the first steps, when it still holds what it began with."""
    share = 1 - min(DECAY, (steps + 1) / (steps + 20))
    with torch.no_grad():
        ours, theirs = average.state_dict(), network.state_dict()
        for name, tensor in ours.items():
            if tensor.is_floating_point():
                tensor.lerp_(theirs[name], share)
            else:
                tensor.copy_(theirs[name])


def average_of(network: nn.Module) -> nn.Module:
    """A copy that is not trained."""
    return copy.deepcopy(network).eval().requires_grad_(False)
