"""Hardware of this computer as plain values, read from system files and the NVIDIA driver without loading torch.

Code that decides by it takes a ``Machine`` as an argument, so that a test can pass any machine.
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
    """Everything that decides how a network is run on this computer."""

    cores: int
    """CPUs that this process may use: its affinity, limited by the control group's quota rounded down; at least 1."""
    cuda_devices: tuple[str, ...]
    """Names of the NVIDIA GPUs that the driver lists, even if the installed torch cannot use them."""
    tensorrt: bool
    """True if TensorRT or TensorRT-RTX is installed."""
    avx512_bf16: bool
    """True if the CPU multiplies bfloat16 numbers in hardware."""
    torch_version: str | None
    """Installed version, for example "2.13.0+cpu"; None if torch is not installed."""


@cache
def probe() -> Machine:
    """This machine, probed once in the life of the process."""
    return probe_root(Path("/"), libcuda)


def probe_root(root: Path, driver: Callable[[], Any] = lambda: None) -> Machine:
    """The machine whose system files are under ``root``; a file that cannot be read counts as absent.

    ``driver`` returns the NVIDIA driver library (see ``libcuda``) or None. It lists the GPUs where the system files
    list none.
    """
    return Machine(
        cores=_cores(root),
        cuda_devices=_proc_gpus(root) or _driver_gpus(driver()),
        # find_spec imports nothing.
        tensorrt=any(find_spec(package) is not None for package in ("tensorrt", "tensorrt_rtx")),
        avx512_bf16=re.search(r"^flags\s*:.*\bavx512_bf16\b", _text(root / "proc/cpuinfo"), re.MULTILINE) is not None,
        torch_version=_version("torch"),
    )


def libcuda() -> Any:
    """NVIDIA's driver library, loaded by ctypes; None if this machine has none."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def _cores(root: Path) -> int:
    allowed = len(os.sched_getaffinity(0))
    # A quota limits time, not the set of CPUs, so the affinity of a container does not show it.
    quotas = (_quota_v2(root), _quota_v1(root))
    return max(1, min([allowed, *(int(quota) for quota in quotas if quota is not None)]))


def _quota_v2(root: Path) -> float | None:
    """CPUs by cpu.max ("150000 100000" or "max 100000"; Linux, Documentation/admin-guide/cgroup-v2.rst)."""
    match = re.fullmatch(r"(\d+) (\d+)", _text(root / "sys/fs/cgroup/cpu.max").strip())
    return int(match[1]) / int(match[2]) if match else None


def _quota_v1(root: Path) -> float | None:
    """CPUs by cfs_quota_us and cfs_period_us; a quota of -1 means no limit."""
    folder = root / "sys/fs/cgroup/cpu"
    quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _proc_gpus(root: Path) -> tuple[str, ...]:
    """GPU names from /proc/driver/nvidia, which costs no driver call."""
    folders = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    models = (re.search(r"^Model:\s*(.+?)\s*$", _text(path), re.MULTILINE) for path in folders)
    return tuple(model[1] if model else "NVIDIA GPU" for model in models)


def _driver_gpus(driver: Any) -> tuple[str, ...]:
    """GPU names from the CUDA driver API, for WSL2, Jetson and some sandboxes, which have no /proc/driver/nvidia.

    Empty if the driver reports an error: torch could not use such a GPU either.
    """
    count = ctypes.c_int()
    # cuInit answers CUDA_ERROR_NO_DEVICE (100), or another error, where there is no GPU to use.
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    names = []
    for number in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        ok = driver.cuDeviceGet(ctypes.byref(device), number) == 0
        ok = ok and driver.cuDeviceGetName(name, len(name), device) == 0
        names.append(name.value.decode(errors="replace") if ok and name.value else "NVIDIA GPU")
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
