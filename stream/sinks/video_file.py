"""H.264 video files that are complete under their final name and playable at every moment before.

A file is written as ``name.part.mp4`` in fragments (FFmpeg's ``hybrid_fragmented``: a crash or a full disk leaves a
playable file), turned into an ordinary mp4 at the end and only then renamed.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from stream.core.clock import NS_PER_S, Stamp
from stream.errors import SinkError
from stream.frames import Image, Size, View
from stream.settings import RecordSettings
from stream.sinks.base import finish_all

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

TICKS_PER_S = 90_000
"""The time base of our time stamps; frame periods at 25, 29.97 and 30 fps are whole numbers of ticks."""
KEY_FRAME_S = 2.0
"""Seconds between key frames. A fragment ends at each, so a crash loses no more than this."""
BT709 = 1
"""Colour space, primaries and transfer of HD video (ITU-T H.273). Used and tagged at every size, because players of an
untagged file guess BT.601 below 720 lines and BT.709 above."""
LIMITED_RANGE = 1


class Recorder:
    """Writes each camera's views to its own file; ``{camera}`` in the path stands for the camera's name.

    Time stamps start at 0 with the first frame. With ``time_stamps = "source"`` they keep the intervals of capture, and
    dropped frames leave a gap. Odd sides are padded by repeating the edge. ``metadata`` are the mp4's tags (title,
    comment, ...). Leaving the ``with`` block finishes the files, also after an error or an interrupt; without frames no
    file is made. A camera that is released and comes again gets a file of its own (``name-2.mp4``).
    """

    def __init__(self, settings: RecordSettings, *, metadata: Mapping[str, str] | None = None) -> None:
        self._settings, self._metadata = settings, dict(metadata or {})
        self._files: dict[str, _Mp4] = {}
        self._has_released = False
        self._lock = threading.Lock()
        """``release`` is called by another thread than ``write``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Finish all files. Raises the first SinkError, unless an exception is already propagating."""
        finish_all(self._files.values(), exc_info[0])

    def write(self, item: View) -> None:
        """Encode one view into its camera's file.

        Raises SinkError for a full disk, a folder without write permission, a changed image size, and for a second
        camera with the same path.
        """
        frame = item.depth_map.frame
        with self._lock:
            if frame.camera not in self._files:
                self._files[frame.camera] = self._new_file(frame.camera, Size(*item.image.shape[:2]))
            self._files[frame.camera].write(item.image, frame.stamp)

    def release(self, camera: str) -> None:
        """Finish the camera's file. Raises SinkError if that fails."""
        with self._lock:
            self._has_released = True
            if file := self._files.pop(camera, None):
                file.finish()

    def _new_file(self, camera: str, size: Size) -> _Mp4:
        path = recording_path(self._settings.path, camera)
        if self._has_released:  # what was recorded in this run must not be overwritten by the same run
            path = unused_path(path)
        for other, file in self._files.items():
            if file.path == path:
                raise SinkError(
                    f'{path}: cameras "{other}" and "{camera}" would share one file; put {{camera}} into the path'
                )
        return _Mp4(path, size, self._settings, self._metadata)


def recording_path(template: str, camera: str) -> Path:
    """Replace ``{camera}`` in ``template`` by the camera's name, without slashes, and ~ by the home folder."""
    return Path(template.replace("{camera}", camera.replace("/", "_"))).expanduser()


