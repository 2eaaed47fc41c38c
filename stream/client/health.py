"""The health of a stream as its reader sees it: liveness, rate, gaps, and the state of the connection."""

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
"""Share of the declared rate that must arrive."""
SLOWEST_FPS = 0.01
"""A lower declared rate counts as this one, so that a period stays finite."""
STATUS_VALID_S = 3.5
"""A status older than this says nothing about the rate; a new one comes once a second."""
MAX_LOGGED_KINDS = 16
RATE_WINDOW_S, RATE_WINDOW_PERIODS = 5.0, 10
RATE_AFTER_S = 2.0
"""A shorter span of arrivals gives no rate."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReaderHealth:
    """Snapshot of a stream's health; it does not change after it was taken."""

    alive: bool
    """False if no message came for 10 of the declared periods and at least 1 s, or if none has come at all."""
    rate_ok: bool | None
    """At least 90 % of the declared rate is sent (with latest=False: is received here); None if unknown."""
    age_ms: float | None
    """Age of the newest frame since capture, milliseconds, at the time of the snapshot; None before the first."""
    received: int
    gaps: int
    """Number of images missing between the received ones: dropped by the pipeline, the publisher or the network, and,
    with latest=True, overtaken by newer ones before the reader asked for them."""
    restarts: int
    """How often another publisher than before answered at the endpoint."""
    damaged: int
    """Number of discarded messages that were not in the wire format."""
    link: LinkState
    clocks: Clocks
    """How this machine's clock compares with the publisher's; see stream.client.age."""
    clock_offset_ms: float | None
    info: Mapping[str, Any]
    """The last JSON of info/<stream>; empty until the first."""
    status: Mapping[str, Any]
    """The last JSON of status/<stream>; empty until the first."""

    @property
    def is_removed(self) -> bool:
        """True if the publisher said that this camera was removed from its settings: no frame comes until it is back.

        False again with the next status message, should the camera come back.
        """
        return self.status.get("camera") == "removed"


class HealthRecord:
    """Accumulates the events of one stream; the reading thread feeds it."""

    def __init__(self, clock: AgeClock, mono_ns: NowNs, *, count_rate: bool) -> None:
        """``count_rate`` says that every message is received, so that counting them gives the rate."""
        self.clock, self._mono_ns, self._count_rate = clock, mono_ns, count_rate
        self._newest: Header | None = None
        self._newest_ns = self._status_ns = 0
        self._rate = RecentRate()
        self._received = self._gaps = self._restarts = self._damaged = 0
        self._logged_kinds: set[str] = set()
        self.info: Mapping[str, Any] = {}
        self.status: Mapping[str, Any] = {}

    def received(self, header: Header, empty_ns: int) -> None:
        """Count a frame. ``empty_ns`` is the last moment at which it had certainly not arrived."""
        last = self._newest
        if last is not None and last.server_id != header.server_id:
            self._restarts += 1
            self._rate.restart()
            self.clock.restarted()
        elif last is not None:
            # Not below 0: a camera that begins again has lower numbers.
            self._gaps += max(0, header.seq - last.seq - 1)
        self.clock.received(header, empty_ns)
        self._newest, self._newest_ns = header, self._mono_ns()
        self._received += 1
        if self._count_rate:
            self._rate.add(self._newest_ns, self._period_s())

    def announced(self, topic: str, data: Mapping[str, Any]) -> None:
        """Store the JSON of an info or status topic."""
        if topic.startswith("info/"):
            self.info = data
        elif topic.startswith("status/"):
            self.status, self._status_ns = data, self._mono_ns()

    def damaged(self, error: WireError) -> None:
        """Count an unreadable message. Each kind is logged once: a hostile sender must not fill the disk."""
        self._damaged += 1
        # Without its numbers, such as sizes, since they would make a new kind of each message.
        kind = re.sub(r"\d+", "#", str(error))[:80]
        if kind not in self._logged_kinds and len(self._logged_kinds) < MAX_LOGGED_KINDS:
            self._logged_kinds.add(kind)
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
        # A message that waited unread is new to us but not to the stream, so its own times count as well.
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
        # With latest=True most messages are overtaken unread, so only the publisher can count them.
        fresh = self._mono_ns() - self._status_ns <= STATUS_VALID_S * NS_PER_S
        return number(self.status, "fps") if fresh else None

    def _declared_fps(self) -> float | None:
        return number(self.info, "fps") or None

    def _period_s(self) -> float:
        """By the declared rate, else by the publisher's count; zero if unknown."""
        fps = self._declared_fps() or number(self.status, "fps")
        return 1 / max(fps, SLOWEST_FPS) if fps else 0.0


class RecentRate:
    """Rate of arrivals over the last 5 s, or over 10 periods where those are longer."""

    def __init__(self) -> None:
        self._arrivals_ns: deque[int] = deque()

    def restart(self) -> None:
        self._arrivals_ns.clear()

    def add(self, now_ns: int, period_s: float) -> None:
        """Record an arrival; ``period_s`` is the expected time between two."""
        self._arrivals_ns.append(now_ns)
        self._drop_old(now_ns, period_s)

    def fps(self, now_ns: int, period_s: float) -> float | None:
        """Frames per second; None while the span is too short for a rate."""
        self._drop_old(now_ns, period_s)
        if not self._arrivals_ns:
            return 0.0
        span_s = (now_ns - self._arrivals_ns[0]) / NS_PER_S
        if span_s < max(RATE_AFTER_S, 2 * period_s):
            return None
        steps = len(self._arrivals_ns) - 1
        between_s = (self._arrivals_ns[-1] - self._arrivals_ns[0]) / NS_PER_S
        mean_s = between_s / steps if steps else 0.0
        return steps / max(between_s, span_s - mean_s)  # the next one may be about to come

    def _drop_old(self, now_ns: int, period_s: float) -> None:
        oldest_ns = now_ns - round(max(RATE_WINDOW_S, RATE_WINDOW_PERIODS * period_s) * NS_PER_S)
        while self._arrivals_ns and self._arrivals_ns[0] < oldest_ns:
            self._arrivals_ns.popleft()


def number(data: Mapping[str, Any], key: str) -> float | None:
    """``data[key]`` if it is a plausible non-negative number; the JSON comes from another machine."""
    value = data.get(key)
    # JSON may hold 1e999, which Python reads as infinity, and bool is a subclass of int.
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if valid and value is not None else None
