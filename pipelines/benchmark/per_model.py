"""The cost of each network on this machine: operations, time and memory for a 1280x720 image, in separate processes.

python -m pipelines.benchmark.per_model tiny --seconds 5      # one network, as JSON
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from pipelines.benchmark.batch_curve import MIB, check_synchronised
from pipelines.benchmark.memory import peak_resident_mib
from stream.core.clock import Stamp
from stream.errors import EngineError
from stream.frames import Frame, Size
from stream.inference.estimator import Estimator
from stream.inference.open import estimator_for
from stream.models.base import DepthModel
from stream.models.catalog import MODELS, find
from stream.preprocess.geometry import network_size
from stream.settings import ModelSettings

IMAGE = Size(720, 1280)
WARM_UP, MIN_RUNS = 2, 3
CPU_GFLOP = 400.0
"""Networks with more operations take seconds per image on a CPU; there they are measured only when named."""
BATCHES = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one network."""

    name: str
    size: Size
    """Size of the network's input for an image of 1280x720."""
    parameters: int
    gflop: float
    """Multiplications and additions for one image, in billions, counted by torch on meta tensors."""
    engine: str
    scope: str
    p50_ms: float
    """Time of one image: preprocess, network, resize back; NaN if it was not measured."""
    p95_ms: float
    runs: int
    memory_mib: float
    """Peak resident memory of the process, or the memory in use on the device."""
    batches: dict[int, float]
    """Milliseconds per image, by batch size."""
    skipped: str = ""
    """Why the network was not measured; empty if it was."""


def gflop(name: str, size: Size) -> float:
    """Billions of operations for one input of ``size``. Meta tensors have no memory, so nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from stream.models.networks import build

    with torch.device("meta"), torch.inference_mode():
        network, counter = build(name), FlopCounterMode(display=False)
        with counter:
            network(torch.empty(1, 3, *size))
    return counter.get_total_flops() / 1e9


def one_of_each(models: Sequence[DepthModel] = MODELS) -> list[DepthModel]:
    """The networks without those that cost the same as an earlier one (other training, other last layer)."""
    kept: dict[tuple[int, int], DepthModel] = {}
    for model in models:
        kept.setdefault((model.parameters, model.spec.side), model)
    return list(kept.values())


def measure(name: str, seconds: float) -> Cost:
    """Measure a network in this process. Raises EngineError for a time that was taken without synchronising."""
    model = find(name)
    size = network_size(IMAGE, model.spec)
    settings = ModelSettings(name=name, weights="random", max_batch=max(BATCHES))
    frame = Frame(np.random.default_rng(0).integers(0, 256, (*IMAGE, 3), np.uint8), "bench", 0, Stamp.now())
    with estimator_for(settings, waits=True) as estimator:
        on_device = not estimator.describe().count("on the CPU")
        times = _times(estimator, [frame], seconds)
        if on_device:
            _check_device_time(estimator, times)
        batches = {1: float(np.median(times))}
        for count in BATCHES[1:]:
            batches[count] = float(np.median(_times(estimator, [frame] * count, seconds / 2))) / count
        p50, p95 = (float(np.percentile(times, q)) for q in (50, 95))
        scope = "synchronised by the copy back" if on_device else "the call returns when it is done"
        return Cost(
            *(name, size, model.parameters, gflop(name, size), estimator.describe(), scope),
            *(p50, p95, len(times), _memory_mib(on_device), batches),
        )


def skipped(model: DepthModel, reason: str) -> Cost:
    """The cost of a network that is not run: its size and operations only."""
    size, nan = network_size(IMAGE, model.spec), float("nan")
    operations = gflop(model.name, size)
    return Cost(model.name, size, model.parameters, operations, "-", "-", nan, nan, 0, nan, {}, reason)


def measure_in_process(name: str, seconds: float) -> Cost:
    """``measure`` in a fresh process, whose memory no other network has used.

    Raises EngineError with the last line that the process printed.
    """
    command = [sys.executable, "-m", __name__, name, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise EngineError(f"{name} could not be measured: {lines[-1] if lines else f'status {done.returncode}'}")
    fields = json.loads(done.stdout)
    batches = {int(count): ms for count, ms in fields.pop("batches").items()}  # JSON has text keys only
    return Cost(**fields | {"size": Size(*fields["size"]), "batches": batches})


def _times(estimator: Estimator, frames: list[Frame], seconds: float) -> list[float]:
    """Milliseconds of each run, after the warm-up."""
    for _ in range(WARM_UP):
        estimator.estimate(estimator.prepare(frames))
    times: list[float] = []
    end = monotonic() + seconds
    while len(times) < MIN_RUNS or monotonic() < end:
        start = perf_counter()
        estimator.estimate(estimator.prepare(frames))
        times.append(1e3 * (perf_counter() - start))
    return times


def _check_device_time(estimator: Estimator, times: list[float]) -> None:
    """Raise EngineError if the GPU's own clock counted more time than the host waited."""
    device_ms = sum(value for name, value in estimator.statistics().items() if name in {"network p50 ms"})
    check_synchronised(True, float(np.median(times)), device_ms)


def _memory_mib(on_device: bool) -> float:
    if not on_device:
        return peak_resident_mib()
    import torch

    free, total = torch.cuda.mem_get_info()
    return float(total - free) / MIB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments: Any = parser.parse_args()
    print(json.dumps(asdict(measure(arguments.name, arguments.seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
