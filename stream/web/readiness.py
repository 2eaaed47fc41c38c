"""Readiness of a pipeline, for load balancers, supervisors and alerts.

A pipeline is not ready, and each reason is reported in one line, while

- a required stage has not opened its resources yet, has ended, or has failed;
- a required stage has been busy with the same item for more than a minute: it hangs;
- a camera whose capture stage is required (``capture.front``) has shown no depth for more than a minute, whatever state
  it reports. Cameras that are not required may be away for any time: the pipeline waits for them.

Where a step takes long by nature (a large network on a CPU), the minute becomes three times the p99 of that step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from time import monotonic_ns

from stream.core.clock import NS_PER_S, NowNs
from stream.core.log import redact
from stream.runtime.stats import PipelineStats, StageStats
from stream.web.live.hub import WebSink

PATIENCE_S = 60.0
"""Time limit for an item or a camera; a camera that restarts is away for about 30 s (``stream.sources.health``)."""
SLOW_STEP_FACTOR = 3
"""The limit is at least this many times the p99 of the slowest step, which matters for steps longer than 20 s."""
CAPTURE = "capture."
OPENING = "waiting for the stages"
"""State of a source until every stage has opened its resources (``stream.runtime.worker``)."""


class Readiness:
    """Finds the reasons why a pipeline is not ready; thread safe.

    A hanging stage is recognised by comparing one call with the next, so call ``problems`` more than once a minute.
    """

    def __init__(self, required: Sequence[str], sink: WebSink, now_ns: NowNs = monotonic_ns) -> None:
        self._required, self._sink, self._now_ns = tuple(required), sink, now_ns
        self._lock = threading.Lock()
        self._progress: dict[str, tuple[int, int]] = {}
        """Stage -> number of finished items, and the time (monotonic, ns) since when that number has not changed."""

    def problems(self, stats: PipelineStats) -> list[str]:
        """One line for each problem, passwords redacted; empty when the pipeline is ready."""
        with self._lock:
            return [redact(problem) for problem in self._problems(stats)]

    def _problems(self, stats: PipelineStats) -> Iterator[str]:
        stages = {stage.name: stage for stage in stats.stages}
        sources = _sources(stats)
        # Cameras begin only when every stage is open; until then the checks below would blame them.
        if any(stages[name].state == OPENING for name in sources):
            busy = [name for name in stages if name not in sources and stages[name].state.startswith("busy")]
            yield f"the pipeline is opening what it needs: {', '.join(busy)}"
            return
        patience_s = _patience_s(stats)
        for name in self._required:
            stage = stages.get(name)
            if stage is None or not is_running(stage):
                yield f"stage {name}: {stage.state if stage else 'there is none'}"
            elif name not in sources:
                yield from self._hanging_stage(stage, patience_s)
            elif name.startswith(CAPTURE):
                yield from self._dark_camera(name.removeprefix(CAPTURE), stats, patience_s)

    def _hanging_stage(self, stage: StageStats, patience_s: float) -> Iterator[str]:
        done = sum(durations.count for durations in stage.steps.values())
        now = self._now_ns()
        last_done, since_ns = self._progress.get(stage.name, (-1, now))
        # A stage that waits for input finishes nothing either, and does not hang.
        if done != last_done or not stage.state.startswith("busy"):
            since_ns = now
        self._progress[stage.name] = (done, since_ns)
        busy_s = (now - since_ns) / NS_PER_S
        if busy_s > patience_s:
            yield f"stage {stage.name}: {stage.state} with one item for {busy_s:.0f} s"

    def _dark_camera(self, camera: str, stats: PipelineStats, patience_s: float) -> Iterator[str]:
        newest = self._sink.newest(camera)
        dark_s = newest.view.depth_map.frame.stamp.age_s(self._now_ns()) if newest else stats.running_s
        if dark_s > patience_s:
            health = next((health for health in stats.cameras if health.name == camera), None)
            state = f" ({health.state}{f': {health.trouble}' if health.trouble else ''})" if health else ""
            yield f"camera {camera}: no depth for {dark_s:.0f} s{state}"


def is_running(stage: StageStats) -> bool:
    """True if the stage has been started, and has neither failed nor ended."""
    return stage.state not in ("not started", "done") and not stage.state.startswith("failed")


def _patience_s(stats: PipelineStats) -> float:
    sources = _sources(stats)
    steps = [durations.p99_s for s in stats.stages if s.name not in sources for durations in s.steps.values()]
    return max([PATIENCE_S, *(SLOW_STEP_FACTOR * p99_s for p99_s in steps)])


def _sources(stats: PipelineStats) -> set[str]:
    """Names of the stages that no queue leads to."""
    return {s.name for s in stats.stages if not any(edge.name.endswith(f" > {s.name}") for edge in stats.edges)}
