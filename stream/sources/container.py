"""One pass through a video file with PyAV's demuxer and decoder: every good frame first, then the error, if any.

Frames are decoded on one core (slice threads). Frame threads are a fifth faster on a 640x272 clip, but FFmpeg 8.1 then
swallows up to two good frames, without any error, when the last packet of a file is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from stream.core.log import redact
from stream.errors import SourceError
from stream.frames import Image, Integrity, Size

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

OPEN_TIMEOUT_S = READ_TIMEOUT_S = 20.0
"""Time-outs for files behind a URL, seconds: without them FFmpeg waits for ever."""
CUT_OFF_S = 0.5
"""A Matroska file that ends this many seconds before its stated duration was cut off."""


class DecodedFrame(NamedTuple):
    """One frame as displayed: rotated and mirrored by the file's display matrix."""

    image: Image
    """(H, W, 3) uint8 BGR, contiguous, read-only."""
    time_s: float | None
    """Seconds on the file's own time line, which may start anywhere and jump back; None if the frame has no time."""
    integrity: Integrity


class VideoReader:
    """One pass through a video file. The first frame is decoded on opening, so a file without any is refused there.

    Opening raises SourceError if the path is no readable video, with a message of its own for each reason.
    """

    def __init__(self, path: str) -> None:
        from av.video.reformatter import VideoReformatter

        self._scaler = VideoReformatter()  # one for all frames: PyAV 18 otherwise makes, and leaks, one a frame
        self._label = redact(path)
        self._packet_count = self._delivered = self._damaged = 0
        self._tainted = False
        self._end_s: float | None = None
        self._read_error: Exception | None = None
        self._decoded: Iterator[tuple[VideoFrame, Integrity]] = iter(())
        self._container = _open(path)
        try:
            self._stream = _video_stream(self._container, self._label)
            self._decoded = self._decode()
            self._first = self._first_frame()
            self._matrix = _display_matrix(self._first[0])
        except BaseException:
            self.close()
            raise

    @property
    def frame_count(self) -> int | None:
        """Frames that the file declares; None if it declares none."""
        # MP4 also counts samples that an edit list cuts away; FFmpeg's index does not.
        if self._stream.frames and "mp4" in self._container.format.name:
            return len(self._stream.index_entries) or self._stream.frames
        return self._stream.frames or None

    @property
    def fps(self) -> float | None:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else None

    @property
    def size(self) -> Size:
        """Size of the first frame as displayed."""
        frame, (a, b, _, _) = self._first[0], self._matrix
        return Size(frame.width, frame.height) if abs(a) < abs(b) else Size(frame.height, frame.width)

    def frames(self) -> Iterator[DecodedFrame]:
        """Every decodable frame; raises SourceError after the last one if the file ended early or was damaged."""
        for frame, integrity in chain([self._first], self._decoded):
            self._delivered += 1
            yield DecodedFrame(self._to_bgr(frame), frame.time, integrity)
        if problems := self._problems():
            advice = "all good frames were delivered; copy or record the file again"
            raise SourceError(f"{self._label}: {'; '.join([*problems, advice])}") from self._read_error

    def close(self) -> None:
        """Call it from the reading thread only: closing under a reader crashes FFmpeg."""
        # The running generator refers to this object: a reference cycle that would keep the decoder's memory.
        self._decoded = iter(())
        self._container.close()

    def _to_bgr(self, frame: VideoFrame) -> Image:
        bgr = cast(Image, self._scaler.reformat(frame, format="bgr24", threads=1).to_ndarray())
        image = np.ascontiguousarray(_transformed(bgr, self._matrix))
        image.flags.writeable = False
        return image

    def _first_frame(self) -> tuple[VideoFrame, Integrity]:
        for decoded in self._decoded:
            return decoded
        raise SourceError(f"{self._label}: no frame can be decoded; play it elsewhere to check the file")

    def _decode(self) -> Iterator[tuple[VideoFrame, Integrity]]:
        has_key = False
        for packet in self._demux():
            if packet.size == 0:  # FFmpeg would take an empty packet for the end of the stream
                continue
            self._packet_count += 1
            has_key = has_key or packet.is_keyframe  # a recording may start between two key frames: no damage
            yield from self._frames_of(packet, count_damage=has_key)
        yield from self._frames_of(None, count_damage=has_key)

    def _demux(self) -> Iterator[Packet[VideoStream]]:
        import av

        try:
            # Demuxed and decoded apart, because ``container.decode()`` ends at the first damaged packet.
            yield from self._container.demux(self._stream)
        except (av.error.FFmpegError, OSError) as error:
            self._read_error = error

    def _frames_of(
        self, packet: Packet[VideoStream] | None, *, count_damage: bool
    ) -> Iterator[tuple[VideoFrame, Integrity]]:
        """The frames that the decoder returns for ``packet`` (None: the end); damage is counted, not raised."""
        import av

        frames: list[VideoFrame] = []
        try:
            frames = self._stream.decode(packet)
        except (av.error.FFmpegError, OSError):
            self._damaged += count_damage
            self._tainted = True
        for frame in frames:
            frame.time_base = self._stream.time_base  # PyAV 18 forgets it on the frames that come out at the end
            self._damaged += frame.is_corrupt
            self._tainted = frame.is_corrupt or (self._tainted and not frame.key_frame)
            self._end_s = frame.time
            yield frame, "tainted" if self._tainted else "clean"

    def _problems(self) -> list[str]:
        problems = []
        declared, declared_s = self.frame_count, _stated_duration_s(self._stream)
        if declared and self._packet_count < declared:
            problems.append(f"ends early: {self._delivered} of {declared} frames could be read")
        elif declared_s is not None and self._end_s is not None and self._end_s < declared_s - CUT_OFF_S:
            problems.append(f"ends early: {self._end_s:.2f} of {declared_s:.2f} s could be read")
        elif self._read_error is not None:
            why = getattr(self._read_error, "strerror", None) or type(self._read_error).__name__
            problems.append(f"ends early: reading failed after {self._delivered} frames: {why}")
        if self._damaged:
            were = "was" if self._damaged == 1 else "were"
            problems.append(f"{self._damaged} of {self._packet_count} packets {were} damaged")
        return problems


