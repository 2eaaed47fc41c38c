"""Which engine runs the network here, with how many threads, and why: a pure function, so any machine can be tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream.machine import Machine
from stream.settings import ModelSettings

SMALL_NETWORK = 2_000_000
"""Parameters below which a second thread has hardly woken up when a layer is done."""

MOST_THREADS = 8
"""Not measured on larger machines; ``model.threads`` decides where somebody has."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a network is run."""

    engine: Literal["torchscript"]
    threads: int
    """CPU threads of the network."""
    reason: str
    """One line for people."""


def choose(machine: Machine, settings: ModelSettings, parameters: int | None = None) -> Choice:
    """The engine and its threads for ``settings`` and a network of so many ``parameters`` (None: many)."""
    threads = settings.threads or default_threads(machine.cores, parameters)
    asked = "as asked for" if settings.threads else f"on {machine.cores} core{'s' if machine.cores > 1 else ''}"
    number = f"{threads} thread{'s' if threads > 1 else ''} {asked}"
    return Choice("torchscript", threads, f"torchscript on the CPU, {number}: {_why(machine, settings)}")


def default_threads(cores: int, parameters: int | None) -> int:
    """One for a small network, else as many as there are cores.

    For threads that wait without spinning (``threads.wait_without_spinning``), measured on two cores, p50 in ms with
    one and two threads: MiDaS small 125 and 85 alone, 133 and 115 beside a decoder and an encoder at 25 frames a
    second; tiny 12 and 17.
    """
    small = parameters is not None and parameters < SMALL_NETWORK
    return 1 if small else max(1, min(cores, MOST_THREADS))


def _why(machine: Machine, settings: ModelSettings) -> str:
    if settings.engine != "auto":
        return f'model.engine = "{settings.engine}"'
    if machine.cuda_devices:
        return f"{machine.cuda_devices[0]} is not used, there is no GPU engine yet"
    return "no NVIDIA GPU here"
