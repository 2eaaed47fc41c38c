"""How good weights are on rendered views that no training sees; models are chosen by these figures and no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.metrics.ranks import spearman
from stream.metrics.score import score_relative_inverse
from stream.models.spec import InputSpec
from stream.scenes.world.layouts import FAMILIES
from tools.train.augment import normalised
from tools.train.resize import nearest, shrunk
from tools.train.views import Recipe, drawn

HELD_OUT_SEED = 20_261_120
"""Far from the small seeds that people give trainings."""
RENDERED, SHOWN, SMALLER = Size(288, 384), Size(192, 256), Size(128, 160)
"""Views are rendered larger and shrunk, as a camera's images are; truth is compared at 192x256.

SMALLER is what the product makes of a 4:3 image at a short side of 128: both sides are multiples of 32."""
TEXTURES = 128
BATCH = 16


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Views on the CPU, families in the order of FAMILIES."""

    rgb: Tensor
    """(n, 3, 288, 384) uint8."""
    depth: NDArray[np.float32]
    """(n, 192, 256), metres; +inf for sky."""
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """Means over the views unless said otherwise; the network sees 192x256, or 128x160 where a name says 128."""

    spearman: float
    spearman_median: float
    delta1: float
    abs_rel: float
    spearman_128: float
    delta1_128: float
    abs_rel_128: float
    agreement: float
    """Median over the views of Spearman's correlation between the two answers."""
    by_family: dict[str, float]
    """Spearman at 192x256."""


def held_out(views: int, workers: int = 0, seed: int = HELD_OUT_SEED) -> HeldOut:
    """About ``views`` views, each family in its share and at least once; the same for the same numbers."""
    total = sum(share for _, share in FAMILIES.values())
    counts = {name: max(1, round(views * share / total)) for name, (_, share) in FAMILIES.items()}
    recipes = [Recipe(seed, (RENDERED,), n, TEXTURES, "cpu", name) for name, n in counts.items()]
    chunks = drawn(recipes, workers)
    inverse = torch.from_numpy(np.concatenate([chunk.inverse for chunk in chunks])).float()
    depth = (1 / nearest(inverse, SHOWN)).numpy()
    families = tuple(name for name, n in counts.items() for _ in range(n))
    return HeldOut(torch.from_numpy(np.concatenate([chunk.rgb for chunk in chunks])), depth, families)


def validate(network: nn.Module, views: HeldOut, spec: InputSpec, device: torch.device | str = "cpu") -> Validation:
    """Score ``network``, which is in eval mode and on ``device``, in float32 and one pass."""
    large, small = (_predicted(network, views.rgb, size, spec, device) for size in (SHOWN, SMALLER))
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
    """(n, 192, 256): what the network answers at ``size``, brought to the truth's by the product's linear resize."""
    answers = []
    with torch.inference_mode():
        for start in range(0, len(rgb), BATCH):
            pixels = normalised(shrunk(rgb[start : start + BATCH].to(device).float() / 255, size), spec)
            depth = network(pixels.contiguous(memory_format=torch.channels_last))[:, None].float()
            answers.append(interpolate(depth, tuple(SHOWN), mode="bilinear", align_corners=False)[:, 0].cpu())
    return np.asarray(torch.cat(answers).numpy())


def _scores(predictions: NDArray[np.float32], depths: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, 3): Spearman, delta1, AbsRel of each view."""
    rows = []
    for prediction, depth in zip(predictions, depths, strict=True):
        score = score_relative_inverse(prediction, depth)
        assert score is not None, "views worth keeping have things nearer than 80 m"
        rows.append((_number(score.spearman), score.delta1, score.abs_rel))
    return np.array(rows)


def _agreement(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return _number(spearman(first.ravel().astype(np.float64), second.ravel().astype(np.float64)))


def _number(correlation: float) -> float:
    """A flat answer orders nothing: 0."""
    return 0.0 if np.isnan(correlation) else correlation
