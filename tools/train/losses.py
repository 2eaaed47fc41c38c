"""How wrong relative inverse depth is: right up to scale and shift, sharp at edges, in the right order.

The parts are those of Ranftl et al. 2020 (normalised prediction, multi-scale gradients, from Li and Snavely 2018) and
Chen et al. 2016 (ranking). Labels are exact, so nothing is trimmed: trimming 10% stalled the prototype.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from stream.frames import Size
from tools.train.resize import shrunk

CLAMP = 6.0
"""Targets end at so many mean deviations from the median: one thing at the lens must not decide an image."""
FIT, GRADIENTS, RANKING, AGREEMENT = 0.5, 0.4, 0.4, 0.5
"""Weights beside the direct L1's, which is 1."""
SCALES = 4
PAIRS = 800
"""Ranked pairs an image, half of them across depth edges."""
EQUAL = 0.15
"""Pairs nearer to each other than this are not ranked."""
STEEPNESS = 2.0
EDGE = 0.25
"""A step between neighbours that counts as an edge."""
ACROSS_PX = (1, 5)
"""How far the two pixels of a pair are from the edge between them: from, up to but not including."""
SCALE_LIMITS = (0.3, 3.0)


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Scalars on the device; ``total`` has the graph."""

    total: Tensor
    direct: Tensor
    fit: Tensor
    gradients: Tensor
    ranking: Tensor
    agreement: Tensor


def depth_loss(
    prediction: Tensor, inverse: Tensor, generator: torch.Generator, second_look: Tensor | None = None
) -> Loss:
    """Of (B, h, w) against true inverse depth (B, h, w); ``generator`` (of their device) draws the ranked pairs.

    ``second_look``: (n, h2, w2), the answers to the first n images made smaller and lit differently.
    """
    target = standardised(inverse)
    error = prediction - target
    direct, fit = error.abs().mean(), _after_fit(prediction, target)
    gradients, ranking = _gradients(error), _ranking(prediction, target, generator)
    agreement = prediction.new_zeros(())
    if second_look is not None:
        agreement = _agreement(prediction, second_look)
    total = direct + FIT * fit + GRADIENTS * gradients + RANKING * ranking + AGREEMENT * agreement
    parts = (part.detach() for part in (direct, fit, gradients, ranking, agreement))
    return Loss(total, *parts)


def standardised(inverse: Tensor) -> Tensor:
    """Minus its median, by its mean absolute deviation, clamped to +-6; image by image."""
    flat = inverse.flatten(1)
    centred = flat - flat.median(dim=1, keepdim=True).values
    return (centred / centred.abs().mean(1, keepdim=True).clamp_min(1e-3)).clamp(-CLAMP, CLAMP).view_as(inverse)


def _after_fit(prediction: Tensor, target: Tensor) -> Tensor:
    """L1 after the least-squares scale, kept in 0.3..3 so that an inverted map stays wrong, and shift."""
    flat, goal = prediction.flatten(1), target.flatten(1)
    known = flat.detach()
    mean, goal_mean = known.mean(1, keepdim=True), goal.mean(1, keepdim=True)
    variance = ((known - mean) ** 2).mean(1, keepdim=True).clamp_min(1e-3)
    scale = (((known - mean) * (goal - goal_mean)).mean(1, keepdim=True) / variance).clamp(*SCALE_LIMITS)
    return (scale * (flat - mean) + goal_mean - goal).abs().mean()


def _agreement(prediction: Tensor, second_look: Tensor) -> Tensor:
    """L1 between two answers about the same images, at the smaller size; both are pulled."""
    first = shrunk(prediction[: len(second_look), None], Size(*second_look.shape[1:]))
    return (first[:, 0] - second_look).abs().mean()


def _gradients(error: Tensor) -> Tensor:
    """Steps of the error between neighbours at four scales: edges in the wrong place or too soft."""
    total = error.new_zeros(())
    for scale in range(SCALES):
        coarse = error[:, :: 2**scale, :: 2**scale]
        total = total + coarse.diff(dim=2).abs().mean() + coarse.diff(dim=1).abs().mean()
    return total / 2


def _ranking(prediction: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """Logistic loss of pairs in the wrong order."""
    anywhere, across = _pairs_anywhere(target, generator), _pairs_across_edges(target, generator)
    first, second = (torch.cat(both, dim=1) for both in zip(anywhere, across, strict=True))
    flat, goal = prediction.flatten(1), target.flatten(1)
    step = goal.gather(1, first) - goal.gather(1, second)
    guess = flat.gather(1, first) - flat.gather(1, second)
    counted = (step.abs() > EQUAL).float()
    return (softplus(-STEEPNESS * guess * step.sign()) * counted).sum() / counted.sum().clamp_min(1)


def _pairs_anywhere(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    B, h, w = target.shape
    places = torch.randint(h * w, (2, B, PAIRS // 2), generator=generator, device=target.device)
    return places[0], places[1]


def _pairs_across_edges(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two pixels on both sides of a step, in its row or column; anywhere where an image has no step."""
    h, w = target.shape[1:]
    right, down = torch.zeros_like(target), torch.zeros_like(target)
    right[:, :, :-1], down[:, :-1] = target.diff(dim=2).abs(), target.diff(dim=1).abs()
    weight = (torch.maximum(right, down) > EDGE).float().flatten(1) + 1e-6
    edge = torch.multinomial(weight, PAIRS // 2, replacement=True, generator=generator)
    in_row = (right >= down).flatten(1).gather(1, edge)
    far = torch.randint(*ACROSS_PX, edge.shape, generator=generator, device=target.device)
    row, column = edge // w, edge % w
    before = (row - (far - 1) * ~in_row).clamp_min(0) * w + (column - (far - 1) * in_row).clamp_min(0)
    after = (row + far * ~in_row).clamp_max(h - 1) * w + (column + far * in_row).clamp_max(w - 1)
    return before, after
