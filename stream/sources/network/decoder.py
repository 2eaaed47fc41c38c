"""Packets of a live stream in, images out, each with a word on whether it is what the camera sent.

Damage spreads: an image that was lost or broken spoils those after it until the next key frame. FFmpeg marks at most
the first one, so we keep the state. What counts as damage, seen in FFmpeg 8.1 with packets lost on purpose:

- the decoder raises, marks the frame, or complains in its log while it decodes: this image and those after it;
- the RTP reader says that it missed packets while it put an image together: those after it. This image only if the
  decoder complains. H.264's always does, for it counts macroblocks; H.265's does not, so there the time stamp of the
  next image decides: a gap means that the lost packets were of an image in between.

A camera's time may jump back while it runs. Damage from before the jump is healed by the first key frame after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from stream.frames import Integrity
from stream.sources.network.ffmpeg_log import FfmpegLog, LogLine

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

ERROR = 16
"""FFmpeg's AV_LOG_ERROR."""
NO_DAMAGE = re.compile(r"\bSEI\b|\bVUI\b|missing image in access unit|skipping\.?$", re.I)
"""Errors that decoders report of healthy streams, too: odd side information, units of an unknown kind."""
LOSS = re.compile(r"missed -?\d+ packets|bad cseq|received too late", re.I)
"""What FFmpeg's RTP reader says of lost packets."""
TELL_OF_HOLES = ("h264", "mjpeg")
"""Codecs that never decode an image with a hole in silence (JPEG images with a hole are left out by the reader)."""
ONE_RTP_PACKET_BYTES = 1100
"""An image smaller than this came in one RTP packet and has no hole."""
GAP_INTERVALS = 1.5
SET_BACK_S = 1.0
"""Packets that come out of order are closer together than this; further back, another time line has begun."""


class Judged(NamedTuple):
    """A decoded image."""

    frame: VideoFrame
    integrity: Integrity


class LiveDecoder:
    """The decoder of one connection. Nothing that it is fed makes it raise; damage shows in ``integrity``."""

    def __init__(self, stream: VideoStream, log: FfmpegLog) -> None:
        stream.thread_type = "SLICE"  # frame threads delay images
        stream.codec_context.thread_count = 1  # other threads' log lines could not be told apart by camera
        self._stream, self._log = stream, log
        self._silent_about_holes = stream.codec_context.name not in TELL_OF_HOLES
        self._tainted = False
        self._damage_pts: int | None = None
        """Of the last packet known to be damaged or followed by damage; only a later key frame ends it."""
        self._held: list[Judged] = []
        self._last_pts: int | None = None
        self._step = 0
        """Between the last two packets, in the stream's time base."""
        self._set_back = round(SET_BACK_S / (stream.time_base or Fraction(1, 90_000)))

    def decode(self, packet: Packet[VideoStream] | None, said: Sequence[LogLine] = ()) -> list[Judged]:
        """The images that are ready. None: the stream is over; ``said``: FFmpeg's lines while it read ``packet``."""
        ready = self._released(packet)
        if self._begins_anew(packet):
            self._damage_pts = None  # of the old time line: every key frame from here on is after the damage
            self._last_pts, self._step = None, 0
        frames, complained = self._decoded(packet)
        if complained or (packet is not None and packet.is_corrupt):
            self._taint(packet)
        judged = [self._judged(frame, healing=not complained) for frame in frames]
        if any(LOSS.search(line.text) for line in said):
            self._taint(packet)
            if self._cannot_tell(packet, complained):
                self._held, judged = judged, []
        self._follow(packet)
        return ready + judged

    def _decoded(self, packet: Packet[VideoStream] | None) -> tuple[list[VideoFrame], bool]:
        """The frames that come out, and whether there was anything to complain about."""
        import av

        frames: list[VideoFrame] = []
        failed = False
        with self._log.heard() as said:
            try:
                frames = self._stream.decode(packet)
            except (av.error.FFmpegError, OSError):
                failed = True
        complaints = [line for line in said if line.level <= ERROR and not NO_DAMAGE.search(line.text)]
        return frames, failed or bool(complaints) or any(frame.is_corrupt for frame in frames)

    def _judged(self, frame: VideoFrame, *, healing: bool) -> Judged:
        after_damage = frame.pts is None or self._damage_pts is None or frame.pts > self._damage_pts
        if healing and frame.key_frame and after_damage:
            self._tainted = False
        return Judged(frame, "tainted" if self._tainted else "clean")

    def _taint(self, packet: Packet[VideoStream] | None) -> None:
        self._tainted, self._damage_pts = True, packet.pts if packet is not None else None

    def _cannot_tell(self, packet: Packet[VideoStream] | None, complained: bool) -> bool:
        large = packet is not None and packet.size > ONE_RTP_PACKET_BYTES
        return self._silent_about_holes and large and not complained

    def _released(self, packet: Packet[VideoStream] | None) -> list[Judged]:
        """The images that waited for this packet's time stamp: a hole in them, or a gap after them?"""
        held, self._held = self._held, []
        if packet is None or packet.pts is None or self._last_pts is None:
            gap = False
        else:
            gap = 0 < GAP_INTERVALS * self._step < packet.pts - self._last_pts
        return held if gap else [Judged(judged.frame, "tainted") for judged in held]

    def _begins_anew(self, packet: Packet[VideoStream] | None) -> bool:
        """Whether the camera's time has jumped back: shared media of GStreamer's server do, at each new viewer."""
        if packet is None or packet.pts is None or self._last_pts is None:
            return False
        return self._last_pts - packet.pts > self._set_back

    def _follow(self, packet: Packet[VideoStream] | None) -> None:
        if packet is None or packet.pts is None:
            return
        if self._last_pts is not None:
            self._step = packet.pts - self._last_pts
        self._last_pts = packet.pts
