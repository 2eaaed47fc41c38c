"""The health of a live camera: its state, the events of its last hour, and a grade for that hour.

    connecting -> live | waiting | refused        waiting, refused -> connecting
    live       -> waiting | refused               any -> over;  over -> connecting (opened again)

All times come from the monotonic clock.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic_ns
from typing import get_args

from stream.core.clock import NS_PER_S, NowNs
from stream.core.log import one_line
from stream.errors import AccessDenied, SourceError, SourceStalled
from stream.frames import Integrity
from stream.runtime.stats import CameraGrade, CameraHealth, CameraState

LOG_LINES = 10
"""Lines of the decoder's log that are kept with an error."""
SLOT_NS = 10 * NS_PER_S
"""Resolution of the last hour: one counter per slot."""
SLOTS = 360
"""Slots in an hour."""
UNKNOWN_S = 10.0
"""A camera that has been tried for less than this has no grade yet."""
SHORTEST_S = 120.0
"""The part of the first two minutes that has not passed counts as fine: one hiccup at the start is no ruined hour."""

_NEXT_STATES: Mapping[CameraState, frozenset[CameraState]] = {
    "connecting": frozenset({"connecting", "live", "waiting", "refused", "over"}),
    "live": frozenset({"waiting", "refused", "over"}),
    "waiting": frozenset({"connecting", "over"}),
    "refused": frozenset({"connecting", "over"}),
    "over": frozenset({"connecting", "over"}),
}
_OFFLINE_FROM: frozenset[CameraState] = frozenset({"live", "over"})
"""Leaving these states starts a new offline time; moving between waiting and connecting continues the old one."""


