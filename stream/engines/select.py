"""Which engine runs the network here, with how many threads, and why: a pure function, so any machine can be tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream.core.machine import Machine
from stream.errors import SettingsError
from stream.settings import ModelSettings

EngineName = Literal["torchscript", "cuda", "cuda_graph", "tensorrt"]
Precision = Literal["fp32", "fp16", "bf16"]

SMALL_NETWORK = 2_000_000
"""Parameters below which a second thread has hardly woken up when a layer is done."""

MOST_THREADS = 8
"""Not measured on larger machines; ``model.threads`` decides where somebody has."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a network is run."""

    engine: EngineName
    lanes: int
    """Images that are in the network at the same time, each on threads of its own; on a GPU see DeviceEstimator."""
    threads: int
    """CPU threads of each lane."""
    reason: str
    """One line for people."""
    precision: Precision = "fp32"


def select(machine: Machine, settings: ModelSettings, parameters: int, *, built: bool = False) -> Choice:
    """The engine for ``settings`` and a network of so many ``parameters`` on ``machine``, and its threads.

    On a GPU the fastest: TensorRT, where it is installed and engines of this network were ``built``; else CUDA graphs.
    On the CPU: for latency all threads work on one image. For throughput each has an image of its own: threads that
    need not wait for each other at every layer finish a third more images
    (docs/decisions/0004-threads-of-the-network.md). Raises SettingsError where a GPU is asked for and none is usable.
    """
    if settings.engine != "torchscript" and (gpu := usable_gpu(machine)):
        engine = _on_gpu(machine, settings, built)
        half: Precision = "fp16" if settings.precision == "fp16" else "fp32"
        words = "" if engine == "tensorrt" and settings.precision == "auto" else f", {half}"  # what the gate accepts
        return Choice(engine, 1, 1, f"{engine} on {gpu}{words}: {_why(machine, settings)}", half)
    if settings.engine in ("cuda", "cuda_graph", "tensorrt"):
        raise SettingsError(f'[model] engine = "{settings.engine}": {_why_no_gpu(machine)}; "auto" takes what there is')
    lanes, threads = _lanes_and_threads(machine.cores, settings, parameters)
    asked = "as asked for" if settings.threads else f"on {machine.cores} core{'s' * (machine.cores > 1)}"
    number = f"{threads} thread{'s' * (threads > 1)}" if lanes == 1 else f"{lanes} images at a time"
    precision, words = _on_cpu(machine, settings)
    reason = f"torchscript on the CPU, {number} {asked}{words}: {_why(machine, settings)}"
    return Choice("torchscript", lanes, threads, reason, precision)


def usable_gpu(machine: Machine) -> str | None:
    """Name of the first NVIDIA GPU, if the installed torch was built for one."""
    built_for_cuda = machine.torch_version is not None and not machine.torch_version.endswith("+cpu")
    return machine.cuda_devices[0] if machine.cuda_devices and built_for_cuda else None


def default_threads(cores: int, parameters: int) -> int:
    """Threads for one image: one for a small network, else as many as there are cores.

    For threads that wait without spinning (``threads.wait_without_spinning``), measured on two cores, p50 in ms with
    one and two threads: MiDaS small 125 and 85 alone, 133 and 115 beside a decoder and an encoder at 25 frames a
    second; tiny 12 and 17.
    """
    return 1 if parameters < SMALL_NETWORK else _bounded(cores)


def _on_gpu(machine: Machine, settings: ModelSettings, built: bool) -> EngineName:
    """ "auto" never builds engines by itself, which takes minutes; "tensorrt" does."""
    if settings.engine == "tensorrt" and not machine.tensorrt:
        raise SettingsError(
            '[model] engine = "tensorrt": the tensorrt package is not installed: pip install "depthstream[tensorrt]"; '
            '"auto" takes what there is'
        )
    if settings.engine == "auto":
        return "tensorrt" if machine.tensorrt and built else "cuda_graph"
    assert settings.engine != "torchscript"
    return settings.engine


def _lanes_and_threads(cores: int, settings: ModelSettings, parameters: int) -> tuple[int, int]:
    if settings.layout == "throughput":
        return settings.threads or _bounded(cores), 1
    return 1, settings.threads or default_threads(cores, parameters)


def _on_cpu(machine: Machine, settings: ModelSettings) -> tuple[Precision, str]:
    """The precision there, and what to say of it. Without its instructions bfloat16 is 2 to 25 times slower."""
    if settings.precision != "bf16":
        return "fp32", "" if settings.precision != "fp16" else ", fp32 (fp16 is for GPUs)"
    return ("bf16", ", bf16") if machine.avx512_bf16 else ("fp32", ", fp32 (this CPU does not multiply bf16)")


def _bounded(cores: int) -> int:
    return max(1, min(cores, MOST_THREADS))


def _why(machine: Machine, settings: ModelSettings) -> str:
    if settings.engine != "auto":
        return f'model.engine = "{settings.engine}"'
    return "the fastest there is here" if usable_gpu(machine) else _why_no_gpu(machine)


def _why_no_gpu(machine: Machine) -> str:
    if machine.cuda_devices:
        return f"{machine.cuda_devices[0]} is not used, because torch {machine.torch_version} was built without CUDA"
    return "no NVIDIA GPU here"
