"""Sends a clip to every viewer, paced by the monotonic clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from pipelines.drill.camera.clip import AccessUnit, Clip
from pipelines.drill.camera.faults import Faults
from pipelines.drill.camera.loop import EventLoop
from pipelines.drill.camera.rtp_clock import RtpClock
from pipelines.drill.camera.sdp import Side

Gate = Callable[[int], bool]
"""Called with an image's place in the clip, on the camera's thread: whether to send it."""

SLACK_S = 0.5
"""Seconds: after a longer pause of the machine a new time line starts instead of a burst."""
REMEMBERED = 1000


class Sent(NamedTuple):
    """One access unit that was sent."""

    number: int
    """The index in the clip, which ``read_number`` reads."""
    mono_s: float
    """Time of sending, monotonic clock, seconds."""
    unix_s: float
    """Time of sending by this machine's wall clock, seconds; the camera's own clock may differ."""


class Viewer(Protocol):
    """A receiver of a feed."""

    def tick(self, due_s: float) -> None:
        """Send what belongs to no image: sound and the like, up to ``due_s``."""

    def takes(self, unit: AccessUnit) -> bool:
        """Whether it accepts this one: not while it waits for a key frame or its connection is full."""

    def deliver(self, payloads: list[bytes | None], due_s: float) -> None:
        """Send the payloads of one access unit; None stands for a lost one."""


class Mount:
    """One path of the camera with its tracks, faults and counters, whatever clip it shows.

    Faults, gate and counters are those of its first video track.
    """

    def __init__(self, tracks: Sequence[Clip | Side], loop: EventLoop) -> None:
        """Raises ValueError if there is no video track."""
        self._loop = loop
        self.faults = Faults()
        self.rtp_clock = RtpClock()
        self.gate: Gate | None = None
        """Images that it does not pass are never sent, and leave no trace in the packets' numbers."""
        self.sent = 0
        """Access units sent, counted once per session; lost packets make no difference."""
        self.log: deque[Sent] = deque(maxlen=REMEMBERED)
        self.stalled = False
        self.tracks: list[Feed | Side] = []
        """What new viewers are offered."""
        self._feeds: list[Feed] = []
        for track in tracks:
            self.tracks.append(self._new_feed(track) if isinstance(track, Clip) else track)
        if not self._feeds:
            raise ValueError("a path needs a video track")

    @property
    def feed(self) -> Feed:
        """The first video track of new viewers."""
        return next(track for track in self.tracks if isinstance(track, Feed))

    def show_to_new(self, clip: Clip) -> None:
        """Show ``clip`` to new viewers; the others go on with the old one."""
        feed = self._new_feed(clip)
        feed.is_main = True
        self.tracks[self.tracks.index(self.feed)] = feed

    def _new_feed(self, clip: Clip) -> Feed:
        feed = Feed(clip, self, self._loop, is_main=not self._feeds)
        self._feeds.append(feed)
        return feed

    def stall(self, stalled: bool) -> None:
        """Stop all sending, or go on from now."""
        self.stalled = stalled
        for feed in self._feeds:
            feed.wake()

    def account(self, number: int, viewers: int) -> None:
        self.sent += viewers
        self.log.append(Sent(number, time.monotonic(), time.time()))


class Feed:
    """Sends the next access unit when it is due; pauses without viewers or while the mount is stalled.

    The first viewer gets a key frame at once, as from a camera that makes one for a new client; others wait for one.
    """

    def __init__(self, clip: Clip, mount: Mount, loop: EventLoop, *, is_main: bool) -> None:
        self.clip = clip
        self.mount, self._loop, self.is_main = mount, loop, is_main
        self._viewers: list[Viewer] = []
        self._next_clip: Clip | None = None
        self._number = 0
        self._due_s = 0.0
        self._armed = False

    def join(self, viewer: Viewer) -> float:
        """Add ``viewer`` from the next key frame on; returns the time at which that is due."""
        if not self._viewers:
            self._number = self.clip.next_keyframe(self._number)
        self._viewers.append(viewer)
        self.wake()
        ahead = (self.clip.next_keyframe(self._number) - self._number) % len(self.clip)
        return self._due_s + ahead / self.clip.fps

    def leave(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def switch(self, clip: Clip) -> None:
        """Go on with the first image of ``clip``, a key frame, when the next image is due."""
        if clip.codec != self.clip.codec:
            raise ValueError(f"cannot switch from {self.clip.codec} to {clip.codec} in a session: use change_codec")
        if self._viewers:
            self._next_clip = clip
        else:
            self.clip, self._number = clip, 0

    def wake(self) -> None:
        """Continue from now on."""
        if not self._armed:
            self._due_s = max(self._due_s, time.monotonic())
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        self._loop.at(self._due_s, self._on_due)

    def _on_due(self) -> None:
        self._armed = False
        if not self._viewers or self.mount.stalled:
            return
        if self._next_clip is not None:
            self.clip, self._number, self._next_clip = self._next_clip, 0, None
        now = time.monotonic()
        if now - self._due_s > SLACK_S:
            self._due_s = now
        self._send_next()
        self._due_s += 1 / self.clip.fps
        self._arm()

    def _send_next(self) -> None:
        number, unit = self._number, self.clip.units[self._number]
        self._number = (number + 1) % len(self.clip)
        for viewer in list(self._viewers):
            viewer.tick(self._due_s)
        if self.is_main and self.mount.gate is not None and not self.mount.gate(number):
            return
        viewers = [viewer for viewer in self._viewers if viewer.takes(unit)]
        if not viewers:
            return
        whole: list[bytes | None] = list(unit.payloads)
        payloads = self.mount.faults.applied(self.clip, number) if self.is_main else whole
        if self.is_main:
            self.mount.account(number, len(viewers))  # first: a quick client has the image before ``deliver`` returns
        for viewer in viewers:
            viewer.deliver(payloads, self._due_s)
