"""The benchmarks of `depthstream bench`: which workloads each one compares, and whether the result meets its goal.

The workloads of a round run one after the other and the rounds repeat, so that a drift of the machine's speed affects
all of them alike. A ratio is taken within a round, and the median round is quoted.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from pipelines.benchmark.workloads import make_clip
from stream.errors import DepthStreamError

ROUNDS = 3
ROUND_S = 8.0
CLIP_FRAMES = 500

OnProgress = Callable[[str], object]


BENCHMARKS = ("file", "tutorial", "networks", "live", "start")
"""The names that ``run_suite`` takes, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row of the table."""

    name: str
    """What was measured, with its scope."""
    measured: str
    """The value with its parts and units."""
    value: float
    goal: str
    met: bool
    details: dict[str, Any]
    """The raw results of the workloads."""


def run_suite(benchmarks: Sequence[str], live_s: float, on_progress: OnProgress) -> Iterator[Measurement]:
    """Run the benchmarks and yield their measurements; ``on_progress`` is called with the name of each step."""
    with tempfile.TemporaryDirectory(prefix="depthstream-bench-") as folder:
        clip = make_clip(Path(folder) / "clip.mp4", CLIP_FRAMES)
        if {"file", "tutorial"} & set(benchmarks):
            rounds = [_round(clip, number, on_progress) for number in range(1, ROUNDS + 1)]
            if "file" in benchmarks:
                yield _file(rounds)
            if "tutorial" in benchmarks:
                yield _tutorial(rounds)
        if "networks" in benchmarks:
            yield _networks(clip, on_progress)
        if "live" in benchmarks:
            yield from _live(clip, live_s, on_progress)
        if "start" in benchmarks:
            yield from _start(Path(folder), on_progress)


def _round(clip: Path, number: int, on_progress: OnProgress) -> dict[str, Any]:
    results = {}
    for name in ("engine", "lanes", "pipeline", "tutorial"):
        on_progress(f"round {number} of {ROUNDS}: {name}")
        results[name] = _run_workload(name, clip, ROUND_S)
    return results


def _file(rounds: list[dict[str, Any]]) -> Measurement:
    """Compare with the better of the two ways to use the same number of threads without a pipeline."""
    ratio = median(r["pipeline"]["fps"] / max(r["engine"]["fps"], r["lanes"]["fps"]) for r in rounds)
    serial, parallel, whole = (median(r[name]["fps"] for r in rounds) for name in ("engine", "lanes", "pipeline"))
    engine = f"engine alone {serial:.1f} fps one image at a time, {parallel:.1f} side by side"
    measured = f"{ratio:.2f} (pipeline {whole:.1f} fps; {engine})"
    name = "file mode: pipeline fps / engine fps"
    return Measurement(name, measured, ratio, ">= 0.90", ratio >= 0.90, {"rounds": rounds})


def _tutorial(rounds: list[dict[str, Any]]) -> Measurement:
    ratio = median(r["pipeline"]["fps"] / r["tutorial"]["fps"] for r in rounds)
    fps = median(r["tutorial"]["fps"] for r in rounds)
    measured = f"{ratio:.2f} (tutorial {fps:.1f} fps)"
    return Measurement("file mode: pipeline fps / tutorial loop's fps", measured, ratio, ">= 1.5", ratio >= 1.5, {})


def _networks(clip: Path, on_progress: OnProgress) -> Measurement:
    on_progress("the networks in turn")
    ms = _run_workload("networks", clip, ROUND_S)
    ratio = ms["tiny"] / ms["midas_small"]
    measured = f"{ratio:.2f} (tiny {ms['tiny']:.1f} ms, midas_small {ms['midas_small']:.1f} ms)"
    return Measurement("latency at 256x192: tiny / midas_small", measured, ratio, "<= 0.25", ratio <= 0.25, ms)


def _live(clip: Path, seconds: float, on_progress: OnProgress) -> Iterator[Measurement]:
    on_progress("the engine alone")
    engine_ms = _run_workload("engine", clip, ROUND_S)["ms"]
    on_progress(f"live for {seconds:.0f} s")
    result = _run_workload("live", clip, seconds)
    ratio = result["age_p50_ms"] / engine_ms
    p50, p95 = result["age_p50_ms"], result["age_p95_ms"]
    measured = f"{ratio:.2f} (age p50 {p50:.0f} ms, p95 {p95:.0f} ms; engine {engine_ms:.0f} ms)"
    yield Measurement("live: age p50 at the sink / engine latency", measured, ratio, "<= 1.6", ratio <= 1.6, result)
    first, second = result["age_p50_ms_halves"]
    growth = second / first
    measured = f"{growth:.2f} (age p50 {first:.0f} ms, then {second:.0f} ms)"
    name = f"live: age, second half of {seconds:.0f} s / first"
    yield Measurement(name, measured, growth, "<= 1.15", growth <= 1.15, {})
    before, after = result["rss_mib_first_last"]
    growth = after / before
    measured = f"{growth:.3f} ({before:.0f} MiB, then {after:.0f} MiB)"
    yield Measurement("live: memory at the end / after warm-up", measured, growth, "<= 1.03", growth <= 1.03, {})


def _start(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    on_progress("start-up")
    code = "import time; t = time.perf_counter(); import stream; print(time.perf_counter() - t)"
    import_s = median(float(_run([sys.executable, "-c", code])) for _ in range(5))
    yield Measurement("import stream", f"{import_s:.2f} s", import_s, "< 0.3 s", import_s < 0.3, {})
    help_s = _median_time_s([sys.executable, "-m", "pipelines", "--help"], runs=5)
    yield Measurement("depthstream --help, whole process", f"{help_s:.2f} s", help_s, "< 0.5 s", help_s < 0.5, {})
    image = folder / "image.png"
    _write_image(image)
    command = [sys.executable, "-m", "pipelines", "depth", str(image), "-o", str(folder / "out")]
    image_s = _median_time_s(command, runs=3)
    name = "depthstream depth of one image, whole process, trace on disk"
    yield Measurement(name, f"{image_s:.2f} s", image_s, "<= 4 s", image_s <= 4, {})


def _write_image(path: Path) -> None:
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    if not cv2.imwrite(str(path), noise):
        raise DepthStreamError(f"{path}: the image for the benchmark could not be written")


def _median_time_s(command: list[str], runs: int) -> float:
    _run(command)  # warm-up: fills the caches
    times = []
    for _ in range(runs):
        start = perf_counter()
        _run(command)
        times.append(perf_counter() - start)
    return median(times)


def _run_workload(name: str, clip: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipelines.benchmark.workloads", name, str(clip), str(seconds)]
    result: dict[str, Any] = json.loads(_run(command).splitlines()[-1])
    return result


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DepthStreamError(f"{' '.join(command[1:4])} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def machine_line() -> str:
    """One line about the machine that a measurement was made on: CPU, cores, system, Python version."""
    from stream.core.machine import probe

    machine = probe()
    cpu = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return f"{cpu}, {machine.cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
