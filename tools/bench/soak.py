"""Run a robot's depth source for an hour with four cameras and a fault a minute, and watch what it costs.

    python -m tools.bench.soak [--minutes 60] [--write docs/reference/benchmarks/soak.md]

The cameras are in this process; the product is one of its own (``depthstream publish``). Goals, after a warm-up of a
sixth of the time: memory grows by less than 1 MB an hour, descriptors and threads stay as they are, every frame is
accounted for, and every camera is live at the end. The exit status is 1 if one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import linear_regression, mean
from threading import Event
from time import monotonic, sleep
from typing import NamedTuple

from pipelines.drill.camera.encode import Codec
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tools.bench.lib.goals import GoalResult, run_benchmarks

FAULT_EVERY_S, SAMPLE_EVERY_S = 60.0, 5.0
LARGEST_GROWTH_MB_H = 1.0
SETTLED_AFTER_S = 40.0
"""Faults stop this long before the end, so that all cameras can be back."""
CONFIG = """pipeline = "robot"
model.name = "tiny"
publish.endpoints = ["ipc://{folder}/depth"]
"""
CAMERA = """
[[cameras]]
source = "rtsp"
name = "{name}"
url = "{url}"
transport = "{transport}"
max_fps = 5
"""


class Sample(NamedTuple):
    """The product's process at one moment."""

    at_s: float
    """Seconds since the start."""
    memory_mb: float
    """Resident, without the pages that it shares with files."""
    descriptors: int
    threads: int


class Soak(NamedTuple):
    """What an hour showed."""

    samples: list[Sample]
    faults: Counter[str]
    result: dict[str, object]
    """The statistics that the command wrote at its end."""
    exit_status: int


def cameras(stack: ExitStack) -> dict[str, RtspCamera]:
    """Four cameras: three codecs, both transports."""
    codecs: dict[str, Codec] = {"front": "h264", "left": "h265", "right": "mjpeg", "back": "h264"}
    return {
        name: stack.enter_context(RtspCamera({"/cam": Clip.test_pattern(codec=codec, width=640, height=480)}))
        for name, codec in codecs.items()
    }


def faults(camera: RtspCamera, process: int) -> dict[str, Callable[[], None]]:
    """The faults by name; each returns when the camera, or the product's process, may recover."""

    def stall() -> None:
        camera.stall()
        sleep(4)
        camera.resume()

    def absent() -> None:
        camera.refuse()
        camera.cut("rst")
        sleep(8)
        camera.refuse(False)

    def mute() -> None:
        camera.mute()
        camera.cut("fin")
        sleep(8)
        camera.mute(False)

    def suspend() -> None:
        os.kill(process, signal.SIGSTOP)
        sleep(5)
        os.kill(process, signal.SIGCONT)

    return {
        "stall": stall,
        "cut": lambda: camera.cut("fin"),
        "reset": lambda: camera.cut("rst"),
        "absent": absent,
        "mute": mute,
        "loss": lambda: camera.lose(5),
        "corruption": lambda: camera.corrupt(5),
        "clock jump": lambda: camera.jump_clock(-3600),
        "suspended process": suspend,
    }


def sample(process: int, at_s: float) -> Sample:
    """Read /proc. Raises OSError when the process has ended."""
    folder = Path("/proc") / str(process)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    memory_kb = int(status["RssAnon"].split()[0])
    return Sample(at_s, memory_kb / 1024, len(list((folder / "fd").iterdir())), int(status["Threads"]))


def soak(minutes: float) -> Soak:
    """Run the product and break a camera every minute."""
    rng, count, samples, stop = Random(1), Counter[str](), [], Event()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rigs = cameras(stack)
        config, output = folder / "soak.toml", folder / "result.json"
        tables = (
            CAMERA.format(name=name, url=rig.url("/cam"), transport="udp" if name == "left" else "tcp")
            for name, rig in rigs.items()
        )
        config.write_text(CONFIG.format(folder=folder) + "".join(tables))
        command = [sys.executable, "-m", "pipelines", "publish", str(config), "--json", str(output)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        started, names = monotonic(), list(faults(next(iter(rigs.values())), process.pid))
        next_fault_s, turn = FAULT_EVERY_S, 0
        try:
            while (at_s := monotonic() - started) < 60 * minutes and process.poll() is None:
                samples.append(sample(process.pid, at_s))
                if at_s >= next_fault_s and at_s < 60 * minutes - SETTLED_AFTER_S:
                    next_fault_s += FAULT_EVERY_S
                    fault = names[turn % len(names)]
                    turn += 1
                    count[fault] += 1
                    faults(rng.choice(list(rigs.values())), process.pid)[fault]()
                    _progress(at_s, fault, samples[-1])
                stop.wait(SAMPLE_EVERY_S)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            status = process.wait(30)
        return Soak(samples, count, json.loads(output.read_text()), status)


def _progress(at_s: float, fault: str, newest: Sample) -> None:
    print(
        f"{at_s / 60:5.1f} min  {fault:18} {newest.memory_mb:6.1f} MB  {newest.descriptors} descriptors  "
        f"{newest.threads} threads",
        flush=True,
    )


def judged(done: Soak, minutes: float) -> Iterator[GoalResult]:
    """Every goal with what was measured."""
    settled = [item for item in done.samples if item.at_s > 60 * minutes / 6]
    slope = linear_regression([item.at_s / 3600 for item in settled], [item.memory_mb for item in settled]).slope
    yield GoalResult("memory grows by < 1 MB an hour", f"{slope:+.2f} MB/h", slope < LARGEST_GROWTH_MB_H)
    for name in ("descriptors", "threads"):
        values = [getattr(item, name) for item in settled]
        third = len(values) // 3
        first, last = mean(values[:third]), mean(values[-third:])
        text = f"{first:.1f} in the first third, {last:.1f} in the last, {max(values)} at most"
        yield GoalResult(f"{name} stay as they are", text, last <= first + 0.5)
    cameras_ = done.result["cameras"]
    assert isinstance(cameras_, list)
    states = {camera["name"]: camera["state"] for camera in cameras_}
    yield GoalResult(
        "every camera is live at the end", ", ".join(sorted(set(states.values()))), set(states.values()) == {"live"}
    )
    accounts = done.result["accounts"]
    assert isinstance(accounts, list)
    in_flight = sum(a["captured"] - a["published"] - sum(a["dropped"].values()) for a in accounts)
    captured = sum(account["captured"] for account in accounts)
    yield GoalResult("every frame is accounted for", f"{in_flight} of {captured} are not", in_flight == 0)
    yield GoalResult("Ctrl-C ends it", f"exit status {done.exit_status}", done.exit_status == 130)


def main() -> int:
    """Soak, print and write; returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    arguments = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs ignore it, and so would the child

    def goals() -> Iterator[GoalResult]:
        done = soak(arguments.minutes)
        listed = ", ".join(f"{number} x {fault}" for fault, number in sorted(done.faults.items()))
        yield GoalResult("faults", listed or "none", bool(done.faults))
        yield from judged(done, arguments.minutes)

    return run_benchmarks({"soak": goals}, None, arguments.write)


if __name__ == "__main__":
    sys.exit(main())