class Health:
    """The record of one camera: the reading thread updates it, any thread takes snapshots."""

    def __init__(self, name: str, now_ns: NowNs = monotonic_ns) -> None:
        self.name = name
        self._now_ns, self._lock = now_ns, threading.Lock()
        self._state: CameraState = "connecting"
        self._since_ns = self._offline_ns = self._counted_to_ns = now_ns()
        self._stopped_ns: int | None = None
        self._running = self._was_live = False
        self._hour = LastHour()
        self._integrity: dict[str, int] = dict.fromkeys(get_args(Integrity), 0)
        self._trouble = self._about = self._clock = ""
        self._log: tuple[str, ...] = ()

    def set_about(self, text: str) -> None:
        """Set the camera's description: kind and address, size and rate as far as known."""
        with self._lock:
            self._about = one_line(text)

    def connecting(self) -> None:
        """Record the start of a try; the first one starts the time that is graded."""
        with self._lock:
            self._stopped_ns = None
            self._enter("connecting")
            self._running = True

    def live(self) -> None:
        """Record the first image of a connection, which clears the last error."""
        with self._lock:
            now = self._enter("live")
            if self._was_live:
                self._hour.add(now, "reconnects")
            self._was_live, self._trouble, self._log = True, "", ()
            self._clock = ""

    def set_clock_fault(self, fault: str) -> None:
        """Record what is wrong with the camera's clock: a few words after "its clock"; empty: nothing."""
        with self._lock:
            self._clock = f"its clock {one_line(fault)}: ages count from the arrival" if fault else ""

    def lost(self, error: SourceError, log_lines: Iterable[str] = ()) -> None:
        """Record that the connection or the try ended with ``error``; ``log_lines`` are the decoder's last ones."""
        with self._lock:
            now = self._enter("refused" if isinstance(error, AccessDenied) else "waiting")
            if isinstance(error, SourceStalled):
                self._hour.add(now, "stalls")
            self._trouble = one_line(str(error))
            self._log = tuple(one_line(line) for line in log_lines)[-LOG_LINES:]

    def over(self, error: BaseException | None = None) -> None:
        """Record that no further try follows: because of ``error``, or because a recording has reached its end."""
        with self._lock:
            self._enter("over")
            self._running = False
            if isinstance(error, Exception):
                self._trouble = one_line(str(error))

    def stopped(self) -> None:
        """Freeze the record as it is now, because the pipeline ends."""
        with self._lock:
            self._count_time()
            self._stopped_ns = self._counted_to_ns

    def count_image(self, integrity: Integrity) -> None:
        """Count one received image."""
        with self._lock:
            now = self._count_time()
            self._integrity[integrity] += 1
            self._hour.add(now, "images")
            self._hour.add(now, "damaged", integrity in ("tainted", "frozen"))

    def snapshot(self) -> CameraHealth:
        with self._lock:
            now = self._count_time()
            hour = self._hour.totals(now)
            return CameraHealth(
                self.name,
                self._state,
                since_s=(now - self._since_ns) / NS_PER_S,
                grade=grade(hour),
                reconnects=hour["reconnects"],
                stalls=hour["stalls"],
                integrity=dict(self._integrity),
                trouble=self._trouble,
                log=self._log,
                about=self._about,
                clock=self._clock,
                offline_s=0.0 if self._state == "live" else (now - self._offline_ns) / NS_PER_S,
            )

    def _enter(self, state: CameraState) -> int:
        assert state in _NEXT_STATES[self._state], f"a camera cannot go from {self._state} to {state}"
        now = self._count_time()
        if state != self._state:
            if self._state in _OFFLINE_FROM:
                self._offline_ns = now
            self._state, self._since_ns = state, now
        return now

    def _count_time(self) -> int:
        """Add the time since the last call to the hour; returns now, nanoseconds.

        Call it before adding any event of this moment: ``LastHour`` must be written in the order of time.
        """
        now = self._now_ns() if self._stopped_ns is None else self._stopped_ns
        if self._running:
            counters = ("tried_ns", "live_ns") if self._state == "live" else ("tried_ns",)
            self._hour.add_time(self._counted_to_ns, now, *counters)
        self._counted_to_ns = now
        return now


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an hour may contain to earn a grade."""

    down: float
    """Share of the time without a connection that delivers images, 0 to 1."""
    breaks: int
    """Number of reconnects, and of stalls."""
    damaged: float
    """Share of the images that are tainted or frozen, 0 to 1."""


GOOD = Limits(down=0.01, breaks=2, damaged=0.005)
FAIR = Limits(down=0.05, breaks=12, damaged=0.05)


def grade(hour: Mapping[str, int]) -> CameraGrade:
    """Grade the connection from the totals of the last hour; the worst of its metrics decides.

    | | without images | reconnects | stalls | damaged images |
    |---|---|---|---|---|
    | good | <= 1 % of the time | <= 2 | <= 2 | <= 0.5 % |
    | fair | <= 5 % | <= 12 | <= 12 | <= 5 % |
    | poor | more | more | more | more |

    "Good" allows what a healthy camera does: a stall and the reconnect take about 4 s, a restart 30 s (1 % of an hour
    is 36 s), and a lost packet spoils the rest of its group of images, about 1 s (0.5 % is 18 s). "Fair" is one break
    in five minutes and 3 minutes of images missing or spoiled. Black images do not count: a dark room is not the
    connection's fault. The grade is unknown in the first 10 s; before 2 minutes have passed, the rest of them counts
    as fine.
    """
    tried_s = hour["tried_ns"] / NS_PER_S
    if tried_s < UNKNOWN_S:
        return "unknown"
    down = (hour["tried_ns"] - hour["live_ns"]) / NS_PER_S / max(tried_s, SHORTEST_S)
    damaged = hour["damaged"] / max(hour["images"], 1) * min(1.0, tried_s / SHORTEST_S)
    breaks = max(hour["reconnects"], hour["stalls"])
    if down <= GOOD.down and damaged <= GOOD.damaged and breaks <= GOOD.breaks:
        return "good"
    if down <= FAIR.down and damaged <= FAIR.damaged and breaks <= FAIR.breaks:
        return "fair"
    return "poor"


class LastHour:
    """Sums over the last hour in bounded memory: one counter per ten seconds, and the total over those kept."""

    def __init__(self) -> None:
        self._slots: deque[tuple[int, Counter[str]]] = deque()
        self._totals: Counter[str] = Counter()

    def add(self, at_ns: int, counter: str, amount: int = 1) -> None:
        """Add ``amount`` to ``counter``; ``at_ns`` must not decrease from call to call."""
        number = at_ns // SLOT_NS
        self._drop_old(number)
        if not self._slots or self._slots[-1][0] != number:
            self._slots.append((number, Counter()))
        self._slots[-1][1][counter] += amount
        self._totals[counter] += amount

    def add_time(self, from_ns: int, to_ns: int, *counters: str) -> None:
        """Add the nanoseconds of an interval to each counter, split among the slots that it covers."""
        # Slots older than an hour would be dropped at once; a gap of days would only cost time under the lock.
        from_ns = max(from_ns, to_ns - SLOTS * SLOT_NS)
        while from_ns < to_ns:
            end_ns = min(to_ns, (from_ns // SLOT_NS + 1) * SLOT_NS)
            for counter in counters:
                self.add(from_ns, counter, end_ns - from_ns)
            from_ns = end_ns

    def totals(self, now_ns: int) -> Counter[str]:
        """Totals over the last 59 min 50 s to 60 min, depending on how full the newest slot is."""
        self._drop_old(now_ns // SLOT_NS)
        return self._totals.copy()

    def _drop_old(self, number: int) -> None:
        while self._slots and self._slots[0][0] <= number - SLOTS:
            self._totals.subtract(self._slots.popleft()[1])
