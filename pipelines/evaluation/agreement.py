"""How well a network agrees with itself on the same image at two input sizes; this needs no ground truth."""

from __future__ import annotations

from dataclasses import replace

from stream.frames import Batch, Floats, Frame, Kind
from stream.inference.estimator import Estimator
from stream.metrics.fit import nearness
from stream.metrics.ordinal import spearman
from stream.preprocess.cpu import to_camera, to_network

SHORT_SIDES_PX = (128, 192)
"""Short sides of the network's input in pixels, both multiples of 32; the long side follows the image's shape."""


def at_both_sizes(estimator: Estimator, frame: Frame) -> tuple[Floats, Floats]:
    """Depth (H, W) at the image's size, estimated with the network's short side at 128 px and at 192 px."""
    small, large = (_depth_at(side, estimator, frame) for side in SHORT_SIDES_PX)
    return small, large


def self_agreement(small: Floats, large: Floats, kind: Kind, step: int = 1) -> float:
    """Spearman's rank correlation of the two maps, -1 to 1, over every ``step``-th row and column."""
    one, other = (nearness(depth[::step, ::step].ravel(), kind) for depth in (small, large))
    return spearman(one, other)


def _depth_at(short_side_px: int, estimator: Estimator, frame: Frame) -> Floats:
    spec = replace(estimator.spec, side=short_side_px, bound="lower", keep_aspect=True)
    batch = Batch(to_network([frame.image], spec), (frame,))
    return estimator.decode(to_camera(estimator.infer_raw(batch)[0], frame.size, spec), frame)
