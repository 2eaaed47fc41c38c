"""How much memory a process has in RAM (Linux, proc(5))."""

from __future__ import annotations

from pathlib import Path


def resident_mib(pid: int | None = None) -> float:
    """Resident memory of a process, by default of this one, in MiB."""
    return _status_kib(Path(f"/proc/{pid or 'self'}"), "VmRSS") / 1024


def peak_resident_mib(process: Path = Path("/proc/self")) -> float:
    """Largest resident memory since the previous call, in MiB; NaN where the system does not report it.

    Writing "5" to ``clear_refs`` resets the peak, ``VmHWM``.
    """
    try:
        peak_kib = _status_kib(process, "VmHWM")
        (process / "clear_refs").write_text("5")
    except (OSError, StopIteration):
        return float("nan")
    return peak_kib / 1024


def _status_kib(process: Path, field: str) -> int:
    lines = (process / "status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
