"""Whether a pipeline does what it is there for: for load balancers, supervisors and whoever is called at night.

Not ready, and each is told in one line:

- a stage that must run has not opened what it needs yet, has ended or has failed;
- a stage that must run has been busy with one and the same item for more than a minute: it hangs;
- a camera whose capture stage must run (``capture.front``) has shown nothing for more than a minute, whatever it says
  of itself. Other cameras may be away for as long as they like: they are waited for.

Where a step takes long by nature (a large network on a CPU), the minute becomes three times its p99.
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
"""A camera that restarts is away for about 30 s (``stream.sources.health``)."""
SLOW = 3
"""Times the p99 of the slowest step: the patience with steps that take longer than 20 s."""
CAPTURE = "capture."
OPENING = "waiting for the stages"
"""What a source does until every stage has opened what it needs (``stream.runtime.worker``)."""


class Readiness:
    """Any thread asks. That a stage hangs is seen from one question to the next: ask more often than once a minute."""

    def __init__(self, required: Sequence[str], sink: WebSink, now_ns: NowNs = monotonic_ns) -> None:
        self._required, self._sink, self._now_ns = tuple(required), sink, now_ns
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}
        """By stage: items it was done with, and since when it has been so many."""

    def problems(self, stats: PipelineStats) -> list[str]:
        """One line each, without passwords; empty: all is well."""
        with self._lock:
            return [redact(problem) for problem in self._problems(stats)]

    def _problems(self, stats: PipelineStats) -> Iterator[str]:
        stages = {stage.name: stage for stage in stats.stages}
        sources = _sources(stats)
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
                yield from self._hanging(stage, patience_s)
            elif name.startswith(CAPTURE):
                yield from self._dark(name.removeprefix(CAPTURE), stats, patience_s)

    def _hanging(self, stage: StageStats, patience_s: float) -> Iterator[str]:
        done = sum(spread.count for spread in stage.steps.values())
        now = self._now_ns()
        seen, since_ns = self._seen.get(stage.name, (-1, now))
        if done != seen or not stage.state.startswith("busy"):
            since_ns = now
        self._seen[stage.name] = (done, since_ns)
        busy_s = (now - since_ns) / NS_PER_S
        if busy_s > patience_s:
            yield f"stage {stage.name}: {stage.state} with one item for {busy_s:.0f} s"

    def _dark(self, camera: str, stats: PipelineStats, patience_s: float) -> Iterator[str]:
        newest = self._sink.newest(camera)
        dark_s = newest.view.depth_map.frame.stamp.age_s(self._now_ns()) if newest else stats.running_s
        if dark_s > patience_s:
            health = next((health for health in stats.cameras if health.name == camera), None)
            state = f" ({health.state}{f': {health.trouble}' if health.trouble else ''})" if health else ""
            yield f"camera {camera}: no depth for {dark_s:.0f} s{state}"


def is_running(stage: StageStats) -> bool:
    """It has been started, and has neither failed nor come to its end."""
    return stage.state not in ("not started", "done") and not stage.state.startswith("failed")


def _patience_s(stats: PipelineStats) -> float:
    sources = _sources(stats)
    steps = [spread.p99_s for s in stats.stages if s.name not in sources for spread in s.steps.values()]
    return max([PATIENCE_S, *(SLOW * p99_s for p99_s in steps)])


def _sources(stats: PipelineStats) -> set[str]:
    """Stages that no queue leads to."""
    return {s.name for s in stats.stages if not any(edge.name.endswith(f" > {s.name}") for edge in stats.edges)}
