"""What every reader of a network camera gives to the session: coded images with the time of their arrival.

A reader knows a protocol and nothing of decoding; the session knows decoding and nothing of protocols.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

    from stream.frames import Size

TimeLine = Literal["rtp", "container", "segments", "polled", "none"]
"""rtp: media times are ticks of the camera's clock. container: they are time stamps of MPEG-TS or RTMP. segments: the
same, but several seconds arrive at once, as in HLS. polled: each image was asked for, so none waits anywhere.
none: there are no media times, as in MJPEG over HTTP."""


class AccessUnit(NamedTuple):
    """One coded image, complete as far as it arrived."""

    data: bytes
    """H.264 and H.265: NAL units with start codes (Annex B). MJPEG: a JPEG file."""
    keyframe: bool
    """Decoding can begin here."""
    first_ns: int
    """Arrival of its first byte in this machine (not in this process), CLOCK_MONOTONIC, nanoseconds."""
    complete_ns: int
    """Arrival of its last byte as far as the reader knows it, on the same clock; never before ``first_ns``."""
    media_s: float | None = None
    """Presentation time on the source's own time line, seconds, unwrapped; None if it has none."""
    camera_ns: int | None = None
    """The camera's own clock at capture, by RTCP sender reports, nanoseconds since 1970 and not checked; None before
    the first report."""
    damage: Literal["", "before", "inside"] = ""
    """before: data between the previous access unit and this one was lost. inside: a part of this one is missing."""
    packet: Packet[VideoStream] | None = None
    """FFmpeg's packet, if FFmpeg has read it: it is decoded in place of ``data``."""


class CameraReport(NamedTuple):
    """One RTCP sender report: the same moment on two clocks of the camera (RFC 3550, 6.4.1)."""

    arrived_ns: int
    """CLOCK_MONOTONIC, nanoseconds."""
    camera_ns: int
    """The camera's wall clock, nanoseconds since 1970."""
    media_s: float
    """The same moment on the time line of ``AccessUnit.media_s``, seconds."""


class Reader(Protocol):
    """An open connection to a camera, read by one thread; ``interrupt`` may be called from any thread.

    Opening (the constructor) raises AccessDenied or SourceError.
    """

    codec: str
    """FFmpeg's name of the codec: ``h264``, ``hevc``, ``mjpeg``, ..."""
    extradata: bytes
    """Parameter sets from outside the stream, with start codes; empty if there are none."""
    time_line: TimeLine
    is_recording: bool
    """It has an end and no pace of its own: a file on a web server, or a generated pattern."""
    size: Size | None
    """The image size that the camera states; None if it states none."""
    stated_fps: float
    """The frame rate that the camera states; 0: it states none."""

    def items(self) -> Iterator[AccessUnit | CameraReport]:
        """Access units in decoding order as soon as each is complete, with sender reports between them.

        Ends soon after ``interrupt`` was called, and when the camera or the recording ends the stream. Raises
        AccessDenied or SourceError when the connection breaks. The session notices silence: no time-out is needed here.
        """
        ...

    def interrupt(self) -> None:
        """Make ``items`` end soon, even while it waits for data."""
        ...

    def close(self) -> None:
        """Close the connection, politely and within half a second. Only from the reading thread, after ``items``."""
        ...
