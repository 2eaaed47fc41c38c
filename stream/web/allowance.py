"""How much one connection may ask: a bucket that fills with time."""

from __future__ import annotations

from time import monotonic_ns

from stream.core.clock import NS_PER_S, NowNs


class Allowance:
    """``burst`` things at once, ``per_s`` a second in the long run."""

    def __init__(self, per_s: float, burst: float, now_ns: NowNs = monotonic_ns) -> None:
        self._per_s, self._burst, self._now_ns = per_s, burst, now_ns
        self._left, self._at_ns = burst, now_ns()

    def take(self) -> bool:
        """False when it is used up."""
        now = self._now_ns()
        self._left = min(self._burst, self._left + (now - self._at_ns) / NS_PER_S * self._per_s)
        self._at_ns = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
