"""Sends a clip to every viewer, paced by the monotonic clock."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple, Protocol

from pipelines.drill.camera.clip import AccessUnit, Clip
from pipelines.drill.camera.faults import Faults
from pipelines.drill.camera.loop import EventLoop

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

    def takes(self, unit: AccessUnit) -> bool:
        """Whether it accepts this one: not while it waits for a key frame or its connection is full."""

    def deliver(self, payloads: list[bytes | None], due_s: float) -> None:
        """Send the payloads of one access unit; None stands for a lost one."""


class Mount:
    """One path of the camera with its faults and counters, whatever clip it shows."""

    def __init__(self, clip: Clip, loop: EventLoop) -> None:
        self._loop = loop
        self.faults = Faults()
        self.sent = 0
        """Access units sent, counted once per session; lost packets make no difference."""
        self.log: deque[Sent] = deque(maxlen=REMEMBERED)
        self.stalled = False
        self.feed = Feed(clip, self, loop)
        self._feeds = [self.feed]

    def show_to_new(self, clip: Clip) -> None:
        """Show ``clip`` to new viewers; the others go on with the old one."""
        self.feed = Feed(clip, self, self._loop)
        self._feeds.append(self.feed)

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

    def __init__(self, clip: Clip, mount: Mount, loop: EventLoop) -> None:
        self.clip = clip
        self._mount, self._loop = mount, loop
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
        if not self._viewers or self._mount.stalled:
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
        viewers = [viewer for viewer in self._viewers if viewer.takes(unit)]
        if not viewers:
            return
        payloads = self._mount.faults.applied(self.clip, number)
        for viewer in viewers:
            viewer.deliver(payloads, self._due_s)
        self._mount.account(number, len(viewers))
