"""What this computer has, as plain values: from the system's own files and the driver, without loading torch.

Looked at once. Whoever decides by it takes a ``Machine`` as an argument, so that a test can bring any machine it likes.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how a network is run here."""

    cores: int
    """CPUs that this process may use: its affinity, and its control group's quota rounded down; at least 1."""
    cuda_devices: tuple[str, ...]
    """Names of the NVIDIA GPUs the driver shows, whether or not the installed torch can use them."""
    tensorrt: bool
    """Whether TensorRT or TensorRT-RTX is installed."""
    avx512_bf16: bool
    """Whether the CPU multiplies bfloat16 numbers."""
    torch_version: str | None
    """As installed, for example "2.13.0+cpu"; None: not installed."""


@cache
def probe() -> Machine:
    """This machine, looked at once in the life of the process."""
    return look(Path("/"), libcuda)


def look(root: Path, driver: Callable[[], Any] = lambda: None) -> Machine:
    """The machine whose system files are under ``root``; what cannot be read counts as absent.

    ``driver``: gives NVIDIA's (``libcuda``), or None. It is asked for GPUs where the system files show none.
    """
    return Machine(
        cores=_cores(root),
        cuda_devices=_cuda_devices(root) or _told_by(driver()),
        tensorrt=any(find_spec(package) is not None for package in ("tensorrt", "tensorrt_rtx")),
        avx512_bf16=re.search(r"^flags\s*:.*\bavx512_bf16\b", _text(root / "proc/cpuinfo"), re.MULTILINE) is not None,
        torch_version=_version("torch"),
    )


def _cores(root: Path) -> int:
    allowed = len(os.sched_getaffinity(0))
    quotas = (_quota_v2(root), _quota_v1(root))
    return max(1, min([allowed, *(int(quota) for quota in quotas if quota is not None)]))


def _quota_v2(root: Path) -> float | None:
    """CPUs by cpu.max ("150000 100000" or "max 100000"; Linux, Documentation/admin-guide/cgroup-v2.rst)."""
    match = re.fullmatch(r"(\d+) (\d+)", _text(root / "sys/fs/cgroup/cpu.max").strip())
    return int(match[1]) / int(match[2]) if match else None


def _quota_v1(root: Path) -> float | None:
    """CPUs by cfs_quota_us and cfs_period_us; a quota of -1 means none."""
    folder = root / "sys/fs/cgroup/cpu"
    quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _cuda_devices(root: Path) -> tuple[str, ...]:
    folders = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    models = (re.search(r"^Model:\s*(.+?)\s*$", _text(path), re.MULTILINE) for path in folders)
    return tuple(model[1] if model else "NVIDIA GPU" for model in models)


def libcuda() -> Any:
    """NVIDIA's driver library; None: there is none."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def _told_by(driver: Any) -> tuple[str, ...]:
    """Names of the GPUs by the driver itself (CUDA driver API): under WSL2, on Jetson and in some sandboxes there is no
    /proc/driver/nvidia. None where it has an error to tell: then torch could not use it either."""
    count = ctypes.c_int()
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    names = []
    for number in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        told = driver.cuDeviceGet(ctypes.byref(device), number) == 0
        told = told and driver.cuDeviceGetName(name, len(name), device) == 0
        names.append(name.value.decode(errors="replace") if told and name.value else "NVIDIA GPU")
    return tuple(names)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
