"""Does a network see the same depth in a smaller copy of the same picture? No truth is needed for that."""

from __future__ import annotations

from dataclasses import replace

from stream.estimator import Estimator
from stream.frames import Batch, Floats, Frame
from stream.metrics.fit import nearness
from stream.metrics.ranks import spearman
from stream.preprocess.cpu import to_camera, to_network

SHORT_SIDES_PX = (128, 192)
"""Network pixels; both multiples of 32, the long side follows the picture's shape."""


def self_agreement(estimator: Estimator, frame: Frame, step: int = 1) -> float:
    """Spearman's correlation of the outputs at short sides of 128 and 192 px, over every ``step``-th row and column."""
    one, other = (_at(side, estimator, frame)[::step, ::step] for side in SHORT_SIDES_PX)
    kind = estimator.model.kind
    return spearman(nearness(one.ravel(), kind), nearness(other.ravel(), kind))


def _at(short_side_px: int, estimator: Estimator, frame: Frame) -> Floats:
    spec = replace(estimator.spec, side=short_side_px, bound="lower", keep_aspect=True)
    batch = Batch(to_network([frame.image], spec), (frame,))
    return estimator.model.decode(to_camera(estimator.infer_raw(batch)[0], frame.size, spec))
