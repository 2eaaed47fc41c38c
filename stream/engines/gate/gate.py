"""The engine gate: may this engine stand in for float32 on the CPU? Engines that are wrong rarely say so.

``judge`` runs both over golden images and holds every figure against its bound. docs/gate.md has the measurements
behind the bounds and shows what a refusal looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Literal, TypeAlias

from stream.engines.base import Engine
from stream.engines.gate.comparison import Golden
from stream.engines.gate.error_metrics import Metrics, measure
from stream.engines.gate.verdict import Verdict, processor

VERSION = "1"
"""Counts changes in how figures are computed; older verdicts are then not believed."""

Precision: TypeAlias = Literal["fp32", "fp16", "bf16", "mixed"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is still good, under the names of ``Figures``: at least for the first three, at most for the others.

    There is none for NaN and Inf: a single one is too many.
    """

    correlation: float
    correlation_median: float
    delta1: float
    abs_rel: float
    abs_rel_median: float
    scale_off: float
    level_off: float
    scale_drift: float
    level_drift: float
    batch_difference: float


AT_LEAST = ("correlation", "correlation_median", "delta1")

FP32 = Bounds(
    correlation=0.999999,
    correlation_median=0.9999999,
    delta1=0.9999,
    abs_rel=2e-4,
    abs_rel_median=1e-4,
    scale_off=2e-4,
    level_off=2e-4,
    scale_drift=2e-4,
    level_drift=2e-4,
    batch_difference=1e-3,
)
"""Another order of the same sums, no more: about 30 times the worst that other float32 runtimes do to any network here
(6e-6 in every figure but the correlation), and below what float16 does to the best-conditioned (6e-4 or more in
scale_off and level_off): an engine that claims float32 and computes in TF32 or float16 is refused. batch_difference is
about single pixels, hence looser."""

REDUCED = Bounds(
    correlation=0.998,
    correlation_median=0.9995,
    delta1=0.998,
    abs_rel=0.02,
    abs_rel_median=0.012,
    scale_off=0.02,
    level_off=0.03,
    scale_drift=0.03,
    level_drift=0.03,
    batch_difference=0.03,
)
"""Twice the worst that float16 does to MiDaS small with random weights, the worst-conditioned network here (correlation
0.9991 and 0.9998, AbsRel 0.009 and 0.006, scale 0.009 off, level 0.016 off, drifts 0.014 and 0.015), and 2.2 times or
more what bfloat16 does to the trained tiny. A network's own error is ten times as large (AbsRel 0.1 to 0.2). Batches
agreed to the bit here; a GPU takes other kernels for other batches, so batch_difference is a few steps of bfloat16
(2^-8 of the value). delta1 was 1 in all of these: a share of 0.002 is one small object."""

BOUNDS: Mapping[Precision, Bounds] = {"fp32": FP32, "fp16": REDUCED, "bf16": REDUCED, "mixed": REDUCED}
"""What users can tolerate is the same for all reduced precisions; bfloat16 comes nearer to it."""


def judge(
    reference: Engine, candidate: Engine, golden: Golden, bounds: Bounds, belongs_to: Mapping[str, str] | None = None
) -> Verdict:
    """Run both over ``golden``; ``belongs_to`` goes into the verdict (``identity``).

    Raises EngineError when one of them fails, or when the reference's depth is flat or not finite.
    """
    metrics = measure(reference, candidate, golden)
    reasons = tuple(_reasons(metrics, bounds))
    return Verdict(not reasons, reasons, metrics, dict(belongs_to or {}))


def identity(engine: Engine, bounds: Bounds, made_from: Mapping[str, str]) -> dict[str, str]:
    """All that a verdict depends on: with another value it would be another engine, or another judge."""
    about = {"engine": engine.describe(), "max_batch": str(engine.max_batch), "bounds": str(bounds), "gate": VERSION}
    return about | {"torch": version("torch"), "cpu": processor()} | dict(made_from)


def _reasons(metrics: Metrics, bounds: Bounds) -> Iterator[str]:
    """One line for every figure that is past its bound; NaN is past any."""
    for name in ("nan", "inf"):
        if count := getattr(metrics, name):
            yield f"{name}: {count} values, and there must be none"
    for field in fields(bounds):
        value, bound, least = getattr(metrics, field.name), getattr(bounds, field.name), field.name in AT_LEAST
        if not (value >= bound if least else value <= bound):
            where = f" ({metrics.correlation_at})" if field.name == "correlation" else ""
            digits = 8 if 0.99 <= value < 1 else 3
            yield f"{field.name} {value:.{digits}g}{where}, must be at {'least' if least else 'most'} {bound:g}"
