"""Freed memory goes back to the system."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from stream.core.memory import release_free_memory


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say how much is in use")
def test_what_was_freed_between_what_was_not_goes_back() -> None:
    """Every second piece of 200 MB is freed; most of that half is returned."""
    pieces = [np.ones(100_000, np.uint8) for _ in range(2000)]
    pieces = pieces[::2]
    before = resident_mb()
    release_free_memory()
    assert resident_mb() < before - 50 or sys.platform != "linux"
    assert len(pieces) == 1000


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024
