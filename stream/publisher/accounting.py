"""What was sent and what was left out: of each stream, and altogether."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from stream.core.clock import NS_PER_MS
from stream.frames import DepthMap
from stream.publisher.stream_status import StreamStatus
from stream.settings import PublishSettings
from stream.wire.message import topic_bytes

Made: TypeAlias = Literal["previews", "raw messages", "objects"]
"""Of a depth map: not counted as its stream's frames."""
What: TypeAlias = Literal["depth messages"] | Made

LONGEST_FAMILY = "preview/"
"""A stream whose name fits a message of this family has a name for all of its topics."""


class Books:
    """Every depth map is entered once, as sent or as too old. Its owner's lock guards it; times are monotonic ns."""

    def __init__(self, server_id: int, settings: PublishSettings) -> None:
        self._server_id, self._max_age_ms = server_id, settings.max_age_ms
        self._statuses: dict[str, StreamStatus] = {}
        self._counts = Counter(dict.fromkeys(("depth messages", "previews", "too old", "previews too old"), 0))
        self._bytes = 0

    @property
    def streams(self) -> Iterable[str]:
        return tuple(self._statuses)

    def status(self, stream: str, now_ns: int) -> StreamStatus:
        """The record of a stream; it begins when it is first asked for. Raises WireError for a name too long."""
        if stream not in self._statuses:
            topic_bytes(f"{LONGEST_FAMILY}{stream}")
            self._statuses[stream] = StreamStatus(stream, self._server_id, self._max_age_ms, now_ns)
        return self._statuses[stream]

    def is_too_old(self, depth_map: DepthMap, now_ns: int) -> bool:
        return now_ns - depth_map.frame.stamp.mono_ns > self._max_age_ms * NS_PER_MS

    def enter(self, depth_map: DepthMap, now_ns: int) -> bool:
        """Whether it is young enough to be sent."""
        age_ms = depth_map.frame.stamp.age_s(now_ns) * 1000
        status = self.status(depth_map.frame.camera, now_ns)
        if self.is_too_old(depth_map, now_ns):
            self._counts["too old"] += 1
            status.too_old(age_ms)
            return False
        status.sent(depth_map, age_ms, now_ns)
        return True

    def was_too_old(self, what: Made) -> Literal[False]:
        """It was not sent."""
        self._counts[f"{what} too old"] += 1
        return False

    def message_left(self, what: What, size: int) -> None:
        """Somebody wanted it; how many readers it went to is ZeroMQ's affair."""
        self._counts[what] += 1
        self._bytes += size

    def figures(self) -> Mapping[str, float]:
        return {**self._counts, "MB": self._bytes / 1e6}
