"""A pipeline's statistics as Prometheus metric families; docs/reference/monitoring.md documents every name.

Nothing is counted here: each scrape reads one snapshot, so that /metrics, /api/stats and the table at a run's end never
disagree. Base units (seconds, bytes) and the suffix ``_total`` follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, get_args

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

from stream.core.log import redact
from stream.runtime.meters import DurationSummary
from stream.runtime.stats import CameraGrade, CameraState, EdgeStats, PipelineStats, StageStats
from stream.runtime.stats_json import terminals
from stream.web.readiness import is_running

PREFIX = "depthstream_"

Samples: TypeAlias = Iterable[tuple[Sequence[str], float]]
"""Pairs of label values and the number."""


def gauge(name: str, description: str, labels: Sequence[str], samples: Samples) -> Metric:
    """A gauge named ``depthstream_<name>``."""
    family = GaugeMetricFamily(PREFIX + name, description, labels=labels)
    for values, number in samples:
        family.add_metric(_texts(values), number)
    return family


def counter(name: str, description: str, labels: Sequence[str], samples: Samples) -> Metric:
    """A counter named ``depthstream_<name>_total``."""
    family = CounterMetricFamily(PREFIX + name, description, labels=labels)  # appends "_total" itself
    for values, number in samples:
        family.add_metric(_texts(values), number)
    return family


def summary(
    name: str, description: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], DurationSummary]]
) -> Metric:
    """A summary named ``depthstream_<name>`` with ``_sum`` and ``_count``; quantiles only after a first sample."""
    family = SummaryMetricFamily(PREFIX + name, description, labels=labels)
    for values, durations in samples:
        sample_labels = dict(zip(labels, _texts(values), strict=True))
        quantiles = (
            {"0.5": durations.p50_s, "0.95": durations.p95_s, "0.99": durations.p99_s} if durations.count else {}
        )
        for quantile, seconds in quantiles.items():
            family.add_sample(PREFIX + name, sample_labels | {"quantile": quantile}, seconds)
        family.add_metric(_texts(values), durations.count, durations.total_s)
    return family


def by_label(numbers: Mapping[str, float]) -> Samples:
    """Samples for a family with one label."""
    return [((value,), number) for value, number in numbers.items()]


def _texts(values: Sequence[str]) -> list[str]:
    return [redact(value) for value in values]


def pipeline_families(stats: PipelineStats) -> Iterator[Metric]:
    """All metrics of frames, stages, queues and cameras."""
    yield gauge("running_seconds", "Time since the pipeline was started.", (), [((), stats.running_s)])
    yield from _frame_families(stats)
    yield from _stage_families(stats)
    yield from _queue_families(stats)
    yield from _camera_families(stats)
    statistics = [
        ((heading, name), value) for heading, values in stats.statistics.items() for name, value in values.items()
    ]
    about = "Numbers that the recipe adds to the table at a run's end."
    yield gauge("statistic", about, ("heading", "name"), statistics)


def _frame_families(stats: PipelineStats) -> Iterator[Metric]:
    captured = {account.camera: account.captured for account in stats.accounts}
    published = [((a.camera, a.terminal), a.published) for a in stats.accounts]
    places: tuple[StageStats | EdgeStats, ...] = (*stats.stages, *stats.edges)
    dropped = [
        ((camera, place.name, reason), count) for place in places for (camera, reason), count in place.dropped.items()
    ]
    in_flight = [((a.camera, a.terminal), a.in_flight) for a in stats.accounts]
    ages = [((camera, s.name), age) for s in terminals(stats) for camera, age in s.age_by_camera.items()]
    ends, drops = ("camera", "stage"), ("camera", "place", "reason")
    yield counter("frames_captured", "Frames that a camera delivered.", ("camera",), by_label(captured))
    yield counter("frames_published", "Frames that left the pipeline at a last stage.", ends, published)
    yield counter("frames_dropped", "Frames dropped, by place (a stage or a queue) and reason.", drops, dropped)
    yield gauge("frames_in_flight", "Frames captured, but neither published nor dropped yet.", ends, in_flight)
    yield summary(
        "frame_age_seconds", "Age of frames at the end of the pipeline, since capture, whole run.", ends, ages
    )


def _stage_families(stats: PipelineStats) -> Iterator[Metric]:
    running = [((stage.name,), float(is_running(stage))) for stage in stats.stages]
    steps = [((stage.name, step), durations) for stage in stats.stages for step, durations in stage.steps.items()]
    rates = [((stage.name,), stage.fps) for stage in terminals(stats)]
    yield gauge("stage_running", "1 while the stage's thread runs, 0 before and after.", ("stage",), running)
    yield summary("stage_busy_seconds", "Working time of one step for one item, whole run.", ("stage", "step"), steps)
    yield gauge("stage_fps", "Frames per second of a last stage, from its first frame to its last.", ("stage",), rates)


def _queue_families(stats: PipelineStats) -> Iterator[Metric]:
    edges = {edge.name: edge for edge in stats.edges}
    blocked = {name: edge.blocked.total_s for name, edge in edges.items()}
    starved = {name: edge.starved.total_s for name, edge in edges.items()}
    label = ("queue",)
    yield gauge("queue_depth", "Items waiting.", label, by_label({name: e.waiting for name, e in edges.items()}))
    yield gauge(
        "queue_capacity", "Capacity in items.", label, by_label({name: e.capacity for name, e in edges.items()})
    )
    yield counter("queue_blocked_seconds", "Time writers waited because the queue was full.", label, by_label(blocked))
    yield counter(
        "queue_starved_seconds", "Time the reader waited because the queue was empty.", label, by_label(starved)
    )


def _camera_families(stats: PipelineStats) -> Iterator[Metric]:
    cameras = stats.cameras
    states = [((c.name, state), float(c.state == state)) for c in cameras for state in get_args(CameraState)]
    grades = [((c.name, grade), float(c.grade == grade)) for c in cameras for grade in get_args(CameraGrade)]
    images = [((c.name, integrity), count) for c in cameras for integrity, count in c.integrity.items()]
    label = ("camera",)
    yield gauge("camera_state", "1 for the current state of a live camera.", ("camera", "state"), states)
    yield gauge("camera_state_seconds", "Time in the current state.", label, [((c.name,), c.since_s) for c in cameras])
    offline = [((c.name,), c.offline_s) for c in cameras]
    yield gauge(
        "camera_offline_seconds", "Time without images, over all reconnection attempts; 0 while live.", label, offline
    )
    yield gauge("camera_grade", "1 for the grade of the last hour.", ("camera", "grade"), grades)
    yield gauge("camera_reconnects_last_hour", "Reconnections.", label, [((c.name,), c.reconnects) for c in cameras])
    yield gauge(
        "camera_stalls_last_hour", "Times that no image arrived.", label, [((c.name,), c.stalls) for c in cameras]
    )
    clocks = [((c.name,), float(bool(c.clock))) for c in cameras]
    yield gauge("camera_clock_faulty", "1 while a camera's own clock is wrong and arrival times count.", label, clocks)
    yield counter("camera_images", "Images received, by integrity.", ("camera", "integrity"), images)
