"""An engine's errors against the float32 reference over all golden inputs: one number for each kind of error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stream.engines.base import Engine
from stream.engines.gate.comparison import Comparison, GoldenInputs, compare, count_nonfinite
from stream.errors import EngineError
from stream.frames import Floats, Size


@dataclass(frozen=True, slots=True)
class Metrics:
    """The worst value of each metric over all sizes, batches and clips, and some medians.

    Metrics of the difference are NaN if no output was finite.
    """

    batches: tuple[int, ...]
    """Batch sizes that were run."""
    outputs: int
    """Number of depth maps that were compared."""
    nan: int
    """NaN values in all outputs, those for extreme inputs included."""
    inf: int
    """Infinite values in all outputs, those for extreme inputs included."""
    correlation: float
    """Pearson's, the lowest, -1..1."""
    correlation_median: float
    correlation_at: str
    """The output with the lowest correlation."""
    abs_rel: float
    """After scale and shift, the highest."""
    abs_rel_median: float
    delta1: float
    """After scale and shift, the lowest, 0..1."""
    delta1_median: float
    scale_off: float
    """The fitted scale's largest distance from 1: the same network must give the same unit."""
    level_off: float
    """The largest difference of the means, in standard deviations of the reference."""
    scale_drift: float
    """Within a clip: the largest fitted scale divided by the smallest, minus 1."""
    level_drift: float
    """Within a clip: the range of the differences of the means, in standard deviations of the reference."""
    batch_difference: float
    """The largest difference of a pixel between a batch and its image alone, as a share of the reference's range."""

    def __str__(self) -> str:
        return f"correlation {self.correlation:.6f}, AbsRel {self.abs_rel:.2g}, scale drift {self.scale_drift:.2g}"


def measure(reference: Engine, candidate: Engine, golden: GoldenInputs) -> Metrics:
    """Run both engines on all golden inputs. Raises EngineError if one fails or the reference's depth is flat."""
    # An engine may be right alone and wrong in a batch, such as one whose last image is the first again.
    batches = tuple(sorted({1, min(2, candidate.max_batch), candidate.max_batch}))
    evaluations = [_Evaluation(reference, candidate, pixels) for pixels in golden.images]
    images = [comparison for evaluation in evaluations for comparison in evaluation.compare(batches)]
    # Filled by the comparisons above, so it must come after them.
    differences = [difference for evaluation in evaluations for difference in evaluation.differences]
    clips = [list(_Evaluation(reference, candidate, clip, "frame").compare((1,))) for clip in golden.clips]
    extremes = [count_nonfinite(output) for pixels in golden.extremes for output in _one_by_one(candidate, pixels)]
    return _summary(batches, images, clips, extremes, differences)


class _Evaluation:
    """Both engines' outputs for images of one size."""

    def __init__(self, reference: Engine, candidate: Engine, pixels: Floats, noun: str = "image") -> None:
        self._candidate, self._pixels = candidate, pixels
        self._expected = _one_by_one(reference, pixels)
        self._alone = _one_by_one(candidate, pixels)
        self._name = f"{Size(*pixels.shape[2:])}, {noun}"
        self.differences: list[float] = []
        """Differences between outputs in batches and outputs alone, filled by ``compare``."""

    def compare(self, batches: Sequence[int]) -> Iterator[Comparison]:
        """Compare every image alone and in each larger batch; the last batch is filled up from the first images."""
        for number, (output, expected) in enumerate(zip(self._alone, self._expected, strict=True)):
            yield compare(output, expected, f"{self._name} {number}")
        for batch in batches:
            if batch > 1:
                yield from self._compare_batches(batch)

    def _compare_batches(self, batch: int) -> Iterator[Comparison]:
        count = len(self._pixels)
        for start in range(0, count, batch):
            chosen = [(start + i) % count for i in range(batch)]
            for number, output in zip(chosen, _run(self._candidate, self._pixels[chosen]), strict=True):
                expected = self._expected[number]
                yield compare(output, expected, f"{self._name} {number} in a batch of {batch}")
                self.differences.append(_difference(output, self._alone[number]) / float(np.ptp(expected)))


def _summary(
    batches: tuple[int, ...],
    images: Sequence[Comparison],
    clips: Sequence[Sequence[Comparison]],
    extremes: Sequence[tuple[int, int]],
    differences: Sequence[float],
) -> Metrics:
    everything = [*images, *(comparison for clip in clips for comparison in clip)]
    finite = [each for each in everything if np.isfinite(each.correlation)]  # the others count as NaN and Inf
    worst = min(finite, key=lambda each: each.correlation, default=None)
    return Metrics(
        batches=batches,
        outputs=len(everything),
        nan=sum(each.nan for each in everything) + sum(nan for nan, _ in extremes),
        inf=sum(each.inf for each in everything) + sum(inf for _, inf in extremes),
        correlation=worst.correlation if worst else float("nan"),
        correlation_median=_median(each.correlation for each in finite),
        correlation_at=worst.where if worst else "nowhere",
        abs_rel=_largest(each.abs_rel for each in finite),
        abs_rel_median=_median(each.abs_rel for each in finite),
        delta1=-_largest(-each.delta1 for each in finite),
        delta1_median=_median(each.delta1 for each in finite),
        scale_off=_largest(abs(each.scale - 1) for each in finite),
        level_off=_largest(abs(each.level) for each in finite),
        scale_drift=max((_relative_range(each.scale for each in clip) for clip in clips), default=0.0),
        level_drift=max((_range(each.level for each in clip) for clip in clips), default=0.0),
        batch_difference=max(differences, default=0.0),
    )


def _one_by_one(engine: Engine, pixels: Floats) -> list[Floats]:
    return [_run(engine, pixels[i : i + 1])[0] for i in range(len(pixels))]


def _run(engine: Engine, pixels: Floats) -> Floats:
    """Depth (N, h, w) as a copy, because an engine's output is valid only until its next call."""
    depth = np.array(engine.infer(pixels=pixels)["depth"], np.float32)
    if depth.shape != (len(pixels), *pixels.shape[2:]):
        raise EngineError(f"pixels {pixels.shape} were answered with depth {depth.shape}")
    return depth


def _difference(output: Floats, alone: Floats) -> float:
    both = np.isfinite(output) & np.isfinite(alone)  # the others count as NaN and Inf
    return float(np.abs(output[both] - alone[both]).max(initial=0.0))


def _relative_range(scales: Iterable[float]) -> float:
    finite = [scale for scale in scales if np.isfinite(scale)]
    if not finite:
        return 0.0
    # The fit never gives a negative scale: 0 stands for an output that is inverted or flat.
    return max(finite) / min(finite) - 1 if min(finite) > 0 else float("inf")


def _range(levels: Iterable[float]) -> float:
    finite = [level for level in levels if np.isfinite(level)]
    return max(finite) - min(finite) if finite else 0.0


def _largest(values: Iterable[float]) -> float:
    return max(values, default=float("nan"))


def _median(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.median(listed)) if listed else float("nan")
