"""Score depth against the ground truth of a rendered scene while the pipeline runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from stream.frames import DepthMap
from stream.metrics.score import Score, score_relative_inverse
from stream.runtime.worker import Body

STEP_PX = 4
"""Score every fourth pixel of every fourth row: 4,800 of 320x240, some 2 ms a frame."""


class RunningScore:
    """Means over all frames scored so far; for one writing thread and any number of readers."""

    def __init__(self) -> None:
        self._scores: list[Score] = []

    def add(self, depth_map: DepthMap) -> None:
        """Score one frame; ignore frames without ground truth and depth of another kind than relative_inverse."""
        ground_truth = depth_map.frame.ground_truth
        if ground_truth is None or depth_map.kind != "relative_inverse":
            return
        score = score_relative_inverse(depth_map.depth[::STEP_PX, ::STEP_PX], ground_truth[::STEP_PX, ::STEP_PX])
        if score is not None and isfinite(score.spearman):
            self._scores.append(score)

    def statistics(self) -> Mapping[str, float]:
        scores = list(self._scores)  # a copy: the stage's thread appends meanwhile
        if not scores:
            return {"frames": 0}
        mean = {key: sum(getattr(s, key) for s in scores) / len(scores) for key in ("spearman", "abs_rel", "delta1")}
        return {"frames": len(scores), **mean}


def score(into: RunningScore) -> Body:
    """Pass every depth map on and score it on the way."""

    def body(maps: Iterable[DepthMap]) -> Iterator[DepthMap]:
        for depth_map in maps:
            into.add(depth_map)
            yield depth_map

    return body
