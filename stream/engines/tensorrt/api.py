"""Loads the installed TensorRT package, ``tensorrt`` (10.16 and 11.x) or ``tensorrt_rtx``, and identifies the GPU."""

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

from stream.core.optional import install_command
from stream.engines.tensorrt.names import Flavour
from stream.errors import MissingPackage

log = logging.getLogger(__name__)

MIN_VERSIONS: Mapping[Flavour, tuple[int, int]] = {"tensorrt": (10, 16), "tensorrt_rtx": (1, 7)}
"""TensorRT 10.3 to 10.7 silently give wrong depth for vision transformers (NVIDIA/TensorRT#4723)."""


@dataclass(frozen=True, slots=True)
class TensorRT:
    """An installed TensorRT package."""

    module: Any
    """The imported package; untyped, because it may be absent when types are checked."""
    flavour: Flavour
    version: str
    """As the package states it, such as "11.4.0.106"."""
    logger: Any
    """The ILogger for everything made with ``module``: TensorRT expects one per process."""
    errors: ErrorLog
    """Collects the errors that the logger receives."""

    def __str__(self) -> str:
        return f"{'TensorRT' if self.flavour == 'tensorrt' else 'TensorRT-RTX'} {self.version}"


@dataclass(slots=True)
class ErrorLog:
    """TensorRT's error messages since the last ``take``: its calls only return None or False on failure."""

    _lines: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)

    def take(self) -> str:
        """The first message, which is the cause of the others, in one line; then clear all."""
        with self._lock:
            first, self._lines = (self._lines or ["it does not say why"])[0], []
        return " ".join(first.split())


@cache
def load() -> TensorRT:
    """The installed TensorRT; the full one if both are. Raises MissingPackage if none is installed or it is too old."""
    for flavour in MIN_VERSIONS:
        try:
            module: Any = import_module(flavour)
        except ImportError as error:
            if error.name != flavour:  # the package exists, but one of its own imports is missing
                log.warning("%s is installed but cannot be imported: %s", flavour, error)
            continue
        _check_version(flavour, module.__version__)
        errors = ErrorLog()
        return TensorRT(module, flavour, module.__version__, _logger(module, errors), errors)
    raise MissingPackage(
        f'engine "tensorrt" needs the tensorrt package: {install_command("tensorrt")}; '
        f"or, for GeForce and RTX cards and for building without a GPU: {install_command('tensorrt-rtx')}"
    )


@dataclass(frozen=True, slots=True)
class Gpu:
    """The properties of a GPU that an engine's kernels depend on."""

    compute_capability: str
    """Such as "8.9"."""
    driver: str
    """Such as "580.65.06"; "unknown" if the system does not report it."""


def current_gpu(root: Path = Path("/")) -> Gpu | None:
    """The GPU that torch uses now; None if torch finds none."""
    import torch

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return Gpu(f"{major}.{minor}", driver_version(root))


def driver_version(root: Path = Path("/")) -> str:
    """The version of NVIDIA's kernel module, read from the system files under ``root``; "unknown" if absent."""
    try:
        line = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"
    match = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", line)
    return match[1] if match else "unknown"


def _check_version(flavour: Flavour, version: str) -> None:
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers < MIN_VERSIONS[flavour]:
        oldest, extra = ".".join(map(str, MIN_VERSIONS[flavour])), flavour.replace("_", "-")
        raise MissingPackage(
            f"{flavour} {version} is older than {oldest}: {install_command(extra, extra, upgrade=True)}"
        )


def _logger(trt: Any, errors: ErrorLog) -> Any:
    severity = trt.ILogger.Severity
    levels = {severity.WARNING: logging.INFO, severity.INFO: logging.DEBUG}

    class Logger(trt.ILogger):  # type: ignore[misc]  # a class that is only known once the package is loaded
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 raises TypeError without it

        def log(self, level: Any, message: str) -> None:
            if level <= severity.ERROR:  # INTERNAL_ERROR has the lower number
                errors.add(message)
            log.log(levels.get(level, logging.DEBUG), "%s", message)

    return Logger()
