"""How far an engine is from the float32 reference on all golden images: one number a way to be wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stream.engines.base import Engine
from stream.engines.gate.comparison import Compared, Golden, compare, not_finite
from stream.errors import EngineError
from stream.frames import Floats, Size


@dataclass(frozen=True, slots=True)
class Metrics:
    """The worst of each over all sizes, batches and clips, and some medians. NaN where no answer was finite."""

    batches: tuple[int, ...]
    """Numbers of images that were run at once."""
    answers: int
    """How many depth maps were compared."""
    nan: int
    """Values that are not a number, in all answers, those to extreme inputs too."""
    inf: int
    correlation: float
    """Pearson's, the lowest, -1..1."""
    correlation_median: float
    correlation_at: str
    """Which answer has the lowest."""
    abs_rel: float
    """After scale and shift, the highest."""
    abs_rel_median: float
    delta1: float
    """After scale and shift, the lowest, 0..1."""
    delta1_median: float
    scale_off: float
    """The fitted scale's largest distance from 1: the same network answers in the same unit."""
    level_off: float
    """The largest distance of the means, in standard deviations of the reference."""
    scale_drift: float
    """In a clip: the largest fitted scale divided by the smallest, less 1."""
    level_drift: float
    """In a clip: how far the distance of the means wanders, in standard deviations of the reference."""
    batch_difference: float
    """The largest difference of a pixel between a batch and its image alone, in ranges of the reference."""

    def __str__(self) -> str:
        return f"correlation {self.correlation:.6f}, AbsRel {self.abs_rel:.2g}, scale drift {self.scale_drift:.2g}"


def measure(reference: Engine, candidate: Engine, golden: Golden) -> Metrics:
    """Run both over all of ``golden``. Raises EngineError when one fails or the reference's depth is flat."""
    batches = tuple(sorted({1, min(2, candidate.max_batch), candidate.max_batch}))
    sittings = [_EvaluationSet(reference, candidate, pixels) for pixels in golden.images]
    compared = [one for sitting in sittings for one in sitting.compared(batches)]
    differences = [one for sitting in sittings for one in sitting.differences]
    clips = [list(_EvaluationSet(reference, candidate, clip, "frame").compared((1,))) for clip in golden.clips]
    extremes = [not_finite(answer) for pixels in golden.extremes for answer in _one_by_one(candidate, pixels)]
    return _summary(batches, compared, clips, extremes, differences)


class _EvaluationSet:
    """Images of one size before both engines."""

    def __init__(self, reference: Engine, candidate: Engine, pixels: Floats, noun: str = "image") -> None:
        self._candidate, self._pixels = candidate, pixels
        self._truths = _one_by_one(reference, pixels)
        self._alone = _one_by_one(candidate, pixels)
        self._name = f"{Size(*pixels.shape[2:])}, {noun}"
        self.differences: list[float] = []
        """Between answers in batches and those alone, in the order of ``compared``."""

    def compared(self, batches: Sequence[int]) -> Iterator[Compared]:
        """Every image alone, and in each larger batch; a last batch that is not full is filled from the start."""
        for number, (answer, truth) in enumerate(zip(self._alone, self._truths, strict=True)):
            yield compare(answer, truth, f"{self._name} {number}")
        for batch in batches:
            if batch > 1:
                yield from self._in_batches(batch)

    def _in_batches(self, batch: int) -> Iterator[Compared]:
        count = len(self._pixels)
        for start in range(0, count, batch):
            chosen = [(start + i) % count for i in range(batch)]
            for number, answer in zip(chosen, _run(self._candidate, self._pixels[chosen]), strict=True):
                truth = self._truths[number]
                yield compare(answer, truth, f"{self._name} {number} in a batch of {batch}")
                self.differences.append(_difference(answer, self._alone[number]) / float(np.ptp(truth)))


def _summary(
    batches: tuple[int, ...],
    compared: Sequence[Compared],
    clips: Sequence[Sequence[Compared]],
    extremes: Sequence[tuple[int, int]],
    differences: Sequence[float],
) -> Metrics:
    everything = [*compared, *(one for clip in clips for one in clip)]
    seen = [one for one in everything if np.isfinite(one.correlation)]  # else counted as NaN and Inf
    worst = min(seen, key=lambda one: one.correlation, default=None)
    return Metrics(
        batches=batches,
        answers=len(everything),
        nan=sum(one.nan for one in everything) + sum(nan for nan, _ in extremes),
        inf=sum(one.inf for one in everything) + sum(inf for _, inf in extremes),
        correlation=worst.correlation if worst else float("nan"),
        correlation_median=_median(one.correlation for one in seen),
        correlation_at=worst.where if worst else "nowhere",
        abs_rel=_largest(one.abs_rel for one in seen),
        abs_rel_median=_median(one.abs_rel for one in seen),
        delta1=-_largest(-one.delta1 for one in seen),
        delta1_median=_median(one.delta1 for one in seen),
        scale_off=_largest(abs(one.scale - 1) for one in seen),
        level_off=_largest(abs(one.level) for one in seen),
        scale_drift=max((_ratio(one.scale for one in clip) for clip in clips), default=0.0),
        level_drift=max((_wander(one.level for one in clip) for clip in clips), default=0.0),
        batch_difference=max(differences, default=0.0),
    )


def _one_by_one(engine: Engine, pixels: Floats) -> list[Floats]:
    return [_run(engine, pixels[i : i + 1])[0] for i in range(len(pixels))]


def _run(engine: Engine, pixels: Floats) -> Floats:
    """(N, h, w), a copy: an engine's answer is valid until its next call."""
    depth = np.array(engine.infer(pixels=pixels)["depth"], np.float32)
    if depth.shape != (len(pixels), *pixels.shape[2:]):
        raise EngineError(f"pixels {pixels.shape} were answered with depth {depth.shape}")
    return depth


def _difference(answer: Floats, alone: Floats) -> float:
    both = np.isfinite(answer) & np.isfinite(alone)  # others are counted as NaN and Inf
    return float(np.abs(answer[both] - alone[both]).max(initial=0.0))


def _ratio(scales: Iterable[float]) -> float:
    finite = [scale for scale in scales if np.isfinite(scale)]
    if not finite:
        return 0.0
    return max(finite) / min(finite) - 1 if min(finite) > 0 else float("inf")


def _wander(levels: Iterable[float]) -> float:
    finite = [level for level in levels if np.isfinite(level)]
    return max(finite) - min(finite) if finite else 0.0


def _largest(values: Iterable[float]) -> float:
    return max(values, default=float("nan"))


def _median(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.median(listed)) if listed else float("nan")
