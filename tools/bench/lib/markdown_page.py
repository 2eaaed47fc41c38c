"""Replace the measured part of a Markdown page, which lies between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def replace_measured(page: Path, measured_on: str, lines: Sequence[str]) -> None:
    """Write date, machine, package versions and ``lines`` between the markers. Raises ValueError without markers."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: the lines {BEGIN} and {END} are missing")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "opencv-python", "av", "pyzmq", "numpy"))
    text = "\n".join([f"{datetime.now(UTC):%Y-%m-%d}, {measured_on}; {packages}.", "", *lines])
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
