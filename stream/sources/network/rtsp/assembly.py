"""Packets in order -> access units, each as soon as it is complete, with what is missing from it.

The law of its end: the marker bit of the last packet ends an access unit at once; a new time stamp ends it, too.
Cameras that set the marker on other packets, or never, are noticed, and only the time stamp counts for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from stream.sources.network.access_unit import AccessUnit
from stream.sources.network.rtsp.media_clock import MediaClock
from stream.sources.network.rtsp.payloads.nal import LARGEST_UNIT_BYTES, Beginning

SEVERAL_PACKETS, ONE_PACKET, MISUSE, TRUST = 8, 1, -400, 8
"""Evidence for the marker. One access unit of several packets of which only the last is marked is enough; those of one
packet prove little; a marker in the middle of an image must be outweighed by 51 good ones."""
MOST_PREFIX_BYTES = 64 * 1024
"""Parameter sets and messages that wait for their image."""


class Payloads(Protocol):
    """A payload format: collects the payloads of one access unit."""

    data: bytearray
    keyframe: bool
    is_broken: bool
    recovery_images: int | None

    @property
    def has_image(self) -> bool: ...
    @property
    def begins_inside(self) -> bool: ...
    @property
    def is_complete(self) -> bool: ...
    def begin(self) -> None: ...
    def add(self, payload: memoryview) -> None: ...
    def lost(self) -> None: ...
    def finished(self) -> bytes: ...
    def beginning(self, payload: memoryview) -> Beginning: ...


class Assembly:
    """Calls ``on_unit`` with each access unit."""

    def __init__(self, payloads: Payloads, clock: MediaClock, on_unit: Callable[[AccessUnit], None]) -> None:
        self._payloads, self._clock, self._on_unit = payloads, clock, on_unit
        self._refresh = _Refresh()
        self._ticks: int | None = None
        self._is_open = False
        self._packets = 0
        self._first_ns = self._last_ns = 0
        self._lost_before = self._lost_inside = False
        self._was_marked = self._misused = False
        self._evidence = 0

    def packet(self, payload: memoryview, ticks: int, marked: int, lost: bool, arrived_ns: int) -> None:
        """Take the payload of the next packet in order; ``lost``: packets before it never came."""
        if ticks != self._ticks:
            if self._is_open:
                self._end(cut_off=lost and not self._was_marked)
            self._open(ticks, arrived_ns, lost)
        elif not self._is_open or self._was_marked:
            self._go_on(payload, ticks, lost, arrived_ns)
        elif lost:
            self._lost_inside = True
        if lost:
            self._payloads.lost()
        self._payloads.add(payload)
        self._packets += 1
        self._last_ns = arrived_ns
        if marked:
            self._was_marked = True
            if self._evidence >= TRUST and self._payloads.has_image and self._payloads.is_complete:
                self._end()
        if len(self._payloads.data) > LARGEST_UNIT_BYTES:
            self._end(cut_off=True)

    def restart(self) -> None:
        """The camera began a new stream: what is incomplete is dropped, and the next access unit follows a gap."""
        self._payloads.begin()
        self._is_open, self._ticks, self._lost_before = False, None, True

    def _open(self, ticks: int, arrived_ns: int, lost: bool) -> None:
        self._is_open, self._ticks = True, ticks
        self._first_ns = arrived_ns
        self._packets = 0
        self._lost_before |= lost
        self._lost_inside = self._was_marked = self._misused = False

    def _go_on(self, payload: memoryview, ticks: int, lost: bool, arrived_ns: int) -> None:
        """A packet with the time stamp of one that was marked: a marker in the middle, or a clock that stands still."""
        beginning = self._payloads.beginning(payload)
        if beginning == "image" and (not self._is_open or self._payloads.has_image):
            if self._is_open:
                self._end()
            self._open(ticks, arrived_ns, lost)
            return
        if not self._is_open:
            self._open(ticks, arrived_ns, lost)
            self._lost_inside = beginning == "rest"  # the image was cut
        elif lost:
            self._lost_inside = True
        self._was_marked = False
        if beginning == "rest":
            self._misused = True
            self._evidence = MISUSE

    def _end(self, cut_off: bool = False) -> None:
        payloads = self._payloads
        self._is_open = False
        inside = self._lost_inside or cut_off
        if not payloads.has_image:
            self._keep_prefix(lost=inside or payloads.is_broken)
            return
        self._learn()
        data = payloads.finished()
        inside = inside or payloads.is_broken or payloads.begins_inside
        damage: Literal["", "before", "inside"] = "inside" if inside else "before" if self._lost_before else ""
        keyframe, partial = self._refresh.judged(payloads.keyframe, payloads.recovery_images, bool(damage), inside)
        unit = AccessUnit(
            data,
            keyframe,
            self._first_ns,
            max(self._first_ns, self._last_ns),
            self._clock.media_s(self._ticks or 0),
            self._clock.camera_ns(self._ticks or 0),
            "inside" if partial else damage,
        )
        payloads.begin()
        self._lost_before = False
        self._on_unit(unit)

    def _keep_prefix(self, *, lost: bool) -> None:
        """Parameter sets with a time stamp of their own belong to the next image; an image's remains to none."""
        payloads = self._payloads
        self._lost_before |= lost
        if lost or len(payloads.data) > MOST_PREFIX_BYTES:
            payloads.begin()

    def _learn(self) -> None:
        if self._was_marked and not self._misused and self._evidence < TRUST:
            self._evidence += SEVERAL_PACKETS if self._packets > 1 else ONE_PACKET


class _Refresh:
    """Key frames of streams whose image is renewed piece by piece, behind a recovery point (H.264, D.2.8)."""

    def __init__(self) -> None:
        self._is_whole = self._has_begun = False
        self._left: int | None = None
        """Images until the image is whole again; None: no renewal is under way."""

    def judged(self, keyframe: bool, images: int | None, damaged: bool, inside: bool) -> tuple[bool, bool]:
        """Whether an image is a key frame, and whether only a part of it is there.

        ``keyframe``: it is one without a recovery point; ``images``: what the recovery point says; ``damaged``: data
        before or in it was lost; ``inside``: in it.
        """
        if keyframe or images == 0:
            self._is_whole, self._has_begun, self._left = not inside, True, None
            return True, False
        if damaged:
            self._is_whole, self._left = False, None
        if images is not None:
            return self._recovery_point(images, inside)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._left, self._is_whole = None, True
                return True, False
        return False, False

    def _recovery_point(self, images: int, inside: bool) -> tuple[bool, bool]:
        if self._is_whole:
            return True, False
        if self._left is None and not inside:
            self._left = images
        begins, self._has_begun = not self._has_begun, True
        return begins, begins
