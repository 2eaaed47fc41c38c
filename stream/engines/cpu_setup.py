"""Process-wide settings of OpenMP and malloc for networks on the CPU. This module must stay free of torch."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameter numbers of mallopt(3), from glibc's malloc.h."""
KEPT_BYTES = 1 << 30
"""glibc returns freed memory to the system only beyond this size."""


def wait_without_spinning() -> bool:
    """Let waiting OpenMP threads sleep (``OMP_WAIT_POLICY=PASSIVE``), unless the environment sets a policy already.

    torch's OpenMP reads the variable once, while torch is loaded, so call this first thing in ``main``. Returns False,
    and changes nothing, if torch is loaded already.

    Spinning threads are faster on an idle machine (MiDaS small on two cores: 67 instead of 85 ms). But they collapse
    next to another program whose threads spin (up to 4.7 s a frame instead of 0.12 s), and take time from the
    pipeline's own decoder: docs/why/decisions/0004-threads-of-the-network.md. On a machine that does nothing else, set
    ``OMP_WAIT_POLICY=ACTIVE`` in the environment.
    """
    if "torch" in sys.modules:
        return False
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return True


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next frame instead of returning them to the system.

    A network allocates and frees the same tens of megabytes for every frame. By default each large block is a mapping
    of its own, and zeroing its pages anew takes a tenth of the time (MiDaS small at 256x256 in two threads on two
    cores: 14.6 frames a second by default, 16.7 with this). The process's memory then stays at its peak. Returns False
    if the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Both, because a block below the first threshold is on the heap, whose free end is cut off beyond the second.
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
