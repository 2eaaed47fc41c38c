"""Independent witnesses of when an image came from the camera, so that no age is taken on the product's word."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Protocol, cast

from pipelines.drill.camera.feed import Sent
from pipelines.drill.faults import CLOCK_HZ
from pipelines.drill.observation import Shown, digest
from pipelines.drill.wire import Piece, rtp_time

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

MOST_IMAGES, MOST_IMAGE_BYTES = 5000, 256 << 20
"""JPEG images that are kept until a scenario is over; later ones have no witness."""
LARGEST_JPEG = 16 << 20
RECORDED_LATE_NS = 300_000_000
"""A sending may be recorded after the image has arrived at the consumer, by less than this."""


class Witness(Protocol):
    """Knows when images came from the camera."""

    def sent_ns(self, shown: Shown) -> int | None:
        """When the camera sent that image, CLOCK_MONOTONIC, nanoseconds; None if the witness cannot tell."""
        ...


class PaintedNumbers:
    """The numbers that our test camera paints into its images, and its record of when it sent each."""

    def __init__(self, clean_digests: Container[int]) -> None:
        """Only numbers of images with these digests count: in a damaged image another number may seem to stand."""
        self._clean = clean_digests
        self._sent_ns: defaultdict[int, list[int]] = defaultdict(list)
        self._last_s = 0.0

    def add(self, log: Iterable[Sent]) -> None:
        """Add what is new in the camera's record, which remembers a limited number of images."""
        for sent in log:
            if sent.mono_s > self._last_s:
                self._last_s = sent.mono_s
                self._sent_ns[sent.number].append(round(sent.mono_s * 1e9))

    def sent_ns(self, shown: Shown) -> int | None:
        """A clip repeats its numbers, so this is the newest sending before the arrival."""
        if shown.number is None or shown.digest not in self._clean:
            return None
        times = self._sent_ns.get(shown.number, [])
        # The camera writes its record after the sending, and may have to wait for a core in between.
        place = bisect_right(times, shown.at_ns + RECORDED_LATE_NS)
        return times[place - 1] if place else None


class FirstOf:
    """Asks one witness after the other."""

    def __init__(self, *witnesses: Witness) -> None:
        self._witnesses = witnesses

    def sent_ns(self, shown: Shown) -> int | None:
        answers = (witness.sent_ns(shown) for witness in self._witnesses)
        return next((answer for answer in answers if answer is not None), None)


class RtpTimes:
    """The RTP times of a user's camera: the proxy remembers when it first saw each, before it does any harm."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: dict[int, tuple[int, int] | None] = {}
        self.damaged: set[int] = set()
        """RTP times of access units that the proxy damaged."""

    def see(self, piece: Piece, sent: list[Piece], at_ns: int) -> None:
        """Take note of what came through the proxy; anything but RTP is ignored."""
        if piece.is_rtp:
            ticks = rtp_time(piece.data)
            self.note(ticks, rtp_time(sent[0].data) if sent else ticks, at_ns)

    def note(self, camera_ticks: int, sent_ticks: int, at_ns: int) -> None:
        """A packet came with ``camera_ticks`` and goes on with ``sent_ticks``, which a wrong clock may give to many."""
        with self._lock:
            known = self._first.setdefault(sent_ticks, (camera_ticks, at_ns))
            if known is not None and known[0] != camera_ticks:
                self._first[sent_ticks] = None

    def sent_ns(self, shown: Shown) -> int | None:
        """By ``media_s``, the RTP time in seconds, unwrapped."""
        ticks = rtp_ticks(shown)
        if ticks is None:
            return None
        with self._lock:
            known = self._first.get(ticks)
        return known[1] if known else None


def rtp_ticks(shown: Shown) -> int | None:
    """The RTP time of a frame; None without a time line."""
    return None if shown.media_s is None else round(shown.media_s * CLOCK_HZ) & 0xFFFF_FFFF


class JpegImages:
    """The images of an MJPEG camera over HTTP, known again by their pixels; sensor noise never repeats."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._began_ns: int | None = None
        self._came: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._first_ns: dict[int, int] = {}

    def feed(self, data: bytes, at_ns: int) -> None:
        """Cut the stream into images: from a start-of-image marker to the end marker."""
        waiting = self._waiting
        waiting += data
        while True:
            start = waiting.find(b"\xff\xd8\xff")
            if start < 0:
                del waiting[:-2]
                return
            if start or self._began_ns is None:
                del waiting[:start]
                self._began_ns = at_ns
            end = waiting.find(b"\xff\xd9")
            if end < 0:
                if len(waiting) > LARGEST_JPEG:
                    waiting.clear()
                return
            self._keep(self._began_ns, bytes(waiting[: end + 2]))
            del waiting[: end + 2]
            self._began_ns = None

    def sent_ns(self, shown: Shown) -> int | None:
        self._decode()
        return self._first_ns.get(shown.digest)

    def _keep(self, began_ns: int, image: bytes) -> None:
        if len(self._came) < MOST_IMAGES and self._bytes + len(image) < MOST_IMAGE_BYTES:
            self._came.append((began_ns, image))
            self._bytes += len(image)

    def _decode(self) -> None:
        """Decode what has come since the last time. Only after a scenario, because it costs time."""
        came, self._came, self._bytes = self._came, [], 0
        for at_ns, image in came:
            for found in digests("mjpeg", [image]):
                self._first_ns.setdefault(found, at_ns)


def digests(codec: str, units: Iterable[bytes]) -> list[int]:
    """CRC-32 of the pixels of each image that FFmpeg decodes from ``units``, converted as the product converts."""
    import av

    from stream.sources.pixels.bgr import BgrConverter

    context = cast("VideoCodecContext", av.CodecContext.create(codec, "r"))
    to_bgr, found = BgrConverter(), []
    for data in (*units, None):
        try:
            frames = context.decode(None if data is None else av.Packet(data))
        except av.error.FFmpegError:
            continue  # a damaged image proves nothing
        found += [digest(to_bgr(frame)) for frame in frames]
    return found
