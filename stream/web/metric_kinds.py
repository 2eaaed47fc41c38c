"""Prometheus' kinds of figures, as this project uses them: a common prefix, no password in any label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

from stream.core.log import redact
from stream.runtime.stats import Spread

PREFIX = "depthstream_"

Samples: TypeAlias = Iterable[tuple[Sequence[str], float]]
"""Label values, and the number."""


def gauge(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    """``depthstream_<name>``."""
    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for values, number in samples:
        family.add_metric(_texts(values), number)
    return family


def counter(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    """``depthstream_<name>_total``."""
    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for values, number in samples:
        family.add_metric(_texts(values), number)
    return family


def summary(name: str, about: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], Spread]]) -> Metric:
    """``depthstream_<name>`` with quantiles, ``_sum`` and ``_count``; without quantiles where nothing was seen."""
    family = SummaryMetricFamily(PREFIX + name, about, labels=labels)
    for values, spread in samples:
        own = dict(zip(labels, _texts(values), strict=True))
        quantiles = {"0.5": spread.p50_s, "0.95": spread.p95_s, "0.99": spread.p99_s} if spread.count else {}
        for quantile, seconds in quantiles.items():
            family.add_sample(PREFIX + name, own | {"quantile": quantile}, seconds)
        family.add_metric(_texts(values), spread.count, spread.total_s)
    return family


def by_label(numbers: Mapping[str, float]) -> Samples:
    """For families of one label."""
    return [((value,), number) for value, number in numbers.items()]


def _texts(values: Sequence[str]) -> list[str]:
    return [redact(value) for value in values]
