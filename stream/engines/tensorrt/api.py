"""TensorRT by whichever name it is installed: ``tensorrt`` 10.16 and 11.x, or ``tensorrt_rtx``."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from stream.engines.tensorrt.names import Flavour
from stream.errors import MissingPackage

log = logging.getLogger(__name__)

OLDEST: Mapping[Flavour, tuple[int, int]] = {"tensorrt": (10, 16), "tensorrt_rtx": (1, 7)}
"""10.3 to 10.7 give wrong depth for vision transformers without a word (NVIDIA/TensorRT#4723)."""


@dataclass(frozen=True, slots=True)
class TensorRT:
    """An installed TensorRT."""

    module: Any
    flavour: Flavour
    version: str
    """As the package says it: "11.4.0.106"."""
    logger: Any
    """The ILogger for everything made with ``module``: TensorRT wants one in a process."""
    errors: Errors

    def __str__(self) -> str:
        return f"{'TensorRT' if self.flavour == 'tensorrt' else 'TensorRT-RTX'} {self.version}"


@dataclass(slots=True)
class Errors:
    """What TensorRT complained of since the last question; its own calls answer only None or False."""

    _lines: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)

    def take(self) -> str:
        """The first complaint, which is the cause of the others, in one line; then forget all."""
        with self._lock:
            first, self._lines = (self._lines or ["it does not say why"])[0], []
        return " ".join(first.split())


@cache
def load() -> TensorRT:
    """The TensorRT that is installed, the full one if both are. Raises MissingPackage: none, or too old a one."""
    for flavour in OLDEST:
        try:
            module: Any = import_module(flavour)
        except ImportError as error:
            if error.name != flavour:  # it is there, and something of its own is not
                log.warning("%s is installed but cannot be imported: %s", flavour, error)
            continue
        _check_version(flavour, module.__version__)
        errors = Errors()
        return TensorRT(module, flavour, module.__version__, _logger(module, errors), errors)
    raise MissingPackage(
        'engine "tensorrt" needs the tensorrt package: pip install "depthstream[tensorrt]"; '
        'or, for GeForce and RTX cards and for building without a GPU, "depthstream[tensorrt-rtx]"'
    )


@dataclass(frozen=True, slots=True)
class Gpu:
    """What an engine's kernels are chosen for."""

    compute_capability: str
    """As "8.9"."""
    driver: str
    """As "580.65.06"; "unknown" where the system does not tell."""


def gpu(root: Path = Path("/")) -> Gpu | None:
    """The GPU that torch uses now; None: torch sees none."""
    import torch

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return Gpu(f"{major}.{minor}", driver_version(root))


def driver_version(root: Path = Path("/")) -> str:
    """Of NVIDIA's kernel module, read from the system files under ``root``."""
    try:
        line = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"
    match = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", line)
    return match[1] if match else "unknown"


def _check_version(flavour: Flavour, version: str) -> None:
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers < OLDEST[flavour]:
        oldest, extra = ".".join(map(str, OLDEST[flavour])), flavour.replace("_", "-")
        raise MissingPackage(f'{flavour} {version} is older than {oldest}: pip install -U "depthstream[{extra}]"')


def _logger(trt: Any, errors: Errors) -> Any:
    severity = trt.ILogger.Severity
    levels = {severity.WARNING: logging.INFO, severity.INFO: logging.DEBUG}

    class Logger(trt.ILogger):  # type: ignore[misc]  # a class that is only known once the package is loaded
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, level: Any, message: str) -> None:
            if level <= severity.ERROR:  # internal errors are below
                errors.add(message)
            log.log(levels.get(level, logging.DEBUG), "%s", message)

    return Logger()
