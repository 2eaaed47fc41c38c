"""The loss of relative inverse depth: errors up to scale and shift, at edges, and in the order of pixels.

The parts are those of Ranftl et al. 2020 (normalised prediction, and multi-scale gradients after Li and Snavely 2018)
and of Chen et al. 2016 (ranking). Labels are exact, so no outliers are trimmed: trimming 10% stalled the prototype.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from stream.frames import Size
from tools.train.augment import shrunk

CLAMP = 6.0
"""Targets are clamped at this many mean deviations from the median, so that one near object does not dominate."""
FIT, GRADIENTS, RANKING, AGREEMENT = 0.5, 0.4, 0.4, 0.5
"""Weights of the parts, relative to the direct L1's weight of 1."""
SCALES = 4
"""Number of scales of the gradient loss, each half as fine as the one before."""
PAIRS = 800
"""Ranked pairs per image, half of them across depth edges."""
MIN_RANKED_STEP = 0.15
"""Pairs whose targets differ by less are not ranked."""
STEEPNESS = 2.0
"""Factor of the logistic ranking loss."""
EDGE_STEP = 0.25
"""Difference of neighbouring targets that counts as an edge."""
ACROSS_PX = (1, 5)
"""Range of the distance of a pair's pixels from the edge between them; the upper end is excluded."""
SCALE_LIMITS = (0.3, 3.0)
"""Range of the fitted scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Scalars on the device; only ``total`` carries the autograd graph."""

    total: Tensor
    direct: Tensor
    fit: Tensor
    gradients: Tensor
    ranking: Tensor
    agreement: Tensor


def depth_loss(
    prediction: Tensor, inverse: Tensor, generator: torch.Generator, second_look: Tensor | None = None
) -> Loss:
    """The loss of a prediction (B, h, w) against true inverse depth (B, h, w).

    ``generator``, on the same device, draws the ranked pairs. ``second_look`` (n, h2, w2) is the prediction for the
    first n images after ``augment.second_look``.
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
    """Subtract each image's median, divide by its mean absolute deviation, and clamp to +-6."""
    flat = inverse.flatten(1)
    centred = flat - flat.median(dim=1, keepdim=True).values
    return (centred / centred.abs().mean(1, keepdim=True).clamp_min(1e-3)).clamp(-CLAMP, CLAMP).view_as(inverse)


def _after_fit(prediction: Tensor, target: Tensor) -> Tensor:
    """L1 after a least-squares fit of scale, limited to 0.3..3 so that an inverted map stays wrong, and shift."""
    flat, target_values = prediction.flatten(1), target.flatten(1)
    fixed = flat.detach()  # the fit itself gets no gradient
    mean, target_mean = fixed.mean(1, keepdim=True), target_values.mean(1, keepdim=True)
    variance = ((fixed - mean) ** 2).mean(1, keepdim=True).clamp_min(1e-3)
    scale = (((fixed - mean) * (target_values - target_mean)).mean(1, keepdim=True) / variance).clamp(*SCALE_LIMITS)
    return (scale * (flat - mean) + target_mean - target_values).abs().mean()


def _agreement(prediction: Tensor, second_look: Tensor) -> Tensor:
    """L1 between two predictions for the same images, at the smaller size; both get gradients."""
    first = shrunk(prediction[: len(second_look), None], Size(*second_look.shape[1:]))
    return (first[:, 0] - second_look).abs().mean()


def _gradients(error: Tensor) -> Tensor:
    """Differences of the error between neighbours at four scales, which penalise misplaced and soft edges."""
    total = error.new_zeros(())
    for scale in range(SCALES):
        coarse = error[:, :: 2**scale, :: 2**scale]
        total = total + coarse.diff(dim=2).abs().mean() + coarse.diff(dim=1).abs().mean()
    return total / 2


def _ranking(prediction: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """Logistic loss of the pairs' order."""
    anywhere, across = _pairs_anywhere(target, generator), _pairs_across_edges(target, generator)
    first, second = (torch.cat(both, dim=1) for both in zip(anywhere, across, strict=True))
    flat, target_values = prediction.flatten(1), target.flatten(1)
    step = target_values.gather(1, first) - target_values.gather(1, second)
    predicted_step = flat.gather(1, first) - flat.gather(1, second)
    counted = (step.abs() > MIN_RANKED_STEP).float()
    return (softplus(-STEEPNESS * predicted_step * step.sign()) * counted).sum() / counted.sum().clamp_min(1)


def _pairs_anywhere(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    B, h, w = target.shape
    places = torch.randint(h * w, (2, B, PAIRS // 2), generator=generator, device=target.device)
    return places[0], places[1]


def _pairs_across_edges(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw two pixels on both sides of an edge, in its row or column; anywhere in an image without edges."""
    h, w = target.shape[1:]
    right, down = torch.zeros_like(target), torch.zeros_like(target)
    right[:, :, :-1], down[:, :-1] = target.diff(dim=2).abs(), target.diff(dim=1).abs()
    # The small weight lets multinomial, which rejects rows of zeros, draw from images without edges.
    weight = (torch.maximum(right, down) > EDGE_STEP).float().flatten(1) + 1e-6
    edge = torch.multinomial(weight, PAIRS // 2, replacement=True, generator=generator)
    in_row = (right >= down).flatten(1).gather(1, edge)
    distance = torch.randint(*ACROSS_PX, edge.shape, generator=generator, device=target.device)
    row, column = edge // w, edge % w
    before = (row - (distance - 1) * ~in_row).clamp_min(0) * w + (column - (distance - 1) * in_row).clamp_min(0)
    after = (row + distance * ~in_row).clamp_max(h - 1) * w + (column + distance * in_row).clamp_max(w - 1)
    return before, after
