"""Counters of sent and dropped messages, in total and per stream, and the status that readers of a stream get."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from time import time_ns
from typing import Any, Literal, TypeAlias

from stream.core.clock import NS_PER_MS, NS_PER_S
from stream.frames import DepthMap
from stream.settings import PublishSettings
from stream.wire.message import topic_bytes

ExtraMessage: TypeAlias = Literal["previews", "raw messages", "objects"]
"""Messages made in addition to a depth map's own; not counted as frames of the stream."""
MessageKind: TypeAlias = Literal["depth messages"] | ExtraMessage
State: TypeAlias = Literal["LIVE", "STALE", "OFFLINE"]

LONGEST_FAMILY = "preview/"
"""A stream name that fits a topic of this family fits every topic."""
OFFLINE_AFTER_S = 5.0
RETIRED_S, MAX_RETIRED = 30.0, 64
"""For so long the status says that a stream was removed; of more streams than that, only the newest."""
RETIRED = {"camera": "removed", "trouble": "the publisher's settings name it no longer"}
RATE_WINDOW_S, RATE_WINDOW_FRAMES = 5.0, 64
"""The rate covers the last seconds, and at most this many frames."""


class SendCounters:
    """Totals over all streams. Every depth map is counted once, as sent or as too old.

    The publisher's lock guards it; times are monotonic nanoseconds.
    """

    def __init__(self, server_id: int, settings: PublishSettings) -> None:
        self._server_id, self._max_age_ms = server_id, settings.max_age_ms
        self._statuses: dict[str, StreamStatus] = {}
        self._retired_ns: dict[str, int] = {}
        """When each stream was retired, the newest last."""
        # These keys exist from the start, so that the statistics table shows a zero for each.
        self._counts = Counter(dict.fromkeys(("depth messages", "previews", "too old", "previews too old"), 0))
        self._bytes = 0

    @property
    def streams(self) -> Iterable[str]:
        return tuple(self._statuses)

    def status(self, stream: str, now_ns: int) -> StreamStatus:
        """The record of a stream, created on the first call. Raises WireError for a name that is too long."""
        if stream not in self._statuses:
            topic_bytes(f"{LONGEST_FAMILY}{stream}")
            self._statuses[stream] = StreamStatus(stream, self._server_id, self._max_age_ms, now_ns)
        return self._statuses[stream]

    def retire(self, stream: str, now_ns: int) -> None:
        """Report a stream as removed for ``RETIRED_S``, then forget it."""
        if stream in self._statuses:
            self._retired_ns.pop(stream, None)
            self._retired_ns[stream] = now_ns
        for old in list(self._retired_ns)[:-MAX_RETIRED]:
            self._forget(old)

    def revive(self, stream: str) -> None:
        """Take back ``retire``: the stream is there again."""
        if stream in self._retired_ns:
            self._forget(stream)  # its counters as well: this is another camera

    def forget_retired(self, now_ns: int) -> None:
        """Forget the streams that were retired long enough ago for each reader to have been told."""
        for stream in [name for name, since in self._retired_ns.items() if now_ns - since > RETIRED_S * NS_PER_S]:
            self._forget(stream)

    def is_retired(self, stream: str) -> bool:
        return stream in self._retired_ns

    def _forget(self, stream: str) -> None:
        del self._retired_ns[stream], self._statuses[stream]

    def is_too_old(self, depth_map: DepthMap, now_ns: int) -> bool:
        return now_ns - depth_map.frame.stamp.mono_ns > self._max_age_ms * NS_PER_MS

    def admit(self, depth_map: DepthMap, now_ns: int) -> bool:
        """Count a depth map as sent or as too old; returns True if it may be sent."""
        age_ms = depth_map.frame.stamp.age_s(now_ns) * 1000
        status = self.status(depth_map.frame.camera, now_ns)
        if self.is_too_old(depth_map, now_ns):
            self._counts["too old"] += 1
            status.too_old(age_ms)
            return False
        status.sent(depth_map, age_ms, now_ns)
        return True

    def count_stale(self, kind: ExtraMessage) -> Literal[False]:
        """Count a message dropped for its age; returns False for the caller to pass on."""
        self._counts[f"{kind} too old"] += 1
        return False

    def count_message(self, kind: MessageKind, size: int) -> None:
        """Count one sent message of ``size`` bytes; ZeroMQ does not report how many readers got it."""
        self._counts[kind] += 1
        self._bytes += size

    def statistics(self) -> Mapping[str, float]:
        return {**self._counts, "MB": self._bytes / 1e6}


class StreamStatus:
    """The counters of one stream, from which its status message is made.

    ``sent`` counts depth that was young enough, with or without a subscriber. The publisher's lock guards it; times are
    monotonic nanoseconds.
    """

    def __init__(self, stream: str, server_id: int, max_age_ms: float, now_ns: int) -> None:
        self.stream = stream
        self._server_id, self._max_age_ms, self._since_ns = server_id, max_age_ms, now_ns
        self._sent = self._too_old = 0
        self._newest: dict[str, str | int | float | None] = {"integrity": None, "seq": None, "age_ms": None}
        self._last_age_ms = 0.0
        self._times_ns: deque[int] = deque(maxlen=RATE_WINDOW_FRAMES)

    def sent(self, depth_map: DepthMap, age_ms: float, now_ns: int) -> None:
        """Record a depth map that was sent."""
        frame = depth_map.frame
        self._sent += 1
        self._last_age_ms = age_ms
        self._newest = {"integrity": frame.integrity, "seq": frame.seq, "age_ms": round(age_ms, 1)}
        self._times_ns.append(now_ns)

    def too_old(self, age_ms: float) -> None:
        """Record a depth map that was dropped for its age."""
        self._too_old += 1
        self._last_age_ms = age_ms

    def facts(self, known: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
        """The content of status/<stream>. ``known`` are the pipeline's facts about the stream; they are passed on.

        If ``known`` has a "camera" that is not "live" (``stream.runtime.stats.CameraState``), the state is OFFLINE and
        "trouble" is the reason.
        """
        state, reason = self._state(known, now_ns)
        return {
            **known,
            "stream": self.stream,
            "server_id": self._server_id,
            "state": state,
            "reason": reason,
            **self._newest,
            "max_age_ms": self._max_age_ms,
            "fps": round(self._fps(now_ns), 2),
            "sent": self._sent,
            "too_old": self._too_old,
            "time_ns": time_ns(),
        }

    def _state(self, known: Mapping[str, Any], now_ns: int) -> tuple[State, str]:
        camera = known.get("camera", "live")
        if camera != "live":
            return "OFFLINE", f"the camera is {camera}" + (f": {known['trouble']}" if known.get("trouble") else "")
        last_ns = self._times_ns[-1] if self._times_ns else self._since_ns
        silent_s = (now_ns - last_ns) / NS_PER_S
        if self._times_ns and silent_s * 1000 <= self._max_age_ms:
            return "LIVE", ""
        reason = f"no depth for {silent_s:.1f} s" if self._times_ns else "no depth yet"
        if self._last_age_ms > self._max_age_ms:
            reason = f"depth is {self._last_age_ms:.0f} ms old when it is there; max_age_ms = {self._max_age_ms:.0f}"
        return ("OFFLINE" if silent_s > OFFLINE_AFTER_S else "STALE"), reason

    def _fps(self, now_ns: int) -> float:
        recent = [time for time in self._times_ns if now_ns - time <= RATE_WINDOW_S * NS_PER_S]
        span_ns = recent[-1] - recent[0] if recent else 0
        return (len(recent) - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0
