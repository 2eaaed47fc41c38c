"""Validation on rendered views that no training uses; weights are chosen by these metrics alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.metrics.ordinal import spearman
from stream.metrics.score import score_relative_inverse
from stream.models.spec import InputSpec
from stream.scenes.world.layouts import FAMILIES
from tools.train.augment import normalised, resized_nearest, shrunk
from tools.train.views import Recipe, render_chunks

HELD_OUT_SEED = 20_261_120
"""A seed far from the small ones that are usual for trainings."""
RENDERED_SIZE, EVALUATED_SIZE, SMALL_SIZE = Size(288, 384), Size(192, 256), Size(128, 160)
"""Views are rendered larger and shrunk, as a camera's images are; depth is compared at 192x256.

SMALL_SIZE is the product's network size for a 4:3 image at a short side of 128, with both sides multiples of 32."""
TEXTURES = 128
"""Textures in the atlas of the held-out views."""
BATCH = 16
"""Views per forward pass."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Held-out views on the CPU, ordered by family as in FAMILIES."""

    rgb: Tensor
    """(n, 3, 288, 384) uint8 RGB."""
    depth: NDArray[np.float32]
    """(n, 192, 256), metres; +inf for sky."""
    families: tuple[str, ...]
    """Family of each view."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Means over the views unless noted otherwise, for network input of 192x256, or 128x160 if a name ends in 128."""

    spearman: float
    spearman_median: float
    delta1: float
    abs_rel: float
    spearman_128: float
    delta1_128: float
    abs_rel_128: float
    agreement: float
    """Median over the views of Spearman's correlation between the predictions at the two sizes."""
    by_family: dict[str, float]
    """Mean Spearman at 192x256 of each family."""


def held_out(views: int, workers: int = 0, seed: int = HELD_OUT_SEED) -> HeldOut:
    """Render about ``views`` views, each family in its share and at least once.

    The same arguments always give the same views.
    """
    total = sum(share for _, share in FAMILIES.values())
    counts = {name: max(1, round(views * share / total)) for name, (_, share) in FAMILIES.items()}
    recipes = [Recipe(seed, (RENDERED_SIZE,), n, TEXTURES, "cpu", name) for name, n in counts.items()]
    chunks = render_chunks(recipes, workers)
    inverse = torch.from_numpy(np.concatenate([chunk.inverse for chunk in chunks])).float()
    depth = (1 / resized_nearest(inverse, EVALUATED_SIZE)).numpy()
    families = tuple(name for name, n in counts.items() for _ in range(n))
    return HeldOut(torch.from_numpy(np.concatenate([chunk.rgb for chunk in chunks])), depth, families)


def validate(network: nn.Module, views: HeldOut, spec: InputSpec, device: torch.device | str = "cpu") -> Validation:
    """Score ``network``, which is in eval mode and on ``device``, in float32 at both sizes."""
    large, small = (_predicted(network, views.rgb, size, spec, device) for size in (EVALUATED_SIZE, SMALL_SIZE))
    at_192, at_128 = _scores(large, views.depth), _scores(small, views.depth)
    order, delta1, abs_rel = at_192.mean(0).tolist()
    order_128, delta1_128, abs_rel_128 = at_128.mean(0).tolist()
    names = np.array(views.families)
    return Validation(
        spearman=order,
        spearman_median=float(np.median(at_192[:, 0])),
        delta1=delta1,
        abs_rel=abs_rel,
        spearman_128=order_128,
        delta1_128=delta1_128,
        abs_rel_128=abs_rel_128,
        agreement=float(np.median([_agreement(a, b) for a, b in zip(large, small, strict=True)])),
        by_family={name: float(at_192[names == name, 0].mean()) for name in dict.fromkeys(views.families)},
    )


def _predicted(
    network: nn.Module, rgb: Tensor, size: Size, spec: InputSpec, device: torch.device | str
) -> NDArray[np.float32]:
    """(n, 192, 256): predictions for input of ``size``, resized linearly to the ground truth's size."""
    predictions = []
    with torch.inference_mode():
        for start in range(0, len(rgb), BATCH):
            pixels = normalised(shrunk(rgb[start : start + BATCH].to(device).float() / 255, size), spec)
            depth = network(pixels.contiguous(memory_format=torch.channels_last))[:, None].float()
            predictions.append(
                interpolate(depth, tuple(EVALUATED_SIZE), mode="bilinear", align_corners=False)[:, 0].cpu()
            )
    return np.asarray(torch.cat(predictions).numpy())


def _scores(predictions: NDArray[np.float32], depths: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, 3): Spearman, delta1 and AbsRel of each view."""
    rows = []
    for prediction, depth in zip(predictions, depths, strict=True):
        score = score_relative_inverse(prediction, depth)
        assert score is not None, "views worth keeping have objects nearer than 80 m"
        rows.append((_number(score.spearman), score.delta1, score.abs_rel))
    return np.array(rows)


def _agreement(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return _number(spearman(first.ravel().astype(np.float64), second.ravel().astype(np.float64)))


def _number(correlation: float) -> float:
    """Replace the NaN of a flat prediction, which orders nothing, by 0."""
    return 0.0 if np.isnan(correlation) else correlation
