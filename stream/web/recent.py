"""How often and how fresh the last seconds' pictures were: what somebody who looks wants to know now."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns

from stream.core.clock import NS_PER_S, NowNs

WINDOW_S = 4.0
MOST = 512
"""Pictures that are remembered: 4 s at 128 a second."""


class Recent:
    """Arrival times and ages of one camera's pictures. Guarded by its owner's lock."""

    def __init__(self, now_ns: NowNs = monotonic_ns) -> None:
        self._now_ns = now_ns
        self._seen: deque[tuple[int, int]] = deque(maxlen=MOST)

    def add(self, captured_ns: int) -> None:
        """A picture that was captured at ``captured_ns`` (monotonic) arrives now."""
        now = self._now_ns()
        self._seen.append((now, now - captured_ns))

    @property
    def fps(self) -> float:
        """Arrivals a second in the window; 0 when they have stopped, or with one alone."""
        times = [at for at, _ in self._inside()]
        span_ns = max(times[-1] - times[0], self._silence_ns(times)) if len(times) > 1 else 0
        return (len(times) - 1) * NS_PER_S / span_ns if span_ns else 0.0

    def age_ms(self, share: float) -> float | None:
        """The age that ``share`` (0.5: half) of the window's pictures do not exceed; None when there were none."""
        ages = sorted(age for _, age in self._inside())
        return ages[round(share * (len(ages) - 1))] / 1e6 if ages else None

    def _inside(self) -> list[tuple[int, int]]:
        since = self._now_ns() - round(WINDOW_S * NS_PER_S)
        return [(at, age) for at, age in self._seen if at >= since]

    def _silence_ns(self, times: list[int]) -> int:
        """From the first arrival to now, less one usual gap: so that the rate falls as soon as pictures stay away."""
        usual_gap = (times[-1] - times[0]) // (len(times) - 1)
        return self._now_ns() - times[0] - usual_gap
