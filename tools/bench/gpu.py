"""What the GPU path promises, measured on this machine's GPU: ratios in one run, synchronised.

    python -m tools.bench.gpu [--model depth_anything_v2_small] [--seconds 3] [--networks] [--page docs/PAGE.md]

Writes benchmarks/gpu-CARD.json. Nothing else should run on the card meanwhile. Random weights unless --trained: speed
only. The fastest engine is TensorRT's in half precision where TensorRT is installed, else CUDA graphs of torch in half.
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
from stream.core.atomic_write import write_whole
from stream.core.machine import probe
from stream.frames import Size
from stream.models.catalog import MODELS, find
from tools.bench.lib.goals import Kept, Questions, answer

if TYPE_CHECKING:
    from stream.engines.select import EngineName
    from tools.bench.lib.gpu_measurements import Rig

FULL_HD, HD = Size(1080, 1920), Size(720, 1280)
PREFERRED = ("depth_anything_v2_small", "midas_small")
ROUNDS, BATCH = 5, 8
PACKAGES = ("torch", "tensorrt", "tensorrt-rtx", "numpy", "opencv-python")


def main() -> int:
    """Measure, print, write; 1: a promise is not kept, 2: there is no GPU."""
    arguments = _arguments()
    import torch

    if not torch.cuda.is_available():
        print("tools.bench.gpu: no CUDA GPU that torch can use here: nothing is measured", file=sys.stderr)
        return 2
    from tools.bench.lib.gpu_measurements import Rig

    rig = Rig(find(arguments.model), "trained" if arguments.trained else "random", HD)
    card, told = torch.cuda.get_device_name(), list[Kept]()

    def asked() -> Iterator[Kept]:
        for kept in chain(measurements(rig, arguments.seconds), _networks(arguments)):
            told.append(kept)
            yield kept

    questions: Questions = {"gpu": asked}
    status = answer(questions, None, arguments.page)
    file = arguments.folder / file_name(card)
    write_whole(file, (json.dumps(report(card, rig, told), indent=1) + "\n").encode())
    print(file)
    return status


def measurements(rig: Rig, seconds: float) -> Iterator[Kept]:
    """Every promise of the GPU path with what was measured."""
    from tools.bench.lib.gpu_measurements import rates, ratio

    frames = rig.frames(BATCH)
    with ExitStack() as opened:
        steps, fastest = _steps(rig, opened)
        found = rates(steps, ROUNDS, seconds, rig.device)
        fps = {name: median(values) for name, values in found.items()}
        yield _at_least("whole way / official float64 way, engine cuda", ratio(found, "cuda", "official"), 1.5, fps)
        yield _at_least(f"the same, {fastest}", ratio(found, "fastest", "official"), 4, fps)
        yield _at_least("whole way / engine only, batches of 8", ratio(found, "batches", "engine"), 0.95, fps)
        yield _at_least("batches of 8 over 8 cameras / one at a time", ratio(found, "batches", "fastest"), 2, fps)
        yield from _times(rig, steps["batches"], seconds, len(frames))
        rate = fps["batches"]
        yield Kept("frames a second from 1280x720, end to end, >= 400", f"{rate:.0f}", rate >= 400)


def _networks(arguments: argparse.Namespace) -> Iterator[Kept]:
    if arguments.networks:
        from tools.bench.lib.gpu_models import measurements as of_networks

        yield from of_networks(arguments.seconds, _fastest("cuda"), "trained" if arguments.trained else "random")


def _fastest(device: str) -> EngineName:
    return "tensorrt" if probe().tensorrt and device == "cuda" else "cuda_graph"


def _steps(rig: Rig, opened: ExitStack) -> tuple[dict[str, Any], str]:
    from tools.bench.lib.gpu_measurements import engine_only, official, over_device

    name = _fastest(rig.device)
    plain = opened.enter_context(rig.estimator("cuda"))
    one = opened.enter_context(rig.estimator(name, 1, "fp16"))
    many = opened.enter_context(rig.estimator(name, BATCH, "fp16"))
    frames = rig.frames(BATCH)
    steps = {
        "official": official(plain, frames[0]),
        "cuda": over_device(plain, frames[:1]),
        "fastest": over_device(one, frames[:1]),
        "batches": over_device(many, frames),
        "engine": engine_only(many, BATCH, rig.camera),
    }
    return steps, one.describe()


def _times(rig: Rig, step: Any, seconds: float, batch: int) -> Iterator[Kept]:
    from tools.bench.lib.gpu_measurements import around_the_network, host_ms, rate

    host = host_ms(step, seconds)
    yield Kept(f"host's own time a frame, batches of {batch}, <= 0.5 ms", f"{host:.3f} ms", host <= 0.5)
    around = 1e3 / rate(around_the_network(replace(rig, camera=FULL_HD), rig.model.spec), seconds, rig.device)
    yield Kept("preprocess, colour and copies of a 1080p frame, <= 1 ms", f"{around:.3f} ms", around <= 1)


def _at_least(question: str, measured: float, goal: float, fps: dict[str, float]) -> Kept:
    told = ", ".join(f"{name} {value:.0f}" for name, value in fps.items())
    return Kept(f"{question} >= {goal:g}", f"{measured:.2f} (images/s: {told})", measured >= goal)


def report(card: str, rig: Rig, told: list[Kept]) -> dict[str, Any]:
    """The JSON file: where, with what, and every figure."""
    return {
        "card": card,
        "driver": _driver(),
        "machine": machine_line(),
        "versions": versions(),
        "model": rig.model.name,
        "weights": rig.weights,
        "camera": str(rig.camera),
        "rounds": ROUNDS,
        "measurements": [asdict(kept) for kept in told],
    }


def versions() -> dict[str, str]:
    """Of what is installed of ``PACKAGES``."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def file_name(card: str) -> str:
    """ "NVIDIA H200 NVL" -> "gpu-nvidia-h200-nvl.json"."""
    return f"gpu-{re.sub(r'[^a-z0-9]+', '-', card.lower()).strip('-')}.json"


def _driver() -> str:
    from stream.engines.tensorrt.api import driver_version

    return driver_version()


def _arguments() -> argparse.Namespace:
    known = [model.name for model in MODELS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=next(name for name in PREFERRED if name in known), choices=known)
    parser.add_argument("--trained", action="store_true", help="with the official weights, behind the engine gate")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each way in each of the rounds")
    parser.add_argument("--networks", action="store_true", help="Depth Pro and boxes, too: needs 16 GB on the card")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    parser.add_argument("--page", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
