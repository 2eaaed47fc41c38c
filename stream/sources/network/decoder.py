"""Decodes the access units of a live stream and marks each image as clean or tainted.

Damage spreads: a lost or broken image spoils those after it until the next key frame. FFmpeg marks at most the first
one, so the state is kept here. An image and those after it are tainted

- if the reader says that a part of it, or data before it, was lost,
- if H.264's frame numbers say that an image before it is missing, although the transport lost nothing,
- if the decoder raises, marks the frame, or logs an error while it decodes.

The first key frame that is whole ends the damage, or the end of a gradual refresh.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, cast

from stream.frames import Integrity
from stream.sources.network.access_unit import AccessUnit
from stream.sources.network.ffmpeg_log import AV_LOG_ERROR, FfmpegLog
from stream.sources.network.h264 import Continuity, GapDetector
from stream.sources.network.h264.bits import START_CODE
from stream.sources.network.receiver import Received

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

HARMLESS = re.compile(r"\bSEI\b|\bVUI\b|missing image in access unit|skipping\.?$", re.I)
"""Errors that decoders log for healthy streams, too: odd side information, units of an unknown kind."""
SET_BACK_S = 1.0
"""Reordered images are closer together than this; a larger step back starts another time line."""
MAX_PENDING = 64
"""Access units that are remembered until their image comes; a decoder holds 16 images at most."""
MOST_PIXELS = 8192 * 8192
"""Twice an 8K image. A few bytes can claim any size, and FFmpeg allows four times as much: 1.7 GB for one image."""
MOST_NAL_UNITS = 4096
"""NAL units of one access unit; cameras send a few, or one for each network packet. FFmpeg logs every broken one, which
took more than half a minute for 600 thousand of them."""


class CheckedFrame(NamedTuple):
    """A decoded frame with its integrity, and the access unit that it came in."""

    frame: VideoFrame
    integrity: Integrity
    received: Received


class _Pending(NamedTuple):
    """An access unit whose image has not come out yet."""

    received: Received
    position: float
    """Its place in the order of presentation: media seconds, or where there are none, its number."""
    is_whole: bool


class LiveDecoder:
    """The decoder of one connection. It never raises on bad input; damage shows in ``integrity``."""

    def __init__(self, codec: VideoCodecContext, log: FfmpegLog) -> None:
        codec.thread_type = "SLICE"  # each frame thread delays images by a frame interval
        codec.thread_count = 1  # log lines of helper threads could not be assigned to a camera
        codec.options = {**codec.options, "max_pixels": str(MOST_PIXELS)}
        self._codec, self._log = codec, log
        self._gaps = GapDetector(codec.extradata or b"") if codec.name == "h264" else None
        self._right_from = -math.inf
        """Images before this position are tainted; +inf: all of them, until an image heals the stream."""
        self._count = 0
        self._pending: OrderedDict[int, _Pending] = OrderedDict()

    def decode(self, received: Received | None) -> list[CheckedFrame]:
        """The frames that are ready, in the order of presentation; None at the end of the stream."""
        if received is None:
            return self._checked(self._decode(None)[0])
        if received.unit.data.count(START_CODE) > MOST_NAL_UNITS and self._codec.name in ("h264", "hevc"):
            self._log.add(f"an image of more than {MOST_NAL_UNITS} parts was left out")
            self._damage()
            return []
        unit, continuity = received.unit, self._continuity(received.unit)
        if continuity.repeated:
            return []  # decoded again, it would damage those after it
        number, position = self._next_position(unit)
        if unit.damage:
            self._log.add(f"data was lost {unit.damage} an image")
        if unit.damage or continuity.missing:
            self._damage(by_decoder=bool(unit.damage))
        frames, failed = self._decode(_packet(unit, number))
        if failed:
            self._damage()
        is_whole = not failed and unit.damage != "inside"
        if continuity.recovered and is_whole:
            self._heal(position)
        self._pending[number] = _Pending(received, position, is_whole)
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
        return self._checked(frames)

    def _continuity(self, unit: AccessUnit) -> Continuity:
        if self._gaps is not None:
            return self._gaps.check(unit.data, unit.media_s)
        return Continuity(recovered=unit.keyframe)

    def _next_position(self, unit: AccessUnit) -> tuple[int, float]:
        """The number by which the decoder returns the image, because media times may repeat, and its position."""
        self._count += 1
        position = float(self._count) if unit.media_s is None else unit.media_s
        if position < self._right_from - SET_BACK_S and self._right_from < math.inf:
            self._right_from = -math.inf  # another time line: what was damaged is over
        return self._count, position

    def _decode(self, packet: Packet[VideoStream] | None) -> tuple[list[VideoFrame], bool]:
        """The frames that the decoder returns, and whether it failed, logged an error or marked one as corrupt."""
        import av

        frames: list[VideoFrame] = []
        raised = False
        with self._log.capture() as log_lines:
            try:
                frames = self._codec.decode(packet)
            except (av.error.FFmpegError, OSError):
                raised = True
        # Both the log and is_corrupt: a lost slice is only marked, a lost reference only logged.
        problems = [line for line in log_lines if line.level <= AV_LOG_ERROR and not HARMLESS.search(line.text)]
        return frames, raised or bool(problems) or any(frame.is_corrupt for frame in frames)

    def _checked(self, frames: list[VideoFrame]) -> list[CheckedFrame]:
        checked = []
        for frame in frames:
            pending = self._pending.pop(frame.pts if frame.pts is not None else self._count, None)
            if pending is None:
                continue
            if frame.key_frame and pending.is_whole:
                self._heal(pending.position)
            is_right = pending.position >= self._right_from
            checked.append(CheckedFrame(frame, "clean" if is_right else "tainted", pending.received))
        return checked

    def _heal(self, position: float) -> None:
        """From ``position`` on in the order of presentation, images refer to nothing that was damaged."""
        if self._right_from == math.inf:
            self._right_from = position

    def _damage(self, *, by_decoder: bool = True) -> None:
        self._right_from = math.inf
        if by_decoder and self._gaps is not None:
            self._gaps.damaged()  # it does not know of this yet


def codec_context(codec: str, extradata: bytes, hwaccel: HWAccel | None) -> VideoCodecContext:
    """A decoder for a reader that has none. Raises av.error.FFmpegError if FFmpeg does not know the codec."""
    import av

    context = cast("VideoCodecContext", av.CodecContext.create(codec, "r", hwaccel))
    if extradata:
        context.extradata = extradata
    return context


def _packet(unit: AccessUnit, number: int) -> Packet[VideoStream]:
    from av import Packet

    packet = unit.packet if unit.packet is not None else cast("Packet[VideoStream]", Packet(unit.data))
    packet.pts = packet.dts = number
    return packet
