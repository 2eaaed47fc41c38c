"""Score one image: the network's metrics, those of a trivial baseline, and the maps for the contact sheet."""

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
"""Metrics by name; NaN where the image has no such metric."""

MAX_PIXELS = 400_000
"""Metrics are computed on a regular grid of at most this many pixels; edges are searched at full size."""


@dataclass(frozen=True, slots=True)
class Result:
    """The scores of one image."""

    name: str
    group: str
    model: Metrics
    """The fields of Score, ``ordinal_error``, ``edge_share`` and ``self_agreement``; without ground truth only the
    last."""
    baseline: Metrics
    """The same metrics of the guess "lower in the image is nearer" as relative inverse depth, but no
    ``self_agreement``."""
    sample: Sample = field(repr=False)
    depth_map: DepthMap = field(repr=False)
    at_both_sizes: tuple[Floats, Floats] = field(repr=False)
    """(H, W) depth at the two input sizes that ``self_agreement`` compares."""


def score_sample(estimator: Estimator, sample: Sample) -> Result:
    """Run the network on one image and score it.

    Raises ImageError for an image whose ground truth has fewer than two pixels nearer than 80 m.
    """
    frame = Frame(sample.image, sample.name, 0, Stamp.now("file"))
    (depth_map,) = estimator.estimate(estimator.prepare([frame]))
    both = at_both_sizes(estimator, frame)
    model = metrics(depth_map.depth, sample, depth_map.kind)
    model["self_agreement"] = self_agreement(*both, depth_map.kind, _step(depth_map.depth))
    baseline = metrics(lower_is_nearer(frame.size), sample, "relative_inverse")
    return Result(sample.name, sample.group, model, baseline, sample, depth_map, both)


def metrics(prediction: Floats, sample: Sample, kind: Kind) -> Metrics:
    """All metrics of a prediction (H, W) against the sample's ground truth; empty without ground truth.

    Raises ImageError as ``score_sample`` does.
    """
    if sample.ground_truth is None:
        return {}
    step = _step(sample.ground_truth)
    coarse, target = prediction[::step, ::step], sample.ground_truth[::step, ::step]
    scored = score(coarse, target, kind)
    if scored is None:
        raise ImageError(f"{sample.name}: cannot be scored: fewer than two pixels known to be nearer than 80 m")
    known = known_pixels(coarse, target)
    ordinal = ordinal_error(nearness(coarse[known], kind), target[known].astype(np.float64))
    edges = edge_share(fitted_inverse(prediction, sample.ground_truth, kind), sample.ground_truth)
    return {**asdict(scored), "ordinal_error": ordinal, "edge_share": edges}


def _step(depth: Floats) -> int:
    return max(1, math.ceil(math.sqrt(depth.size / MAX_PIXELS)))


def lower_is_nearer(size: Size) -> Floats:
    """The baseline: (H, W) float32 relative inverse depth that equals the row's number."""
    rows = np.arange(size.height, dtype=np.float32)
    return np.repeat(rows[:, None], size.width, axis=1)
