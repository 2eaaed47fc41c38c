"""What one viewer watches, and how much of it is under way: the pace of a slow one, without sockets.

A frame counts as under way until the viewer says that it was drawn; of each camera two may be. What is newer waits in
the hub, where it is replaced by what is newer still: a slow viewer skips frames and holds up nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.web.live.hub import ImageName, Shown, WebSink
from stream.web.live.messages import IMAGES, Mode
from stream.web.live.probe import Probe, Readable

UNDER_WAY = 2
HELD_BYTES = 32 << 20
"""Depth of images that a viewer has frozen, for its probes."""


class Due(NamedTuple):
    """What is to be sent next."""

    shown: Shown
    images: tuple[ImageName, ...]


@dataclass(slots=True)
class _Watched:
    """One camera as this viewer follows it."""

    images: tuple[ImageName, ...] = ()
    sent: int = 0
    """``Shown.number`` of the last one sent."""
    under_way: deque[int] = field(default_factory=deque)
    """``seq`` of the frames sent and not acknowledged, in order."""
    drawn: int | None = None
    """``seq`` of the last acknowledged one."""
    held: Readable | None = None
    """The image that stays on the viewer's screen while it wants no others."""


class Watching:
    """Of one viewer."""

    def __init__(self, sink: WebSink) -> None:
        self._sink = sink
        self._watched: dict[str, _Watched] = {}

    def watch(self, cameras: Mapping[str, Mode]) -> None:
        """From now on these and no others; what is under way stays so."""
        before, self._watched = self._watched, {}
        for camera, mode in cameras.items():
            watched = before.get(camera) or _Watched()
            watched.images = IMAGES[mode]
            watched.held = None if watched.images else watched.held or self._hold(camera, watched.drawn)
            self._watched[camera] = watched

    def acknowledge(self, camera: str, seq: int) -> bool:
        """Frame ``seq`` and those sent before it have arrived; False when it was not under way."""
        watched = self._watched.get(camera)
        if watched is None or seq not in watched.under_way:
            return False
        while watched.under_way.popleft() != seq:
            pass
        watched.drawn = seq
        return True

    def due(self) -> Due | None:
        """Of the cameras with a new image and room for it, the one that has waited for the longest."""
        for camera, watched in self._watched.items():
            if watched.images and len(watched.under_way) < UNDER_WAY:
                shown = self._sink.newest(camera)
                if shown is not None and shown.number != watched.sent:
                    return Due(shown, watched.images)
        return None

    def sending(self, shown: Shown) -> None:
        """It is under way from now on, and the camera is the last to have its turn again."""
        frame = shown.view.depth_map.frame
        watched = self._watched.pop(frame.camera, None)
        if watched is not None:  # else it has been given up meanwhile
            self._watched[frame.camera] = watched
            watched.sent = shown.number
            watched.under_way.append(frame.seq)

    def probe(self, camera: str, seq: int | None, x: float, y: float) -> Probe | None:
        """As ``WebSink.depth_at``, and of a frozen image for as long as it is frozen."""
        watched = self._watched.get(camera)
        if watched and watched.held and watched.held.seq == seq:
            return watched.held.at(x, y)
        return self._sink.depth_at(camera, seq, x, y)

    def _hold(self, camera: str, drawn: int | None) -> Readable | None:
        """The depth of the image that stays on the screen, while there is room for it."""
        readable = None if drawn is None else self._sink.readable(camera, drawn)
        others = sum(other.held.depth.nbytes for other in self._watched.values() if other.held)
        return readable if readable and others + readable.depth.nbytes <= HELD_BYTES else None
