"""The driver of a Linux camera (Video4Linux 2): its formats, its settings and its buffers, without decoding.

FFmpeg's reader of the same drivers is not used, for three reasons found in its source (libavdevice/v4l2.c, FFmpeg 8.1).
It waits inside the driver without a time-out, so a camera that hangs could not be abandoned. When a camera refuses to
start (because the USB bus is full, for instance) it does not unmap its buffers, and the camera stays busy until the
process ends. And its images are in the driver's memory, which is gone after closing.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ctypes import Structure, c_int
from typing import NamedTuple, TypeVar

from stream.frames import Size
from stream.sources.webcam import v4l2_abi as abi

BUFFERS = 4
"""The driver fills this many buffers without a read, then loses images: 130 ms at 30 fps."""

S = TypeVar("S", bound=Structure)


class FilledBuffer(NamedTuple):
    """A buffer that the driver has filled."""

    data: memoryview
    """The bytes of the image; valid only inside the ``with`` block of ``dequeued``."""
    is_bad: bool
    """The driver marked the data as damaged."""
    mono_ns: int | None
    """Time of capture by the driver, CLOCK_MONOTONIC, nanoseconds; None if the driver uses another clock."""


class VideoNode:
    """An open ``/dev/video*``, for one thread at a time. Methods raise OSError with the driver's errno."""

    def __init__(self, path: str) -> None:
        # Non-blocking, so that only poll() waits, which has a time-out.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._maps: list[mmap.mmap] = []
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def close(self) -> None:
        """Stop, unmap and close; an error while stopping is ignored."""
        # Steps run last to first: a buffer that is still mapped keeps the camera busy after closing.
        with ExitStack() as steps:
            steps.callback(os.close, self._fd)
            for mapped in self._maps:
                steps.callback(mapped.close)
            if self._maps:
                with suppress(OSError):  # an unplugged camera answers ENODEV
                    self.ioctl(abi.STREAMOFF, c_int(abi.CAPTURE))
        self._maps = []

    def ioctl(self, request: int, argument: S | c_int) -> None:
        """Send one request; the driver writes its answer into ``argument``."""
        import fcntl

        fcntl.ioctl(self._fd, request, argument)  # a ctypes value is a writable buffer

    def capability(self) -> abi.Capability:
        answer = abi.Capability()
        self.ioctl(abi.QUERYCAP, answer)
        return answer

    def fourccs(self) -> Iterator[int]:
        """The codes of the offered pixel formats, in the driver's order."""
        for index in range(256):
            answer = abi.FormatDescription(index=index, type=abi.CAPTURE)
            if not self._try_ioctl(abi.ENUM_FMT, answer):
                return
            yield answer.pixelformat

    def sizes(self, code: int) -> tuple[tuple[Size, ...], bool]:
        """The sizes offered with this pixel format, and whether they are a range.

        Of a range, the smallest and the largest size are returned, and any between them is offered.
        """
        sizes: list[Size] = []
        for index in range(256):
            answer = abi.FrameSize(index=index, pixel_format=code)
            if not self._try_ioctl(abi.ENUM_FRAMESIZES, answer):
                break
            if answer.type != abi.DISCRETE:
                ends = answer.range
                return (Size(ends.min_height, ends.min_width), Size(ends.max_height, ends.max_width)), True
            sizes.append(Size(answer.discrete.height, answer.discrete.width))
        return tuple(sizes), False

    def rates(self, code: int, size: Size) -> tuple[float, ...]:
        """The offered frames per second at this size; of a range, its ends."""
        rates: list[float] = []
        for index in range(256):
            answer = abi.FrameInterval(index=index, pixel_format=code, width=size.width, height=size.height)
            if not self._try_ioctl(abi.ENUM_FRAMEINTERVALS, answer):
                break
            if answer.type != abi.DISCRETE:
                return answer.shortest.inverse, answer.longest.inverse
            rates.append(answer.shortest.inverse)
        return tuple(rates)

    def layout(self) -> abi.PixelLayout:
        """The current size and pixel format."""
        answer = abi.Format(type=abi.CAPTURE)
        self.ioctl(abi.G_FMT, answer)
        return answer.pix

    def set_layout(self, code: int, size: Size) -> abi.PixelLayout:
        """Request a pixel format and size; returns the nearest one, which the driver has chosen."""
        answer = abi.Format(type=abi.CAPTURE)
        answer.pix.width, answer.pix.height, answer.pix.pixelformat = size.width, size.height, code
        self.ioctl(abi.S_FMT, answer)
        return answer.pix

    def set_rate(self, fps: float | None) -> float:
        """Request a rate, unless None; returns the current one, frames per second, 0 if the driver has none."""
        answer = abi.StreamParameters(type=abi.CAPTURE)
        if not self._try_ioctl(abi.G_PARM, answer):
            return 0.0
        if fps is not None and answer.capability & abi.CAP_TIME_PER_FRAME:
            answer.time_per_frame = abi.Fraction(1000, round(fps * 1000))  # seconds per frame
            self.ioctl(abi.S_PARM, answer)
        return answer.time_per_frame.inverse

    def start(self) -> None:
        """Map the buffers and start the stream. After an error, ``close`` leaves the camera free for other programs."""
        request = abi.RequestBuffers(count=BUFFERS, type=abi.CAPTURE, memory=abi.MMAP)
        self.ioctl(abi.REQBUFS, request)
        for index in range(request.count):  # the driver may grant another number than BUFFERS
            buffer = abi.Buffer(index=index, type=abi.CAPTURE, memory=abi.MMAP)
            self.ioctl(abi.QUERYBUF, buffer)
            self._maps.append(mmap.mmap(self._fd, buffer.length, offset=buffer.offset))
            self.ioctl(abi.QBUF, buffer)
        self.ioctl(abi.STREAMON, c_int(abi.CAPTURE))

    def wait(self, timeout_s: float) -> bool:
        """True as soon as a buffer is filled or the driver reports an error, which ``dequeued`` then raises."""
        return bool(self._poll.poll(timeout_s * 1000))

    @contextmanager
    def dequeued(self) -> Iterator[FilledBuffer | None]:
        """The oldest filled buffer, which returns to the driver at the end of the block; None if none is filled."""
        buffer = abi.Buffer(type=abi.CAPTURE, memory=abi.MMAP)
        if not self._dequeue(buffer):
            yield None
            return
        try:
            # A JPEG image fills only a part of its buffer. The views end here: mmap cannot close while one exists.
            with memoryview(self._maps[buffer.index]) as whole, whole[: buffer.bytesused] as data:
                yield FilledBuffer(data, bool(buffer.flags & abi.BUFFER_ERROR), _mono_ns(buffer))
        finally:
            self.ioctl(abi.QBUF, buffer)

    def _dequeue(self, buffer: abi.Buffer) -> bool:
        try:
            self.ioctl(abi.DQBUF, buffer)
        except BlockingIOError:
            # Some drivers report an error only to poll(): without this check the caller would spin without a pause.
            if any(events & (select.POLLERR | select.POLLHUP) for _, events in self._poll.poll(0)):
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from None
            return False
        return True

    def _try_ioctl(self, request: int, argument: Structure) -> bool:
        """Send a request; False at the end of a list (EINVAL) or if the driver has no such list (ENOTTY, ENODATA)."""
        try:
            self.ioctl(request, argument)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return False
            raise
        return True


def _mono_ns(buffer: abi.Buffer) -> int | None:
    if buffer.flags & abi.TIMESTAMP_MASK != abi.TIMESTAMP_MONOTONIC:
        return None
    return buffer.timestamp.tv_sec * 1_000_000_000 + buffer.timestamp.tv_usec * 1000
