"""Counters of rejected boxes and messages, with a rate-limited warning in the log."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from time import monotonic_ns

from stream.core.clock import NS_PER_S, NowNs

log = logging.getLogger(__name__)

LOG_INTERVAL_NS = NS_PER_S


class Rejections:
    """Thread-safe counters by reason. Logs at most one line a second, with the number of rejections since the last."""

    def __init__(self, now_ns: NowNs = monotonic_ns) -> None:
        self._now_ns, self._lock = now_ns, threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unlogged, self._next_ns = 0, now_ns()

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count rejections; ``example`` is the line for the log that describes the newest one."""
        with self._lock:
            self._counts[reason] += count
            self._unlogged += count
            now = self._now_ns()
            if now < self._next_ns:
                return
            self._next_ns, unlogged, self._unlogged = now + LOG_INTERVAL_NS, self._unlogged, 0
        more = f" (and {unlogged - count} before it)" if unlogged > count else ""
        log.warning("%s%s", example, more)

    def counts(self) -> Mapping[str, int]:
        """Number of rejections so far, by reason."""
        with self._lock:
            return dict(self._counts)
