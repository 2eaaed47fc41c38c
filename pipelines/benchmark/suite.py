"""The questions, the contenders each one compares, and how their figures become a verdict.

The contenders of a round run one after another and the rounds repeat, so that a drift of the machine's speed meets all
of them alike; a ratio is taken inside a round and the median round is quoted.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
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


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the table."""

    question: str
    measured: str
    """With unit and scope."""
    value: float
    goal: str
    holds: bool
    details: dict[str, Any]


def ask(questions: list[str], live_s: float, on_progress: OnProgress) -> Iterator[Answer]:
    """Answers one by one; ``on_progress`` is told what runs now."""
    with tempfile.TemporaryDirectory(prefix="depthstream-bench-") as folder:
        clip = make_clip(Path(folder) / "clip.mp4", CLIP_FRAMES)
        if {"file", "tutorial"} & set(questions):
            rounds = [_round(clip, number, on_progress) for number in range(1, ROUNDS + 1)]
            if "file" in questions:
                yield _file(rounds)
            if "tutorial" in questions:
                yield _tutorial(rounds)
        if "networks" in questions:
            yield _networks(clip, on_progress)
        if "live" in questions:
            yield from _live(clip, live_s, on_progress)
        if "start" in questions:
            yield from _start(Path(folder), on_progress)


QUESTIONS = ("file", "tutorial", "networks", "live", "start")


def _round(clip: Path, number: int, on_progress: OnProgress) -> dict[str, Any]:
    results = {}
    for name in ("engine", "lanes", "pipeline", "tutorial"):
        on_progress(f"round {number} of {ROUNDS}: {name}")
        results[name] = _contender(name, clip, ROUND_S)
    return results


def _file(rounds: list[dict[str, Any]]) -> Answer:
    """Against the better of the two ways to use the same number of threads without any pipeline."""
    ratio = median(r["pipeline"]["fps"] / max(r["engine"]["fps"], r["lanes"]["fps"]) for r in rounds)
    one, side_by_side, all_of_it = (median(r[name]["fps"] for r in rounds) for name in ("engine", "lanes", "pipeline"))
    engine = f"engine alone {one:.1f} fps one image at a time, {side_by_side:.1f} side by side"
    measured = f"{ratio:.2f} (pipeline {all_of_it:.1f} fps; {engine})"
    return Answer("file mode: pipeline fps / engine fps", measured, ratio, ">= 0.90", ratio >= 0.90, {"rounds": rounds})


def _tutorial(rounds: list[dict[str, Any]]) -> Answer:
    ratio = median(r["pipeline"]["fps"] / r["tutorial"]["fps"] for r in rounds)
    fps = median(r["tutorial"]["fps"] for r in rounds)
    measured = f"{ratio:.2f} (tutorial {fps:.1f} fps)"
    return Answer("file mode: pipeline fps / tutorial loop's fps", measured, ratio, ">= 1.5", ratio >= 1.5, {})


def _networks(clip: Path, on_progress: OnProgress) -> Answer:
    on_progress("the networks in turn")
    ms = _contender("networks", clip, ROUND_S)
    ratio = ms["tiny"] / ms["midas_small"]
    measured = f"{ratio:.2f} (tiny {ms['tiny']:.1f} ms, midas_small {ms['midas_small']:.1f} ms)"
    return Answer("latency at 256x192: tiny / midas_small", measured, ratio, "<= 0.25", ratio <= 0.25, ms)


def _live(clip: Path, seconds: float, on_progress: OnProgress) -> Iterator[Answer]:
    on_progress("the engine alone")
    engine_ms = _contender("engine", clip, ROUND_S)["ms"]
    on_progress(f"live for {seconds:.0f} s")
    found = _contender("live", clip, seconds)
    ratio = found["age_p50_ms"] / engine_ms
    p50, p95 = found["age_p50_ms"], found["age_p95_ms"]
    measured = f"{ratio:.2f} (age p50 {p50:.0f} ms, p95 {p95:.0f} ms; engine {engine_ms:.0f} ms)"
    yield Answer("live: age p50 at the sink / engine latency", measured, ratio, "<= 1.6", ratio <= 1.6, found)
    first, second = found["age_p50_ms_halves"]
    growth = second / first
    measured = f"{growth:.2f} (age p50 {first:.0f} ms, then {second:.0f} ms)"
    yield Answer(f"live: age, second half of {seconds:.0f} s / first", measured, growth, "<= 1.15", growth <= 1.15, {})
    before, after = found["rss_mb_first_last"]
    measured = f"{after / before:.3f} ({before:.0f} MB, then {after:.0f} MB)"
    holds = after <= 1.03 * before
    yield Answer("live: memory at the end / after warm-up", measured, after / before, "<= 1.03", holds, {})


def _start(folder: Path, on_progress: OnProgress) -> Iterator[Answer]:
    on_progress("start-up")
    code = "import time; t = time.perf_counter(); import stream; print(time.perf_counter() - t)"
    imported = median(float(_run([sys.executable, "-c", code])) for _ in range(5))
    yield Answer("import stream", f"{imported:.2f} s", imported, "< 0.3 s", imported < 0.3, {})
    shown = _median_time([sys.executable, "-m", "pipelines", "--help"], runs=5)
    yield Answer("depthstream --help, whole process", f"{shown:.2f} s", shown, "< 0.5 s", shown < 0.5, {})
    image = folder / "image.png"
    _write_image(image)
    command = [sys.executable, "-m", "pipelines", "depth", str(image), "-o", str(folder / "out")]
    first = _median_time(command, runs=3)
    question = "depthstream depth of one image, whole process, trace on disk"
    yield Answer(question, f"{first:.2f} s", first, "<= 4 s", first <= 4, {})


def _write_image(path: Path) -> None:
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    if not cv2.imwrite(str(path), noise):
        raise DepthStreamError(f"{path}: the image for the benchmark could not be written")


def _median_time(command: list[str], runs: int) -> float:
    _run(command)  # fills the caches
    times = []
    for _ in range(runs):
        start = perf_counter()
        _run(command)
        times.append(perf_counter() - start)
    return median(times)


def _contender(name: str, clip: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipelines.benchmark.workloads", name, str(clip), str(seconds)]
    result: dict[str, Any] = json.loads(_run(command).splitlines()[-1])
    return result


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DepthStreamError(f"{' '.join(command[1:4])} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def machine_line() -> str:
    """The machine that the figures belong to."""
    from stream.core.machine import probe

    machine = probe()
    cpu = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return f"{cpu}, {machine.cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
