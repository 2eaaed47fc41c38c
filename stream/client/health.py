"""How a stream is, as its reader sees it."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stream.client.age import AgeClock, Clocks
from stream.client.link import LinkState
from stream.core.clock import NS_PER_MS, NS_PER_S, NowNs
from stream.core.log import one_line
from stream.errors import WireError
from stream.wire.header import Header

DEAD_AFTER_PERIODS, DEAD_AFTER_AT_LEAST_S = 10, 1.0
RATE_OK = 0.9
SLOWEST_FPS = 0.01
"""Below, a declared rate is taken for this one."""
STATUS_VALID_S = 3.5
"""It comes once a second."""
KINDS_LOGGED = 16

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReaderHealth:
    """One look at a stream; nothing in it is ever newer than the look."""

    alive: bool
    """False: no message for 10 of the declared periods, and at least 1 s; or there has been none at all."""
    rate_ok: bool | None
    """At least 90 % of the declared rate is sent (with latest=False: comes in here); None: not known."""
    age_ms: float | None
    """Of the newest frame, now, since capture; None before the first."""
    received: int
    gaps: int
    """Images between those received that never came: dropped by the pipeline, the publisher or the network, and,
    with latest=True, those that were overtaken before anybody here asked for them."""
    restarts: int
    """Other publishers than before answered at the endpoint."""
    damaged: int
    """Messages that were not in the wire format, and were left out."""
    link: LinkState
    clocks: Clocks
    """Whether this machine's clock can be compared with the publisher's; see stream.client.age."""
    clock_offset_ms: float | None
    info: Mapping[str, Any]
    """The last JSON of info/<stream>; empty before."""
    status: Mapping[str, Any]
    """The last JSON of status/<stream>; empty before."""


class Record:
    """What happened on one stream so far; the reading thread feeds it."""

    def __init__(self, clock: AgeClock, mono_ns: NowNs, *, count_rate: bool) -> None:
        """``count_rate``: every message is received, so that their rate can be had by counting."""
        self.clock, self._mono_ns, self._count_rate = clock, mono_ns, count_rate
        self._newest: Header | None = None
        self._newest_ns = self._status_ns = 0
        self._rate = RecentRate()
        self._received = self._gaps = self._restarts = self._damaged = 0
        self._kinds_logged: set[str] = set()
        self.info: Mapping[str, Any] = {}
        self.status: Mapping[str, Any] = {}

    def received(self, header: Header, empty_ns: int) -> None:
        """A message; ``empty_ns``: when it was certainly not yet here."""
        last = self._newest
        if last is not None and last.server_id != header.server_id:
            self._restarts += 1
            self._rate.restart()
            self.clock.restarted()
        elif last is not None:
            self._gaps += max(0, header.seq - last.seq - 1)
        self.clock.received(header, empty_ns)
        self._newest, self._newest_ns = header, self._mono_ns()
        self._received += 1
        if self._count_rate:
            self._rate.add(self._newest_ns, self._period_s())

    def told(self, topic: str, data: Mapping[str, Any]) -> None:
        """The JSON of a slow topic."""
        if topic.startswith("info/"):
            self.info = data
        elif topic.startswith("status/"):
            self.status, self._status_ns = data, self._mono_ns()

    def damaged(self, error: WireError) -> None:
        """A message that cannot be read. Logged once a kind: a hostile sender must not fill the disk."""
        self._damaged += 1
        kind = re.sub(r"\d+", "#", str(error))[:80]
        if kind not in self._kinds_logged and len(self._kinds_logged) < KINDS_LOGGED:
            self._kinds_logged.add(kind)
            _log.warning("a message was left out: %s", one_line(str(error)))

    def snapshot(self, link: LinkState) -> ReaderHealth:
        alive = self._alive()
        return ReaderHealth(
            alive=alive,
            rate_ok=self._rate_ok(alive),
            age_ms=self.age_ms(self._newest) if self._newest else None,
            received=self._received,
            gaps=self._gaps,
            restarts=self._restarts,
            damaged=self._damaged,
            link=link,
            clocks=self.clock.clocks,
            clock_offset_ms=self.clock.offset_ms,
            info=self.info,
            status=self.status,
        )

    def age_ms(self, header: Header) -> float:
        return self.clock.age_ns(header) / NS_PER_MS

    def _alive(self) -> bool:
        if self._newest is None:
            return False
        silent_ns = max(self._mono_ns() - self._newest_ns, self.clock.silent_ns(self._newest))
        return silent_ns <= max(DEAD_AFTER_AT_LEAST_S, DEAD_AFTER_PERIODS * self._period_s()) * NS_PER_S

    def _rate_ok(self, alive: bool) -> bool | None:
        declared = self._declared_fps()
        if declared is None or self._newest is None:
            return None
        fps = self._fps() if alive else 0.0
        return None if fps is None else fps >= RATE_OK * declared

    def _fps(self) -> float | None:
        if self._count_rate:
            return self._rate.fps(self._mono_ns(), self._period_s())
        fresh = self._mono_ns() - self._status_ns <= STATUS_VALID_S * NS_PER_S
        return number(self.status, "fps") if fresh else None

    def _declared_fps(self) -> float | None:
        return number(self.info, "fps") or None

    def _period_s(self) -> float:
        """As declared; else as the publisher counts; zero: not known."""
        fps = self._declared_fps() or number(self.status, "fps")
        return 1 / max(fps, SLOWEST_FPS) if fps else 0.0


def number(data: Mapping[str, Any], key: str) -> float | None:
    """A number above or equal to zero that somebody sent us, if it is one."""
    value = data.get(key)
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if valid and value is not None else None


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
