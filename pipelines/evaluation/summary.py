"""Means and medians over the results of many images, and all results as plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

from pipelines.evaluation.flicker import Flicker
from pipelines.evaluation.result import Metrics, Result
from stream.inference.estimator import Estimator

METRIC_NAMES = (
    *("spearman", "abs_rel", "rmse_m", "delta1", "delta2", "delta3"),
    *("ordinal_error", "edge_share", "self_agreement"),
)
"""All metrics, in the order of the table."""


def means(metrics: Sequence[Metrics]) -> Metrics:
    """Mean of each metric over the images that have it; NaN where none has."""
    return {name: fmean(values) if (values := _finite(metrics, name)) else math.nan for name in METRIC_NAMES}


def medians(metrics: Sequence[Metrics]) -> Metrics:
    """Median of each metric over the images that have it; NaN where none has."""
    return {name: median(values) if (values := _finite(metrics, name)) else math.nan for name in METRIC_NAMES}


def by_group(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by group, sorted by the group's name."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    return dict(sorted(groups.items()))


def summary_json(name: str, about: str, results: Sequence[Result], images: int) -> dict[str, Any]:
    """One data set with ``images`` images: means, medians, means by group, and every image that was scored."""
    model, baseline = [result.model for result in results], [result.baseline for result in results]
    return {
        "name": name,
        "about": about,
        "size": images,
        "scored": len(results),
        "model": {"mean": _json(means(model)), "median": _json(medians(model))},
        "baseline": {"mean": _json(means(baseline)), "median": _json(medians(baseline))},
        "groups": {
            group: {"scored": len(members), "mean": _json(means([member.model for member in members]))}
            for group, members in by_group(results).items()
        },
        "images": [
            {
                "name": result.name,
                "group": result.group,
                "model": _json(result.model),
                "baseline": _json(result.baseline),
            }
            for result in results
        ],
    }


def flicker_json(clips: Sequence[Flicker]) -> list[dict[str, Any]]:
    """The flicker of each tour, with null for NaN."""
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
    """The network, weights and engine that the metrics belong to.

    ``engine`` is the estimator's description from the time when it was loaded.
    """
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
    """Null for NaN, which JSON does not have."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
