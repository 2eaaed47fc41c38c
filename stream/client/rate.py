"""How many come in a second, as counted here."""

from __future__ import annotations

from collections import deque

from stream.core.clock import NS_PER_S

OVER_S, OVER_PERIODS = 5.0, 10
AT_LEAST_S = 2.0


class RecentRate:
    """Of the last 5 s, or of 10 periods where those are longer."""

    def __init__(self) -> None:
        self._arrivals_ns: deque[int] = deque()

    def restart(self) -> None:
        self._arrivals_ns.clear()

    def add(self, now_ns: int, period_s: float) -> None:
        """One came in; ``period_s``: how long one is expected to take."""
        self._arrivals_ns.append(now_ns)
        self._forget(now_ns, period_s)

    def fps(self, now_ns: int, period_s: float) -> float | None:
        """None: too early to say."""
        self._forget(now_ns, period_s)
        if not self._arrivals_ns:
            return 0.0
        span_s = (now_ns - self._arrivals_ns[0]) / NS_PER_S
        if span_s < max(AT_LEAST_S, 2 * period_s):
            return None
        steps = len(self._arrivals_ns) - 1
        between_s = (self._arrivals_ns[-1] - self._arrivals_ns[0]) / NS_PER_S
        mean_s = between_s / steps if steps else 0.0
        return steps / max(between_s, span_s - mean_s)  # the next one may be about to come

    def _forget(self, now_ns: int, period_s: float) -> None:
        oldest_ns = now_ns - round(max(OVER_S, OVER_PERIODS * period_s) * NS_PER_S)
        while self._arrivals_ns and self._arrivals_ns[0] < oldest_ns:
            self._arrivals_ns.popleft()
