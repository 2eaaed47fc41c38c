"""Measure the goals of docs/reference/benchmarks/cameras.md with real RTSP servers on this machine.

    python -m tools.bench.live [--only stall reconnect stop isolation many] [--seconds 180] [--write PAGE.md]

Run nothing else on the machine meanwhile. The exit status is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import Any, Self

import numpy as np

from pipelines import rtsp
from pipelines.benchmark.memory import resident_mib
from stream.core.config_file import parse
from stream.frames import View
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import CameraHealth
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tools.bench.lib.goals import GoalResult, run_benchmarks

REPEATS = 5
SETTLE_S, WATCH_S, WARM_UP_S = 3.0, 8.0, 20.0
MANY = 16
FAULTS = ("stall", "cut", "corrupt", "absent")


class Ages:
    """A sink that records when each camera's views arrive, and how old they are."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, float, float]] = []
        """Camera, arrival (monotonic seconds), age in seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def write(self, item: View) -> None:
        frame = item.depth_map.frame
        self.samples.append((frame.camera, monotonic(), frame.stamp.age_s()))

    def between(self, start: float, end: float, cameras: str) -> list[float]:
        """Ages in seconds of the views of these cameras that arrived in ``start <= time < end``."""
        return [age for camera, at, age in self.samples if camera in cameras and start <= at < end]


def stall(clip: Clip) -> Iterator[GoalResult]:
    """How long it takes to notice that a camera stopped sending."""
    times = []
    for _ in range(REPEATS):
        with RtspCamera({"/cam": clip}) as camera, pipeline({"a": camera.url("/cam")})[0] as pipe:
            until(live(pipe))
            Event().wait(1.0)
            camera.stall()
            times.append(until(counted(pipe, "stalls")))
    yield GoalResult("a stall is noticed in <= 2.5 s", spread(times), max(times) <= 2.5)


def reconnect(clip: Clip) -> Iterator[GoalResult]:
    """Time from a killed camera accepting connections again to its first image, early in the back-off."""
    times = []
    for _ in range(REPEATS):
        with RtspCamera({"/cam": clip}) as camera, pipeline({"a": camera.url("/cam")})[0] as pipe:
            until(live(pipe))
            camera.refuse()
            camera.cut("rst")
            Event().wait(2.0)
            camera.refuse(False)
            times.append(until(counted(pipe, "reconnects")))
    yield GoalResult("images flow <= 3 s after a killed camera is back", spread(times), max(times) <= 3.0)


def stop(clip: Clip) -> Iterator[GoalResult]:
    """How long stopping takes while a camera hangs, in reading and in opening."""
    times = []
    for fault in ("stall", "mute") * REPEATS:
        with RtspCamera({"/cam": clip}) as camera:
            camera.mute(fault == "mute")
            pipe, _ = pipeline({"a": camera.url("/cam")})
            pipe.__enter__()  # not ``with``: only the exit is timed
            pipe.ready.wait()
            if fault == "stall":
                until(live(pipe))
                camera.stall()
            Event().wait(0.5)
            start = monotonic()
            pipe.__exit__(None, None, None)
            times.append(monotonic() - start)
    yield GoalResult("stopping takes <= 2 s while a camera hangs", spread(times), max(times) <= 2.0)


def isolation(clip: Clip) -> Iterator[GoalResult]:
    """How a fault of one camera affects the other three."""
    for fault in FAULTS:
        lost, (before_ms, after_ms), network_ms = _with_broken_camera(clip, fault)
        measured = (
            f"{100 * lost:.1f} % lost, age p95 {before_ms:.0f} ms, then {after_ms:.0f} (a batch: {network_ms:.0f})"
        )
        goal = f"one of four cameras: {fault}; the others lose < 2 %, and age p95 rises by < 1 batch"
        yield GoalResult(goal, measured, lost < 0.02 and after_ms - before_ms < network_ms)


def _with_broken_camera(clip: Clip, fault: str) -> tuple[float, list[float], float]:
    """Share of the others' images that are lost, their age p95 in ms before and during the fault, ms of a batch."""
    with ExitStack() as stack:
        cameras = {name: stack.enter_context(RtspCamera({"/cam": clip})) for name in "abcd"}
        cameras["d"].refuse(fault == "absent")
        pipe, ages = pipeline({name: camera.url("/cam") for name, camera in cameras.items()})
        stack.enter_context(pipe)
        until(live(pipe, "abc"))
        Event().wait(SETTLE_S)
        moments, sent = [monotonic()], -sum(cameras[name].sent("/cam") for name in "abc")
        for trouble in ("none", fault):
            _break(cameras["d"], trouble)
            Event().wait(WATCH_S)
            moments.append(monotonic())
        sent += sum(cameras[name].sent("/cam") for name in "abc")
        network_ms = next(1e3 * s.steps["infer"].p50_s for s in pipe.stats().stages if "infer" in s.steps)
    received = [ages.between(*span, "abc") for span in pairwise(moments)]
    return 1 - sum(map(len, received)) / sent, [1e3 * float(np.percentile(each, 95)) for each in received], network_ms


