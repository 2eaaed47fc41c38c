"""Probing a machine, from system files that the tests write."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.core.machine import libcuda, probe, probe_root

ALLOWED = len(os.sched_getaffinity(0))


def test_an_empty_computer_has_one_core_at_least_and_nothing_else(tmp_path: Path) -> None:
    """A file that cannot be read counts as absent; the cores are those this process may use."""
    machine = probe_root(tmp_path)
    assert machine.cores == ALLOWED
    assert machine.cuda_devices == ()
    assert not machine.avx512_bf16


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", ALLOWED),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("190000 100000", 1),
        ("9900000 100000", ALLOWED),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path: Path, quota: str, cores: int) -> None:
    """cpu.max of control groups, version 2; parts of a core do not count, except the first."""
    folder = tmp_path / "sys/fs/cgroup"
    folder.mkdir(parents=True)
    (folder / "cpu.max").write_text(quota + "\n")
    assert probe_root(tmp_path).cores == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", ALLOWED), ("100000", 1)])
def test_older_control_groups_limit_them_too(tmp_path: Path, quota: str, cores: int) -> None:
    """cpu.cfs_quota_us; -1 means no limit."""
    folder = tmp_path / "sys/fs/cgroup/cpu"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert probe_root(tmp_path).cores == cores


@pytest.mark.slow
def test_affinity_limits_the_cores() -> None:
    """A process that was pinned to one CPU has one core."""
    pin = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    code = f"{pin}; from stream.core.machine import probe; print(probe().cores)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"


def test_gpus_are_named_by_the_driver(tmp_path: Path) -> None:
    """One folder for each GPU under /proc/driver/nvidia/gpus."""
    for number, text in enumerate(["Model: \t\t NVIDIA H200\nIRQ: 35\n", "unreadable\n"]):
        folder = tmp_path / f"proc/driver/nvidia/gpus/0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(text)
    assert probe_root(tmp_path).cuda_devices == ("NVIDIA H200", "NVIDIA GPU")


DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGetCount(int *count) { *count = 3; return 0; }
int cuDeviceGet(int *device, int number) { *device = 10 * number; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    if (device == 20) return 101;
    strncpy(name, device ? "Orin (nvgpu)" : "NVIDIA GeForce RTX 4090", size);
    return 0;
}
"""
"""NVIDIA's driver where it shows nothing under /proc, as far as we ask it."""


@pytest.mark.parametrize(
    ("init", "names"), [(0, ("NVIDIA GeForce RTX 4090", "Orin (nvgpu)", "NVIDIA GPU")), (100, ()), (999, ())]
)
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_driver_is_asked_where_the_system_shows_no_gpu(tmp_path: Path, init: int, names: tuple[str, ...]) -> None:
    """WSL2, Jetson, some sandboxes. CUDA_ERROR_NO_DEVICE (100) and any other error: there is none to use."""
    library = tmp_path / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", f"-DINIT={init}", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=DRIVER, text=True, check=True)
    assert probe_root(tmp_path, lambda: ctypes.CDLL(str(library))).cuda_devices == names
    (tmp_path / "proc/driver/nvidia/gpus/0").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/gpus/0/information").write_text("Model: NVIDIA H200\n")
    assert probe_root(tmp_path, lambda: ctypes.CDLL(str(library))).cuda_devices == ("NVIDIA H200",)


def test_no_driver_means_no_gpu(tmp_path: Path) -> None:
    """Most machines that run these tests have no driver."""
    if libcuda() is None:
        assert probe_root(tmp_path, libcuda).cuda_devices == ()
    assert probe_root(tmp_path, lambda: None).cuda_devices == ()


@pytest.mark.parametrize(
    ("flags", "found"), [("fpu avx512f avx512_bf16 amx", True), ("fpu avx512f avx512_bf16x", False)]
)
def test_bfloat16_is_read_from_the_cpu_flags(tmp_path: Path, flags: str, found: bool) -> None:
    """A whole word on the line of flags."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: avx512_bf16\n")
    assert probe_root(tmp_path).avx512_bf16 is found


def test_the_machine_is_looked_at_once() -> None:
    """The same value every time, with the installed torch's version."""
    assert probe() is probe()
    assert probe().torch_version


def test_looking_does_not_load_torch() -> None:
    """Probing costs milliseconds."""
    code = "import sys; from stream.core.machine import probe; probe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
