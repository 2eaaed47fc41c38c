"""How the network's threads wait for each other; must be said before torch is loaded."""

from __future__ import annotations

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
