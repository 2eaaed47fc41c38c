"""The last hour of a camera in figures, and the grade they earn."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from stream.core.clock import NS_PER_S
from stream.runtime.stats import CameraGrade

SLOT_NS = 10 * NS_PER_S
SLOTS = 360
UNKNOWN_S = 10.0
"""Nothing is said of a camera that has been tried for less."""
SHORTEST_S = 120.0
"""What is missing of two minutes counts as fine: one hiccup in the first seconds is not a ruined hour."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an hour may hold at most to earn a grade."""

    down: float
    """Share of the time without a connection that gives pictures."""
    breaks: int
    """Of reconnects, and of stalls."""
    damaged: float
    """Share of the pictures that are tainted or frozen."""


GOOD = Limits(down=0.01, breaks=2, damaged=0.005)
FAIR = Limits(down=0.05, breaks=12, damaged=0.05)


def grade(hour: Mapping[str, int]) -> CameraGrade:
    """How good the connection was in the last hour; the worst of its figures decides.

    | | without pictures | reconnects | stalls | damaged pictures |
    |---|---|---|---|---|
    | good | <= 1 % of the time | <= 2 | <= 2 | <= 0.5 % |
    | fair | <= 5 % | <= 12 | <= 12 | <= 5 % |
    | poor | more | more | more | more |

    Good lets pass what a healthy camera does: a stall and the way back take about 4 s, a restart 30 s (1 % of an hour
    is 36 s); a lost packet spoils the rest of its group of pictures, about 1 s (0.5 % is 18 s). Fair is one break in
    five minutes and 3 minutes of pictures missing or spoiled. Black pictures do not count: a dark room is not the
    connection's fault. Unknown in the first 10 s; before 2 minutes have passed, the rest of them counts as fine.
    """
    tried_s = hour["tried_ns"] / NS_PER_S
    if tried_s < UNKNOWN_S:
        return "unknown"
    down = (hour["tried_ns"] - hour["live_ns"]) / NS_PER_S / max(tried_s, SHORTEST_S)
    damaged = hour["damaged"] / max(hour["pictures"], 1) * min(1.0, tried_s / SHORTEST_S)
    breaks = max(hour["reconnects"], hour["stalls"])
    if down <= GOOD.down and damaged <= GOOD.damaged and breaks <= GOOD.breaks:
        return "good"
    if down <= FAIR.down and damaged <= FAIR.damaged and breaks <= FAIR.breaks:
        return "fair"
    return "poor"


class LastHour:
    """Sums over the last hour in bounded memory: a counter for each ten seconds, and the total of those kept."""

    def __init__(self) -> None:
        self._slots: deque[tuple[int, Counter[str]]] = deque()
        self._totals: Counter[str] = Counter()

    def add(self, at_ns: int, what: str, amount: int = 1) -> None:
        """``at_ns`` never goes back from call to call."""
        number = at_ns // SLOT_NS
        self._forget(number)
        if not self._slots or self._slots[-1][0] != number:
            self._slots.append((number, Counter()))
        self._slots[-1][1][what] += amount
        self._totals[what] += amount

    def add_time(self, from_ns: int, to_ns: int, *whats: str) -> None:
        """Share a stretch of time out among its slots."""
        from_ns = max(from_ns, to_ns - SLOTS * SLOT_NS)
        while from_ns < to_ns:
            end_ns = min(to_ns, (from_ns // SLOT_NS + 1) * SLOT_NS)
            for what in whats:
                self.add(from_ns, what, end_ns - from_ns)
            from_ns = end_ns

    def totals(self, now_ns: int) -> Counter[str]:
        """Of the last 59 min 50 s to 60 min."""
        self._forget(now_ns // SLOT_NS)
        return self._totals.copy()

    def _forget(self, number: int) -> None:
        while self._slots and self._slots[0][0] <= number - SLOTS:
            self._totals.subtract(self._slots.popleft()[1])