def unused_path(path: Path) -> Path:
    """``path``, or the first of ``name-2.mp4``, ``name-3.mp4``, ... that does not exist yet."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


class _Mp4:
    """One camera's file: opened with its first frame, named ``.part.mp4`` until it is finished."""

    def __init__(self, path: Path, size: Size, settings: RecordSettings, metadata: Mapping[str, str]) -> None:
        self.path, self._part = path, path.with_name(f"{path.stem}.part.mp4")
        self._size, self._settings = size, settings
        self._clock = _TickClock(settings)
        self._written = 0
        self._container: OutputContainer | None = None
        self._open(metadata)

    def write(self, image: Image, stamp: Stamp) -> None:
        if self._container is None:
            raise SinkError(f"{self.path}: the recording has already ended after an error; start a new one")
        size = Size(*image.shape[:2])
        if size != self._size:
            self.finish()
            raise SinkError(
                f"{self.path}: size changed from {self._size} to {size} at frame {self._written}: an mp4 has one size; "
                f"the {self._written} frames before are in the file; record the rest to another one"
            )
        self._encode(image, self._clock.ticks(stamp))
        self._written += 1

    def finish(self) -> None:
        """Write the index and give the file its final name. Idempotent."""
        import av

        container, self._container = self._container, None
        if container is None:
            return
        if self._written == 0:
            _close_quietly(container)
            self._part.unlink(missing_ok=True)
            return
        try:
            container.mux(self._stream.encode(None))
            container.close()
            os.replace(self._part, self.path)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error, container) from error

    def _open(self, metadata: Mapping[str, str]) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self._scaler = VideoReformatter()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # FFmpeg would open the file with its first packet, which libx264 gives out some 40 frames late.
            self._part.write_bytes(b"")
            # use_metadata_tags: without it the muxer drops tags that mp4 does not define.
            options = {"movflags": "hybrid_fragmented+use_metadata_tags"}
            # "file:", because FFmpeg takes a name with a colon in it for an address.
            self._container = av.open(f"file:{self._part}", "w", format="mp4", options=options)
            self._container.metadata.update(metadata)
            self._stream = self._new_stream(self._container)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error, self._container) from error

    def _new_stream(self, container: OutputContainer) -> VideoStream:
        settings = self._settings
        rate = Fraction(settings.fps).limit_denominator(1001)  # NTSC rates are multiples of 1/1001
        key_frames = str(max(1, round(KEY_FRAME_S * settings.fps)))
        # No B-frames: a fragmented mp4 has no edit list, so their delay would shift every time stamp.
        options = {"crf": str(settings.crf), "preset": settings.preset, "g": key_frames, "bf": "0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS_PER_S)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        return stream

    def _encode(self, image: Image, ticks: int) -> None:
        import av

        assert self._container is not None
        frame = av.VideoFrame.from_ndarray(_padded_to_even(image), format="bgr24")
        frame = self._scaler.reformat(
            frame, format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED_RANGE, threads=1
        )
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS_PER_S)
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            container, self._container = self._container, None
            raise self._failure(error, container) from error

    def _failure(self, error: Exception, container: OutputContainer | None) -> SinkError:
        """Build the error. The part is kept if it can be played, else it is removed."""
        if container is not None:
            _close_quietly(container)
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if _is_playable(self._part):
            left = f"what was recorded before can be played: {self._part}"
        else:
            left = "nothing of it is left"
            with suppress(OSError):
                self._part.unlink()
        return SinkError(f"{self.path}: cannot be written: {reason}; {left}; {_advice(error)}")


class _TickClock:
    """Converts stamps to ticks of TICKS_PER_S, starting at 0 and strictly increasing."""

    def __init__(self, settings: RecordSettings) -> None:
        self._constant = settings.time_stamps == "constant"
        self._period = TICKS_PER_S / settings.fps
        self._count = 0
        self._last = -1
        self._first: Stamp | None = None

    def ticks(self, stamp: Stamp) -> int:
        first = self._first = self._first or stamp
        ticks = round(self._count * self._period if self._constant else TICKS_PER_S * _seconds_since(first, stamp))
        self._count += 1
        self._last = max(ticks, self._last + 1)  # an mp4 takes no equal or falling times
        return self._last


def _seconds_since(first: Stamp, stamp: Stamp) -> float:
    if first.media_s is not None and stamp.media_s is not None:
        return stamp.media_s - first.media_s
    return (stamp.mono_ns - first.mono_ns) / NS_PER_S


def _padded_to_even(image: Image) -> Image:
    """Pad to even sides, because yuv420p has one colour sample for 2 x 2 pixels."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)


def _close_quietly(container: OutputContainer) -> None:
    import av

    with suppress(av.error.FFmpegError, OSError):
        container.close()


def _is_playable(path: Path) -> bool:
    import av

    try:
        with av.open(f"file:{path}") as container:
            return next(container.decode(video=0), None) is not None
    except (av.error.FFmpegError, OSError, IndexError):  # IndexError: no video stream
        return False


def _advice(error: Exception) -> str:
    full = getattr(error, "errno", None) in {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}
    return "free some space and record again" if full else "choose a folder that you may write to"