def _open(path: str) -> InputContainer:
    import av

    label, is_url = redact(path), "://" in path
    if not is_url:
        _check_is_file(Path(path).expanduser(), label)
    # "file:" because FFmpeg reads the "a" of a file named "a:b.mp4" as a protocol.
    url = path if is_url else f"file:{Path(path).expanduser()}"
    try:
        container = av.open(url, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S) if is_url else None)
    except av.error.InvalidDataError as error:
        raise SourceError(f"{label}: not a video, or cut off before its index; play it elsewhere to check") from error
    except (av.error.FFmpegError, OSError) as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SourceError(f"{label}: cannot be opened: {reason}; check the path and your right to read it") from error
    if container.format.name == "tty":  # FFmpeg plays any text file as the video of a terminal
        container.close()
        raise SourceError(f"{label}: not a video but a text file; give the path of a video file")
    return container


def _check_is_file(path: Path, label: str) -> None:
    if path.is_dir():
        raise SourceError(f'{label}: a folder, not a video file; folders of images need source = "images"')
    try:
        empty = path.is_file() and path.stat().st_size == 0
        path.stat()  # ``is_file`` says False where this says why
    except FileNotFoundError as error:
        raise SourceError(f"{label}: no such file (seen from {Path.cwd()}); check the path") from error
    except OSError as error:
        raise SourceError(f"{label}: cannot be opened: {error.strerror}; check the path") from error
    if empty:
        raise SourceError(f"{label}: the file is empty (0 bytes); copy or record it again")


def _video_stream(container: InputContainer, label: str) -> VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song is no video
            stream.thread_type = "SLICE"
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "no streams"
    raise SourceError(f"{label}: holds no video ({kinds}); give a file with images")


def _stated_duration_s(stream: VideoStream) -> float | None:
    """The duration in the stream's metadata, seconds; None if it states none.

    Matroska declares no frame count, only this: ``DURATION = 00:00:02.000000000``.
    """
    with suppress(KeyError, ValueError):
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return None


def _transformed(image: Image, matrix: tuple[int, int, int, int]) -> Image:
    """Rotate and mirror by the display matrix: x' = a x + c y, y' = b x + d y (libavutil/display.h)."""
    a, b, c, d = matrix
    if abs(a) < abs(b):
        return np.swapaxes(image, 0, 1)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d), scaled by 65536; (1, 0, 0, 1) without a matrix, because only signs and ratios are used."""
    # From a tiny copy, because PyAV 18 never frees a frame whose side data was read.
    data = frame.reformat(width=16, height=16, format="gray").side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(memoryview(cast("Buffer", data)), np.int32, count=5).tolist()
    return a, b, c, d
