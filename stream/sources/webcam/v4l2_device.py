"""A Linux camera's driver (Video4Linux 2): what it offers, what it is told, and its buffers. Knows no images.

Not FFmpeg's reader of the same drivers, for three reasons found in its source (libavdevice/v4l2.c, FFmpeg 8.1). It
waits inside the driver, where no time-out reaches it: a camera that hangs could not be left. When a camera refuses to
start (a full USB bus does that) it forgets to unmap its buffers: the camera stays busy until the process ends. And its
images lie in the driver's memory, which is gone after closing.
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
"""The driver fills so many while nobody reads, and then loses images: at 30 fps, 130 ms."""

S = TypeVar("S", bound=Structure)


class Filled(NamedTuple):
    """A buffer as the driver gives it; ``data`` ends with the ``with`` block of ``taken``."""

    data: memoryview
    is_bad: bool
    """The driver says that something is wrong with it."""
    mono_ns: int | None
    """CLOCK_MONOTONIC, from the driver; None where it does not take the time by this clock."""


class VideoNode:
    """An open ``/dev/video*``; every method may raise OSError with the driver's errno. For one thread at a time."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._maps: list[mmap.mmap] = []
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def close(self) -> None:
        """Stop, unmap and close; never raises."""
        with ExitStack() as steps:
            steps.callback(os.close, self._fd)
            for mapped in self._maps:
                steps.callback(mapped.close)
            if self._maps:
                with suppress(OSError):
                    self.ask(abi.STREAMOFF, c_int(abi.CAPTURE))
        self._maps = []

    def ask(self, request: int, argument: S | c_int) -> None:
        """One request; the driver's answer is in ``argument``."""
        import fcntl

        fcntl.ioctl(self._fd, request, argument)  # a ctypes value is a writable buffer

    def capability(self) -> abi.Capability:
        answer = abi.Capability()
        self.ask(abi.QUERYCAP, answer)
        return answer

    def fourccs(self) -> Iterator[int]:
        """The codes of the pixel formats offered, in the driver's order."""
        for index in range(256):
            answer = abi.FormatDescription(index=index, type=abi.CAPTURE)
            if not self._has(abi.ENUM_FMT, answer):
                return
            yield answer.pixelformat

    def sizes(self, code: int) -> tuple[tuple[Size, ...], bool]:
        """The sizes offered with this pixel format; True: only the least and the greatest, any between may be had."""
        sizes: list[Size] = []
        for index in range(256):
            answer = abi.FrameSize(index=index, pixel_format=code)
            if not self._has(abi.ENUM_FRAMESIZES, answer):
                break
            if answer.type != abi.DISCRETE:
                ends = answer.range
                return (Size(ends.min_height, ends.min_width), Size(ends.max_height, ends.max_width)), True
            sizes.append(Size(answer.discrete.height, answer.discrete.width))
        return tuple(sizes), False

    def rates(self, code: int, size: Size) -> tuple[float, ...]:
        """Frames a second offered at this size; of a range, the ends."""
        rates: list[float] = []
        for index in range(256):
            answer = abi.FrameInterval(index=index, pixel_format=code, width=size.width, height=size.height)
            if not self._has(abi.ENUM_FRAMEINTERVALS, answer):
                break
            if answer.type != abi.DISCRETE:
                return answer.shortest.inverse, answer.longest.inverse
            rates.append(answer.shortest.inverse)
        return tuple(rates)

    def layout(self) -> abi.PixelLayout:
        """The size and pixel format in force."""
        answer = abi.Format(type=abi.CAPTURE)
        self.ask(abi.G_FMT, answer)
        return answer.pix

    def set_layout(self, code: int, size: Size) -> abi.PixelLayout:
        """Ask for this; the driver takes what is nearest to it, and says what."""
        answer = abi.Format(type=abi.CAPTURE)
        answer.pix.width, answer.pix.height, answer.pix.pixelformat = size.width, size.height, code
        self.ask(abi.S_FMT, answer)
        return answer.pix

    def rate(self, wanted_fps: float | None) -> float:
        """Ask for a rate, unless None; returns the rate in force, 0 where the driver does not know."""
        answer = abi.StreamParameters(type=abi.CAPTURE)
        if not self._has(abi.G_PARM, answer):
            return 0.0
        if wanted_fps is not None and answer.capability & abi.CAP_TIME_PER_FRAME:
            answer.time_per_frame = abi.Fraction(1000, round(wanted_fps * 1000))
            self.ask(abi.S_PARM, answer)
        return answer.time_per_frame.inverse

    def start(self) -> None:
        """Map buffers and let the driver fill them. After an error, ``close`` leaves the camera free for the next."""
        request = abi.RequestBuffers(count=BUFFERS, type=abi.CAPTURE, memory=abi.MMAP)
        self.ask(abi.REQBUFS, request)
        for index in range(request.count):
            buffer = abi.Buffer(index=index, type=abi.CAPTURE, memory=abi.MMAP)
            self.ask(abi.QUERYBUF, buffer)
            self._maps.append(mmap.mmap(self._fd, buffer.length, offset=buffer.offset))
            self.ask(abi.QBUF, buffer)
        self.ask(abi.STREAMON, c_int(abi.CAPTURE))

    def wait(self, seconds: float) -> bool:
        """True as soon as a buffer is filled or the driver has bad news (``taken`` raises it)."""
        return bool(self._poll.poll(seconds * 1000))

    @contextmanager
    def taken(self) -> Iterator[Filled | None]:
        """The oldest filled buffer, which goes back to the driver at the end; None if there is none yet."""
        buffer = abi.Buffer(type=abi.CAPTURE, memory=abi.MMAP)
        if not self._take(buffer):
            yield None
            return
        try:
            with memoryview(self._maps[buffer.index]) as whole, whole[: buffer.bytesused] as data:
                yield Filled(data, bool(buffer.flags & abi.BUFFER_ERROR), _mono_ns(buffer))
        finally:
            self.ask(abi.QBUF, buffer)

    def _take(self, buffer: abi.Buffer) -> bool:
        try:
            self.ask(abi.DQBUF, buffer)
        except BlockingIOError:
            # a driver in trouble that says so only to poll() would be asked again and again without a pause
            if any(events & (select.POLLERR | select.POLLHUP) for _, events in self._poll.poll(0)):
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from None
            return False
        return True

    def _has(self, request: int, argument: Structure) -> bool:
        """False where the list is over (EINVAL) or the driver has no such list (ENOTTY)."""
        try:
            self.ask(request, argument)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return False
            raise
        return True


def _mono_ns(buffer: abi.Buffer) -> int | None:
    if buffer.flags & abi.TIMESTAMP_MASK != abi.TIMESTAMP_MONOTONIC:
        return None
    return buffer.timestamp.tv_sec * 1_000_000_000 + buffer.timestamp.tv_usec * 1000
