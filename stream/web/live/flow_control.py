"""Flow control for one viewer: which cameras it watches and how many frames it has not drawn yet. No sockets here.

A frame is in flight until the viewer acknowledges that it was drawn; at most two frames per camera may be. Newer views
wait in the hub, where each replaces the one before, so a slow viewer skips frames and delays nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.web.live.hub import ImageName, SharedView, WebSink
from stream.web.live.messages import IMAGES, Mode
from stream.web.live.probe import Probe, ProbeableDepth

MAX_IN_FLIGHT = 2  # one is drawn while the next is on its way
MAX_FROZEN_BYTES = 32 << 20
"""Depth maps kept for one viewer's frozen images, so that these can still be probed."""


class NextFrame(NamedTuple):
    """The frame to send next."""

    shared: SharedView
    images: tuple[ImageName, ...]
    """The images of it that the viewer watches."""


@dataclass(slots=True)
class _WatchedCamera:
    """One camera as this viewer follows it."""

    images: tuple[ImageName, ...] = ()
    sent: int = 0
    """``SharedView.number`` of the last view sent."""
    in_flight: deque[int] = field(default_factory=deque)
    """``seq`` of the frames sent and not acknowledged, in order."""
    drawn: int | None = None
    """``seq`` of the last acknowledged frame."""
    frozen: ProbeableDepth | None = None
    """Depth of the image that stays on the viewer's screen while it watches no images of this camera."""


class FlowControl:
    """The state of one viewer; used on the event loop's thread only."""

    def __init__(self, sink: WebSink) -> None:
        self._sink = sink
        self._watched: dict[str, _WatchedCamera] = {}
        """Cameras in the order of their turns: the one that has waited longest comes first."""

    def watch(self, cameras: Mapping[str, Mode]) -> None:
        """Send these cameras from now on, and no others; frames in flight stay so."""
        before, self._watched = self._watched, {}
        for camera, mode in cameras.items():
            watched = before.get(camera) or _WatchedCamera()
            watched.images = IMAGES[mode]
            watched.frozen = None if watched.images else watched.frozen or self._freeze(camera, watched.drawn)
            self._watched[camera] = watched

    def acknowledge(self, camera: str, seq: int) -> bool:
        """Record that frame ``seq``, and those sent before it, were drawn. Returns False if it was not in flight."""
        watched = self._watched.get(camera)
        if watched is None or seq not in watched.in_flight:
            return False
        while watched.in_flight.popleft() != seq:
            pass
        watched.drawn = seq
        return True

    def next_frame(self) -> NextFrame | None:
        """Of the cameras with a new view and fewer than two frames in flight, the one that has waited longest."""
        for camera, watched in self._watched.items():
            if watched.images and len(watched.in_flight) < MAX_IN_FLIGHT:
                newest = self._sink.newest(camera)
                if newest is not None and newest.number != watched.sent:
                    return NextFrame(newest, watched.images)
        return None

    def mark_sent(self, shared: SharedView) -> None:
        """Count the view as in flight, and let all other cameras go before its camera."""
        frame = shared.view.depth_map.frame
        watched = self._watched.pop(frame.camera, None)
        if watched is not None:  # None if the viewer has stopped watching the camera meanwhile
            self._watched[frame.camera] = watched
            watched.sent = shared.number
            watched.in_flight.append(frame.seq)

    def probe(self, camera: str, seq: int | None, x: float, y: float) -> Probe | None:
        """Like ``WebSink.depth_at``; a frozen image can be probed for as long as it is frozen."""
        watched = self._watched.get(camera)
        if watched and watched.frozen and watched.frozen.seq == seq:
            return watched.frozen.at(x, y)
        return self._sink.depth_at(camera, seq, x, y)

    def _freeze(self, camera: str, drawn: int | None) -> ProbeableDepth | None:
        """The depth of the image that stays on the screen, if it fits into ``MAX_FROZEN_BYTES``."""
        depth = None if drawn is None else self._sink.probeable(camera, drawn)
        others = sum(other.frozen.depth.nbytes for other in self._watched.values() if other.frozen)
        return depth if depth and others + depth.depth.nbytes <= MAX_FROZEN_BYTES else None
