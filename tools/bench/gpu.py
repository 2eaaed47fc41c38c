"""Measure the goals of the GPU path on this machine's GPU: ratios within one run, synchronised.

    python -m tools.bench.gpu [--model depth_anything_v2_small] [--seconds 3] [--networks] [--page docs/PAGE.md]

Writes benchmarks/gpu-CARD.json. Run nothing else on the card meanwhile. Weights are random unless --trained is given,
because only speed is measured. The fastest engine is TensorRT in half precision if TensorRT is installed, else CUDA
graphs of torch in half precision.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pipelines.benchmark.suite import machine_line
from stream.core.atomic_write import atomic_write
from stream.core.machine import probe
from stream.frames import Size
from stream.models.catalog import MODELS, find
from tools.bench.lib.goals import GoalResult, run_benchmarks

if TYPE_CHECKING:
    from stream.engines.select import EngineName
    from tools.bench.lib.gpu_measurements import Rig

FULL_HD, HD = Size(1080, 1920), Size(720, 1280)
PREFERRED = ("depth_anything_v2_small", "midas_small")
ROUNDS, BATCH = 5, 8
PACKAGES = ("torch", "tensorrt", "tensorrt-rtx", "numpy", "opencv-python")


def main() -> int:
    """Measure, print and write; returns 1 if a goal is missed, 2 without a GPU."""
    arguments = _arguments()
    import torch

    if not torch.cuda.is_available():
        print("tools.bench.gpu: no CUDA GPU that torch can use here: nothing is measured", file=sys.stderr)
        return 2
    from tools.bench.lib.gpu_measurements import Rig

    rig = Rig(find(arguments.model), "trained" if arguments.trained else "random", HD)
    card, results = torch.cuda.get_device_name(), list[GoalResult]()

    def recorded() -> Iterator[GoalResult]:
        for result in chain(measurements(rig, arguments.seconds), _networks(arguments)):
            results.append(result)
            yield result

    status = run_benchmarks({"gpu": recorded}, None, arguments.page)
    file = arguments.folder / file_name(card)
    atomic_write(file, (json.dumps(report(card, rig, results), indent=1) + "\n").encode())
    print(file)
    return status


def measurements(rig: Rig, seconds: float) -> Iterator[GoalResult]:
    """Every goal of the GPU path, with what was measured."""
    from tools.bench.lib.gpu_measurements import rates, ratio

    frames = rig.frames(BATCH)
    with ExitStack() as stack:
        steps, fastest = _steps(rig, stack)
        rounds = rates(steps, ROUNDS, seconds, rig.device)
        fps = {name: median(values) for name, values in rounds.items()}
        yield _at_least("end to end / official float64 code, engine cuda", ratio(rounds, "cuda", "official"), 1.5, fps)
        yield _at_least(f"the same, {fastest}", ratio(rounds, "fastest", "official"), 4, fps)
        yield _at_least("end to end / engine only, batches of 8", ratio(rounds, "batches", "engine"), 0.95, fps)
        yield _at_least("batches of 8 over 8 cameras / one at a time", ratio(rounds, "batches", "fastest"), 2, fps)
        yield from _times(rig, steps["batches"], seconds, len(frames))
        rate = fps["batches"]
        yield GoalResult("frames a second from 1280x720, end to end, >= 400", f"{rate:.0f}", rate >= 400)


def _networks(arguments: argparse.Namespace) -> Iterator[GoalResult]:
    if arguments.networks:
        from tools.bench.lib.gpu_models import measurements as of_networks

        yield from of_networks(arguments.seconds, _fastest("cuda"), "trained" if arguments.trained else "random")


def _fastest(device: str) -> EngineName:
    return "tensorrt" if probe().tensorrt and device == "cuda" else "cuda_graph"


def _steps(rig: Rig, stack: ExitStack) -> tuple[dict[str, Any], str]:
    """The steps that are compared, and a line that describes the fastest engine; ``stack`` closes the estimators."""
    from tools.bench.lib.gpu_measurements import engine_only, official, over_device

    name = _fastest(rig.device)
    plain = stack.enter_context(rig.estimator("cuda"))
    one = stack.enter_context(rig.estimator(name, 1, "fp16"))
    many = stack.enter_context(rig.estimator(name, BATCH, "fp16"))
    frames = rig.frames(BATCH)
    steps = {
        "official": official(plain, frames[0]),
        "cuda": over_device(plain, frames[:1]),
        "fastest": over_device(one, frames[:1]),
        "batches": over_device(many, frames),
        "engine": engine_only(many, BATCH, rig.camera),
    }
    return steps, one.describe()


def _times(rig: Rig, step: Any, seconds: float, batch: int) -> Iterator[GoalResult]:
    from tools.bench.lib.gpu_measurements import around_the_network, host_ms, rate

    host = host_ms(step, seconds)
    yield GoalResult(f"host's CPU time a frame, batches of {batch}, <= 0.5 ms", f"{host:.3f} ms", host <= 0.5)
    around = 1e3 / rate(around_the_network(replace(rig, camera=FULL_HD), rig.model.spec), seconds, rig.device)
    yield GoalResult("preprocess, colour and copies of a 1080p frame, <= 1 ms", f"{around:.3f} ms", around <= 1)


def _at_least(name: str, measured: float, limit: float, fps: dict[str, float]) -> GoalResult:
    rates = ", ".join(f"{step} {value:.0f}" for step, value in fps.items())
    return GoalResult(f"{name} >= {limit:g}", f"{measured:.2f} (images/s: {rates})", measured >= limit)


def report(card: str, rig: Rig, results: list[GoalResult]) -> dict[str, Any]:
    """The content of the JSON file: machine, versions, network, and every result."""
    return {
        "card": card,
        "driver": _driver(),
        "machine": machine_line(),
        "versions": versions(),
        "model": rig.model.name,
        "weights": rig.weights,
        "camera": str(rig.camera),
        "rounds": ROUNDS,
        "goals": [asdict(result) for result in results],
    }


def versions() -> dict[str, str]:
    """The versions of those ``PACKAGES`` that are installed."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def file_name(card: str) -> str:
    """The name of a card's file: "NVIDIA H200 NVL" gives "gpu-nvidia-h200-nvl.json"."""
    return f"gpu-{re.sub(r'[^a-z0-9]+', '-', card.lower()).strip('-')}.json"


def _driver() -> str:
    from stream.engines.tensorrt.api import driver_version

    return driver_version()


def _arguments() -> argparse.Namespace:
    known = [model.name for model in MODELS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=next(name for name in PREFERRED if name in known), choices=known)
    parser.add_argument("--trained", action="store_true", help="with the official weights, behind the engine gate")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each step in each round")
    parser.add_argument("--networks", action="store_true", help="also Depth Pro and boxes; needs 16 GB on the card")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    parser.add_argument("--page", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
