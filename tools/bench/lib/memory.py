"""How much memory a process has in RAM (Linux)."""

from __future__ import annotations

from pathlib import Path


def resident_mb(pid: int | None = None) -> float:
    """Of this process unless said otherwise, MiB."""
    lines = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
