"""What was left out, counted by reason; said in the log, but not once for each."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from time import monotonic_ns

from stream.core.clock import NS_PER_S, NowNs

log = logging.getLogger(__name__)

SAY_EVERY_NS = NS_PER_S


class Refusals:
    """For all threads. At most one line a second in the log; it says how many there were since the last one."""

    def __init__(self, now_ns: NowNs = monotonic_ns) -> None:
        self._now_ns, self._lock = now_ns, threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unsaid, self._next_ns = 0, now_ns()

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """``example`` is the log's line for the newest of them."""
        with self._lock:
            self._counts[reason] += count
            self._unsaid += count
            now = self._now_ns()
            if now < self._next_ns:
                return
            self._next_ns, unsaid, self._unsaid = now + SAY_EVERY_NS, self._unsaid, 0
        more = f" (and {unsaid - count} before it)" if unsaid > count else ""
        log.warning("%s%s", example, more)

    def counts(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._counts)
