"""The engine gate: it decides whether an engine is close enough to float32 on the CPU to replace it.

``judge`` runs both on the golden inputs and compares every metric with its bound. A wrong engine rarely raises an
error, so it has to be measured. docs/reference/engine-gate.md has the measurements behind the bounds and an example of
a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Literal, TypeAlias

from stream.engines.base import Engine
from stream.engines.gate.comparison import GoldenInputs
from stream.engines.gate.error_metrics import Metrics, measure
from stream.engines.gate.verdict import Verdict, processor

VERSION = "1"
"""Increased whenever metrics are computed differently; older verdicts are then judged anew."""

Precision: TypeAlias = Literal["fp32", "fp16", "bf16", "mixed"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the ``Metrics`` of the same names: lower limits for those in AT_LEAST, upper limits for the others.

    NaN and Inf have no limit: a single one is too many.
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
"""Metrics whose bound is a lower limit."""

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
"""Allows the same sums in another order, and no more. The bounds are about 30 times the largest errors of other float32
runtimes with any network here (6e-6 in every metric but the correlation), and below the errors of float16 with the
best-conditioned network (6e-4 or more in scale_off and level_off). An engine that claims float32 but computes in
TF32 or float16 is refused. batch_difference is about single pixels and therefore looser."""

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
"""Twice the largest errors of float16 with MiDaS small and random weights, the worst-conditioned network here
(correlation 0.9991 and 0.9998, AbsRel 0.009 and 0.006, scale_off 0.009, level_off 0.016, drifts 0.014 and 0.015), and
at least 2.2 times the errors of bfloat16 with the trained tiny. A network's own error is ten times as large (AbsRel 0.1
to 0.2). On the CPU, batches agreed to the bit; a GPU uses other kernels for other batch sizes, so batch_difference is a
few steps of bfloat16 (2^-8 of the value). delta1 was 1 in all measurements; a share of 0.002 is one small object."""

BOUNDS: Mapping[Precision, Bounds] = {"fp32": FP32, "fp16": REDUCED, "bf16": REDUCED, "mixed": REDUCED}
"""Users tolerate the same errors whatever the reduced precision is; bfloat16 comes closer to the limits."""


def judge(
    reference: Engine,
    candidate: Engine,
    golden: GoldenInputs,
    bounds: Bounds,
    belongs_to: Mapping[str, str] | None = None,
) -> Verdict:
    """Run both engines on ``golden`` and compare; ``belongs_to`` is stored in the verdict (see ``identity``).

    Raises EngineError if one of them fails, or if the reference's depth is flat or not finite.
    """
    metrics = measure(reference, candidate, golden)
    reasons = tuple(_reasons(metrics, bounds))
    return Verdict(not reasons, reasons, metrics, dict(belongs_to or {}))


def identity(engine: Engine, bounds: Bounds, made_from: Mapping[str, str]) -> dict[str, str]:
    """Everything that a verdict depends on. With any other value the engine has to be judged anew."""
    about = {"engine": engine.describe(), "max_batch": str(engine.max_batch), "bounds": str(bounds), "gate": VERSION}
    return about | {"torch": version("torch"), "cpu": processor()} | dict(made_from)


def _reasons(metrics: Metrics, bounds: Bounds) -> Iterator[str]:
    """One line for each metric beyond its bound; NaN is beyond any bound."""
    for name in ("nan", "inf"):
        if count := getattr(metrics, name):
            yield f"{name}: {count} values, and there must be none"
    for field in fields(bounds):
        value, bound, least = getattr(metrics, field.name), getattr(bounds, field.name), field.name in AT_LEAST
        if not (value >= bound if least else value <= bound):
            where = f" ({metrics.correlation_at})" if field.name == "correlation" else ""
            digits = 8 if 0.99 <= value < 1 else 3  # bounds reach 0.9999999, which would read as 1
            yield f"{field.name} {value:.{digits}g}{where}, must be at {'least' if least else 'most'} {bound:g}"
