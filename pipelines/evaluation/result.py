"""One image judged: the network's figures, the guess's figures, and what a contact sheet shows of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

import numpy as np

from pipelines.evaluation.agreement import at_both_sizes, self_agreement
from pipelines.evaluation.sample import Sample
from stream.core.clock import Stamp
from stream.errors import ImageError
from stream.frames import DepthMap, Floats, Frame, Kind, Size
from stream.inference.estimator import Estimator
from stream.metrics.edges import edge_share
from stream.metrics.fit import fitted_inverse, known_pixels, nearness
from stream.metrics.ordinal import ordinal_error
from stream.metrics.score import score

Metrics: TypeAlias = dict[str, float]
"""By name; NaN where an image has no such figure."""

MOST_PIXELS = 400_000
"""Figures look at no more pixels than this, on a regular grid; edges are looked for at full size."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one image."""

    name: str
    group: str
    model: Metrics
    """The fields of Score, ``ordinal_error``, ``edge_share`` and ``self_agreement``; the last alone without truth."""
    prior: Metrics
    """The same of "lower is nearer", which is relative inverse depth, without ``self_agreement``."""
    sample: Sample = field(repr=False)
    depth_map: DepthMap = field(repr=False)
    at_both_sizes: tuple[Floats, Floats] = field(repr=False)
    """(H, W): what ``self_agreement`` compares."""


def judge(estimator: Estimator, sample: Sample) -> Result:
    """Run the network and score it. Raises ImageError for an image whose truth is nowhere nearer than 80 m."""
    frame = Frame(sample.image, sample.name, 0, Stamp.now("file"))
    (depth_map,) = estimator.estimate(estimator.prepare([frame]))
    both = at_both_sizes(estimator, frame)
    model = metrics(depth_map.depth, sample, depth_map.kind)
    model["self_agreement"] = self_agreement(*both, depth_map.kind, _step(depth_map.depth))
    prior = metrics(lower_is_nearer(frame.size), sample, "relative_inverse")
    return Result(sample.name, sample.group, model, prior, sample, depth_map, both)


def metrics(prediction: Floats, sample: Sample, kind: Kind) -> Metrics:
    """All figures of a prediction (H, W) against the sample's truth; none without truth.

    Raises ImageError as ``judge`` does.
    """
    if sample.truth is None:
        return {}
    step = _step(sample.truth)
    few, truth = prediction[::step, ::step], sample.truth[::step, ::step]
    scored = score(few, truth, kind)
    if scored is None:
        raise ImageError(f"{sample.name}: cannot be scored: fewer than two pixels known to be nearer than 80 m")
    known = known_pixels(few, truth)
    ordinal = ordinal_error(nearness(few[known], kind), truth[known].astype(np.float64))
    edges = edge_share(fitted_inverse(prediction, sample.truth, kind), sample.truth)
    return {**asdict(scored), "ordinal_error": ordinal, "edge_share": edges}


def _step(depth: Floats) -> int:
    return max(1, math.ceil(math.sqrt(depth.size / MOST_PIXELS)))


def lower_is_nearer(size: Size) -> Floats:
    """(H, W) float32 relative inverse depth: the number of the row."""
    rows = np.arange(size.height, dtype=np.float32)
    return np.repeat(rows[:, None], size.width, axis=1)