def many(seconds: float) -> Iterator[GoalResult]:
    """Sixteen cameras on this machine, each limited to two images per second for the network."""
    clip = Clip.test_pattern(codec="h264", width=640, height=360, fps=25, seconds=4, keyframe_every=50)
    with ExitStack() as stack:
        camera = stack.enter_context(RtspCamera({f"/{n}": clip for n in range(MANY)}))
        pipe, ages = pipeline({f"{n}": camera.url(f"/{n}") for n in range(MANY)}, max_fps=2.0)
        stack.enter_context(pipe)
        until(lambda: all(c.state == "live" for c in pipe.stats().cameras), 60.0)
        Event().wait(WARM_UP_S)
        start, rss = monotonic(), [resident_mib()]
        while monotonic() < start + seconds:
            Event().wait(1.0)
            rss.append(resident_mib())
        end, stats = monotonic(), pipe.stats()
    halves = [
        [1e3 * age for _, at, age in ages.samples if a <= at < b] for a, b in pairwise((start, (start + end) / 2, end))
    ]
    first, second = (float(np.percentile(half, 50)) for half in halves)
    tainted = sum(c.integrity["tainted"] for c in stats.cameras)
    fps = sum(len(half) for half in halves) / (end - start)
    about = f"{fps:.0f} views/s, {tainted} tainted, {sum(c.reconnects for c in stats.cameras)} reconnects"
    measured = (
        f"age p50 {first:.0f} ms, then {second:.0f} ms; memory {rss[0]:.0f} MiB, then {max(rss):.0f} MiB; {about}"
    )
    goal = f"{MANY} cameras 640x360 at 25 fps, {seconds:.0f} s: age and memory do not grow"
    yield GoalResult(goal, measured, second <= 1.15 * first and rss[-1] <= 1.03 * rss[0])


def pipeline(urls: dict[str, str], **changes: Any) -> tuple[Pipeline, Ages]:
    """A live pipeline on these cameras with the network that comes with the package, and the sink at its end."""
    cameras = [{"source": "rtsp", "name": name, "url": url, **changes} for name, url in urls.items()]
    ages = Ages()
    return rtsp.build(parse(rtsp.RtspSettings, {"pipeline": "rtsp", "cameras": cameras}, "bench"), None, ages), ages


def health(pipe: Pipeline, name: str = "a") -> CameraHealth:
    return next(camera for camera in pipe.stats().cameras if camera.name == name)


def live(pipe: Pipeline, names: str = "a") -> Callable[[], bool]:
    return lambda: all(health(pipe, name).state == "live" for name in names)


def counted(pipe: Pipeline, counter: str) -> Callable[[], bool]:
    return lambda: getattr(health(pipe), counter) == 1


def until(holds: Callable[[], bool], timeout_s: float = 30.0) -> float:
    """Wait until ``holds()`` and return the seconds that it took. Raises TimeoutError."""
    start = monotonic()
    while not holds():
        if monotonic() - start > timeout_s:
            raise TimeoutError(f"not in {timeout_s:g} s")
        Event().wait(0.005)
    return monotonic() - start


def spread(times: list[float]) -> str:
    return f"{median(times):.2f} s (longest of {len(times)}: {max(times):.2f} s)"


def main() -> int:
    """Measure, print and write; returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("stall", "reconnect", "stop", "isolation", "many"))
    parser.add_argument("--seconds", type=float, default=180.0, help="duration of the benchmark with sixteen cameras")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    arguments = parser.parse_args()
    clip = Clip.test_pattern(codec="h264", width=320, height=240, fps=12, seconds=4, keyframe_every=24)
    benchmarks: dict[str, Callable[[], Iterator[GoalResult]]] = {
        "stall": lambda: stall(clip),
        "reconnect": lambda: reconnect(clip),
        "stop": lambda: stop(clip),
        "isolation": lambda: isolation(clip),
        "many": lambda: many(arguments.seconds),
    }
    return run_benchmarks(benchmarks, arguments.only, arguments.write)


def _break(camera: RtspCamera, fault: str) -> None:
    if fault == "stall":
        camera.stall()
    elif fault == "cut":
        camera.refuse()
        camera.cut("rst")
    elif fault == "corrupt":
        camera.corrupt(50)


if __name__ == "__main__":
    sys.exit(main())
