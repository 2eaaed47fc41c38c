"""Decodes the packets of a live stream and marks each image as clean or tainted.

Damage spreads: a lost or broken image spoils those after it until the next key frame. FFmpeg marks at most the first
one, so the state is kept here. The rules come from FFmpeg 8.1 with packets lost on purpose:

- If the decoder raises, marks the frame, or logs an error while it decodes, this image and those after it are tainted.
- If the RTP reader logs that it missed packets while it assembled an image, those after it are tainted, and this image
  only if the decoder reports an error, too. H.264's decoder always does, because it counts macroblocks. H.265's does
  not, so the time stamp of the next image decides: a gap means that the lost packets belonged to an image in between.

A camera's time may jump back while it runs. The first key frame after the jump ends the damage from before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from stream.frames import Integrity
from stream.sources.network.ffmpeg_log import AV_LOG_ERROR, FfmpegLog, LogLine

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

HARMLESS = re.compile(r"\bSEI\b|\bVUI\b|missing image in access unit|skipping\.?$", re.I)
"""Errors that decoders log for healthy streams, too: odd side information, units of an unknown kind."""
LOSS = re.compile(r"missed -?\d+ packets|bad cseq|received too late", re.I)
"""Lines of FFmpeg's RTP reader about lost packets."""
REPORT_HOLES = ("h264", "mjpeg")
"""Codecs that always log an error for an image with a hole (the RTP reader drops JPEG images with a hole)."""
ONE_RTP_PACKET_BYTES = 1100
"""An image smaller than this came in one RTP packet and has no hole."""
GAP_INTERVALS = 1.5
"""A step between time stamps of more than this many frame intervals is a gap."""
SET_BACK_S = 1.0
"""Reordered packets are closer together than this; a larger step back starts another time line."""


class CheckedFrame(NamedTuple):
    """A decoded frame with its integrity."""

    frame: VideoFrame
    integrity: Integrity


class LiveDecoder:
    """The decoder of one connection. It never raises on bad input; damage shows in ``integrity``."""

    def __init__(self, stream: VideoStream, log: FfmpegLog) -> None:
        stream.thread_type = "SLICE"  # each frame thread delays images by a frame interval
        stream.codec_context.thread_count = 1  # log lines of helper threads could not be assigned to a camera
        self._stream, self._log = stream, log
        self._hides_holes = stream.codec_context.name not in REPORT_HOLES
        self._tainted = False
        self._damage_pts: int | None = None
        """Time of the last packet that was damaged or followed by damage; only a later key frame ends the damage."""
        self._held: list[CheckedFrame] = []
        """Images of which the next packet's time decides whether they have a hole."""
        self._last_pts: int | None = None
        self._step = 0
        """Time between the last two packets, in the stream's time base."""
        self._set_back = round(SET_BACK_S / (stream.time_base or Fraction(1, 90_000)))

    def decode(self, packet: Packet[VideoStream] | None, log_lines: Sequence[LogLine] = ()) -> list[CheckedFrame]:
        """The frames that are ready, in order.

        ``packet``: None at the end of the stream. ``log_lines``: FFmpeg's lines from reading ``packet``.
        """
        ready = self._released(packet)
        if self._jumped_back(packet):
            self._damage_pts = None  # belongs to the old time line; every key frame from now on is after the damage
            self._last_pts, self._step = None, 0
        frames, failed = self._decode(packet)
        if failed or (packet is not None and packet.is_corrupt):
            self._taint(packet)
        checked = [self._checked(frame, healing=not failed) for frame in frames]
        if any(LOSS.search(line.text) for line in log_lines):
            self._taint(packet)
            if self._may_have_hole(packet, failed):
                self._held, checked = checked, []
        self._track_time(packet)
        return ready + checked

    def _decode(self, packet: Packet[VideoStream] | None) -> tuple[list[VideoFrame], bool]:
        """The frames that the decoder returns, and whether it failed, logged an error or marked one as corrupt."""
        import av

        frames: list[VideoFrame] = []
        raised = False
        with self._log.capture() as log_lines:
            try:
                # Not ``container.decode()``, which ends for good at the first damaged packet.
                frames = self._stream.decode(packet)
            except (av.error.FFmpegError, OSError):
                raised = True
        # The log, because is_corrupt was never set at 1 to 5 % loss, while 86 to 139 of 315 images were broken.
        problems = [line for line in log_lines if line.level <= AV_LOG_ERROR and not HARMLESS.search(line.text)]
        return frames, raised or bool(problems) or any(frame.is_corrupt for frame in frames)

    def _checked(self, frame: VideoFrame, *, healing: bool) -> CheckedFrame:
        after_damage = frame.pts is None or self._damage_pts is None or frame.pts > self._damage_pts
        if healing and frame.key_frame and after_damage:
            self._tainted = False
        return CheckedFrame(frame, "tainted" if self._tainted else "clean")

    def _taint(self, packet: Packet[VideoStream] | None) -> None:
        self._tainted, self._damage_pts = True, packet.pts if packet is not None else None

    def _may_have_hole(self, packet: Packet[VideoStream] | None, failed: bool) -> bool:
        large = packet is not None and packet.size > ONE_RTP_PACKET_BYTES
        return self._hides_holes and large and not failed

    def _released(self, packet: Packet[VideoStream] | None) -> list[CheckedFrame]:
        """The held images, tainted unless this packet's time shows a gap after them: then the loss was in between."""
        held, self._held = self._held, []
        if packet is None or packet.pts is None or self._last_pts is None:
            gap = False
        else:
            gap = 0 < GAP_INTERVALS * self._step < packet.pts - self._last_pts
        return held if gap else [CheckedFrame(checked.frame, "tainted") for checked in held]

    def _jumped_back(self, packet: Packet[VideoStream] | None) -> bool:
        """Whether the camera's time has jumped back, as shared media of GStreamer's server do at each new viewer."""
        if packet is None or packet.pts is None or self._last_pts is None:
            return False
        return self._last_pts - packet.pts > self._set_back

    def _track_time(self, packet: Packet[VideoStream] | None) -> None:
        # The first packet from GStreamer's server has no time.
        if packet is None or packet.pts is None:
            return
        if self._last_pts is not None:
            self._step = packet.pts - self._last_pts
        self._last_pts = packet.pts
