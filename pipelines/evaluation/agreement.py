"""Does a network see the same depth in a smaller copy of the same image? No truth is needed for that."""

from __future__ import annotations

from dataclasses import replace

from stream.frames import Batch, Floats, Frame, Kind
from stream.inference.estimator import Estimator
from stream.metrics.fit import nearness
from stream.metrics.ranks import spearman
from stream.preprocess.cpu import to_camera, to_network

SHORT_SIDES_PX = (128, 192)
"""Network pixels; both multiples of 32, the long side follows the image's shape."""


def at_both_sizes(estimator: Estimator, frame: Frame) -> tuple[Floats, Floats]:
    """Depth (H, W) of the image when the network gets it at a short side of 128 px, and of 192 px."""
    small, large = (_at(side, estimator, frame) for side in SHORT_SIDES_PX)
    return small, large


def self_agreement(small: Floats, large: Floats, kind: Kind, step: int = 1) -> float:
    """Spearman's correlation of the two, over every ``step``-th row and column."""
    one, other = (nearness(depth[::step, ::step].ravel(), kind) for depth in (small, large))
    return spearman(one, other)


def _at(short_side_px: int, estimator: Estimator, frame: Frame) -> Floats:
    spec = replace(estimator.spec, side=short_side_px, bound="lower", keep_aspect=True)
    batch = Batch(to_network([frame.image], spec), (frame,))
    return estimator.decode(to_camera(estimator.infer_raw(batch)[0], frame.size, spec), frame)
