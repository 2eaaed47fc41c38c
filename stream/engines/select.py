"""Selection of the engine, its precision and its threads. A pure function, so tests can cover any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream.core.machine import Machine
from stream.core.optional import install_command
from stream.errors import SettingsError
from stream.settings import ModelSettings

EngineName = Literal["torchscript", "cuda", "cuda_graph", "tensorrt"]
Precision = Literal["fp32", "fp16", "bf16"]

SMALL_NETWORK_PARAMETERS = 2_000_000
"""In a network with fewer parameters a layer is nearly done before a second thread has woken up."""

MAX_THREADS = 8
"""Larger machines were not measured; after measuring there, set ``model.threads``."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The selected engine and its threads."""

    engine: EngineName
    lanes: int
    """Images in the network at the same time, each with its own threads; on a GPU see DeviceEstimator."""
    threads: int
    """CPU threads per lane."""
    reason: str
    """One line for people."""
    precision: Precision = "fp32"


def select(machine: Machine, settings: ModelSettings, parameters: int, *, built: bool = False) -> Choice:
    """The engine and threads for a network with this number of ``parameters`` on ``machine``.

    On a GPU it is the fastest engine: TensorRT if it is installed and engines of this network were ``built``, else CUDA
    graphs. On the CPU, all threads work on one image for latency; for throughput each thread has its own image: threads
    that need not wait for each other at every layer finish a third more images
    (docs/why/decisions/0004-threads-of-the-network.md). Raises SettingsError if the settings require a GPU and none is
    usable.
    """
    if settings.engine != "torchscript" and (gpu := usable_gpu(machine)):
        engine = _on_gpu(machine, settings, built)
        half: Precision = "fp16" if settings.precision == "fp16" else "fp32"
        # for TensorRT with "auto" the precision is open until the gate has accepted an engine
        suffix = "" if engine == "tensorrt" and settings.precision == "auto" else f", {half}"
        return Choice(engine, 1, 1, f"{engine} on {gpu}{suffix}: {_why(machine, settings)}", half)
    if settings.engine in ("cuda", "cuda_graph", "tensorrt"):
        raise SettingsError(f'[model] engine = "{settings.engine}": {_why_no_gpu(machine)}; "auto" takes what there is')
    lanes, threads = _lanes_and_threads(machine.cores, settings, parameters)
    origin = "as configured" if settings.threads else f"on {machine.cores} core{'s' * (machine.cores > 1)}"
    number = f"{threads} thread{'s' * (threads > 1)}" if lanes == 1 else f"{lanes} images at a time"
    precision, suffix = _on_cpu(machine, settings)
    reason = f"torchscript on the CPU, {number} {origin}{suffix}: {_why(machine, settings)}"
    return Choice("torchscript", lanes, threads, reason, precision)


def usable_gpu(machine: Machine) -> str | None:
    """Name of the first NVIDIA GPU, if the installed torch was built for one."""
    # Told by the version: asking torch would load it, and then ``wait_without_spinning`` comes too late.
    built_for_cuda = machine.torch_version is not None and not machine.torch_version.endswith("+cpu")
    return machine.cuda_devices[0] if machine.cuda_devices and built_for_cuda else None


def default_threads(cores: int, parameters: int) -> int:
    """Threads for one image: one for a small network, else as many as there are cores.

    Measured on two cores with ``cpu_setup.wait_without_spinning``, p50 with one and with two threads: MiDaS small 125
    and 85 ms alone, 133 and 115 ms next to a decoder and an encoder at 25 frames a second; tiny 12 and 17 ms.
    """
    return 1 if parameters < SMALL_NETWORK_PARAMETERS else _bounded(cores)


def _on_gpu(machine: Machine, settings: ModelSettings, built: bool) -> EngineName:
    # "auto" never builds engines by itself, because that takes minutes; "tensorrt" does
    if settings.engine == "tensorrt" and not machine.tensorrt:
        raise SettingsError(
            f'[model] engine = "tensorrt": the tensorrt package is not installed: {install_command("tensorrt")}; '
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
    """The precision and its suffix in the reason."""
    # without a CPU's bfloat16 instructions bfloat16 is 2 to 25 times slower
    if settings.precision != "bf16":
        return "fp32", "" if settings.precision != "fp16" else ", fp32 (fp16 is for GPUs)"
    return ("bf16", ", bf16") if machine.avx512_bf16 else ("fp32", ", fp32 (this CPU does not multiply bf16)")


def _bounded(cores: int) -> int:
    return max(1, min(cores, MAX_THREADS))


def _why(machine: Machine, settings: ModelSettings) -> str:
    if settings.engine != "auto":
        return f'model.engine = "{settings.engine}"'
    return "the fastest there is here" if usable_gpu(machine) else _why_no_gpu(machine)


def _why_no_gpu(machine: Machine) -> str:
    if machine.cuda_devices:
        return f"{machine.cuda_devices[0]} is not used, because torch {machine.torch_version} was built without CUDA"
    return "no NVIDIA GPU here"
