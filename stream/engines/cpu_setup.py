"""How the network's threads wait for each other; must be said before torch is loaded."""

from __future__ import annotations

import ctypes
import os
import sys


def wait_without_spinning() -> bool:
    """Lets waiting threads sleep (``OMP_WAIT_POLICY=PASSIVE``) unless the environment says otherwise already.

    torch's OpenMP reads the variable once, while torch is loaded: call this first thing in ``main``. False: torch is
    loaded already, nothing was changed. Threads that spin are faster on an idle machine (MiDaS small on two cores: 67
    instead of 85 ms) but collapse beside another program that does the same (up to 4.7 s a frame instead of 0.12 s),
    and take the time of the pipeline's own decoder:
    docs/decisions/0004-threads-of-the-network.md. ``OMP_WAIT_POLICY=ACTIVE`` in the environment is
    for a machine that does nothing else.
    """
    if "torch" in sys.modules:
        return False
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return True


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of mallopt(3), from glibc's malloc.h."""
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next frame instead of giving them back to the system.

    A network allocates and frees the same tens of megabytes for every frame. By default each large block is a mapping
    of its own, and zeroing its pages anew takes a tenth of the time (MiDaS_small at 256x256 in two threads on two
    cores: 14.6 frames a second, with this 16.7). The process's memory then stays at its peak. False: not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
