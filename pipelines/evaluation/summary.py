"""Many judgements as a few numbers, and all of them as plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

from pipelines.evaluation.flicker import Flicker
from pipelines.evaluation.result import Metrics, Result
from stream.inference.estimator import Estimator

FIGURES = (
    *("spearman", "abs_rel", "rmse_m", "delta1", "delta2", "delta3"),
    *("ordinal_error", "edge_share", "self_agreement"),
)
"""In the order of the table."""


def means(metrics: Sequence[Metrics]) -> Metrics:
    """Over the images that have the figure; NaN where none has."""
    return {name: fmean(values) if (values := _finite(metrics, name)) else math.nan for name in FIGURES}


def medians(metrics: Sequence[Metrics]) -> Metrics:
    return {name: median(values) if (values := _finite(metrics, name)) else math.nan for name in FIGURES}


def by_group(judgements: Iterable[Result]) -> dict[str, list[Result]]:
    """In the order of the groups' names."""
    groups: dict[str, list[Result]] = {}
    for judgement in judgements:
        groups.setdefault(judgement.group, []).append(judgement)
    return dict(sorted(groups.items()))


def summary_json(name: str, about: str, judgements: Sequence[Result], images: int) -> dict[str, Any]:
    """One data set of so many ``images``: means, medians, means by group, and every image that was scored."""
    model, prior = [j.model for j in judgements], [j.prior for j in judgements]
    return {
        "name": name,
        "about": about,
        "size": images,
        "scored": len(judgements),
        "model": {"mean": _json(means(model)), "median": _json(medians(model))},
        "lower_is_nearer": {"mean": _json(means(prior)), "median": _json(medians(prior))},
        "groups": {
            group: {"scored": len(members), "mean": _json(means([j.model for j in members]))}
            for group, members in by_group(judgements).items()
        },
        "images": [
            {"name": j.name, "group": j.group, "model": _json(j.model), "lower_is_nearer": _json(j.prior)}
            for j in judgements
        ],
    }


def flicker_json(clips: Sequence[Flicker]) -> list[dict[str, Any]]:
    return [
        {
            "seed": clip.seed,
            "static_share": clip.static_share,
            "shown": _json(asdict(clip.shown)),
            "steadied": _json(asdict(clip.steadied)),
            "fitted": _json(asdict(clip.fitted)),
        }
        for clip in clips
    ]


def about_model(estimator: Estimator, engine: str) -> dict[str, Any]:
    """What the figures belong to; ``engine``: the estimator's description while it was loaded."""
    model = estimator.model
    return {
        "model": model.name,
        "kind": model.kind,
        "weights": estimator.settings.weights,
        "engine": engine,
    }


def _finite(metrics: Sequence[Metrics], name: str) -> list[float]:
    return [each[name] for each in metrics if math.isfinite(each.get(name, math.nan))]


def _json(metrics: Metrics) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
