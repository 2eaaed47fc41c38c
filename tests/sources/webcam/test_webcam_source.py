"""Webcams without a webcam: the choice of a format, times, errors, stalls; and OpenCV, which reads files, too.

A real driver with a camera that is unplugged, hangs and damages images is in tests/rigs/test_webcam_rig.py.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns, time_ns

import av
import numpy as np
import pytest

from stream.core.clock import NS_PER_S, Stamp
from stream.errors import SourceError, SourceStalled
from stream.frames import Frame, Image, Size
from stream.settings import WebcamCamera
from stream.sources.webcam import errors
from stream.sources.webcam.devices import Device, Mode, PixelFormat
from stream.sources.webcam.opencv_reader import Cv2Webcam
from stream.sources.webcam.pixel_formats import ffmpeg_name
from stream.sources.webcam.reader import CapturedImage, NegotiatedFormat
from stream.sources.webcam.source import WebcamSource, differs
from stream.sources.webcam.v4l2_reader import device_path, select_format, stamp_of

SIZE = Size(48, 64)


def colours() -> Image:
    """(48, 64, 3) uint8 BGR: eight bars of different colours."""
    bars = np.array([[c & 1, c >> 1 & 1, c >> 2 & 1] for c in range(8)], np.uint8) * 180 + 30
    return np.ascontiguousarray(np.broadcast_to(np.repeat(bars, 8, axis=0), (*SIZE, 3)))


def settings(**values: object) -> WebcamCamera:
    return WebcamCamera(source="webcam", name="desk", **{"device": "0", **values})


def images(source: WebcamSource, stopping: threading.Event | None = None) -> Iterator[Image]:
    for frame in source.frames(stopping or threading.Event()):
        yield frame.image


VGA, HD = Size(480, 640), Size(720, 1280)
GRAY = PixelFormat("GREY", "gray", (Mode(HD, (90.0,)), Mode(VGA, (90.0,))))
MJPG = PixelFormat("MJPG", "mjpeg", (Mode(HD, (30.0, 15.0)), Mode(VGA, (60.0, 30.0))))
YUYV = PixelFormat("YUYV", "yuyv422", (Mode(HD, (10.0,)), Mode(VGA, (30.0,))))
H264 = PixelFormat("H264", "", (Mode(HD, (60.0,)),))
OFFERED = (GRAY, H264, MJPG, YUYV)


@pytest.mark.parametrize(
    ("size", "fps", "chosen"),
    [
        (VGA, None, YUYV),  # enough as it is: no compression, and in colour
        (VGA, 60.0, MJPG),
        (HD, None, MJPG),  # 10 fps would be too few
        (HD, 10.0, YUYV),
        (Size(1080, 1920), None, YUYV),  # no format offers it: the driver takes the nearest size
    ],
)
def test_the_pixel_format_that_serves_size_and_rate_is_chosen(
    size: Size, fps: float | None, chosen: PixelFormat
) -> None:
    """The order is size, rate, colour, no compression; formats that cannot be read do not count."""
    assert select_format(OFFERED, None, size, fps) is chosen


@pytest.mark.parametrize("asked", ["mjpeg", "MJPG", "mjpg"])
def test_a_requested_pixel_format_is_used(asked: str) -> None:
    """It may be named by FFmpeg's name or the FourCC."""
    assert select_format(OFFERED, asked, VGA, None) is MJPG
    assert ffmpeg_name(asked) == "mjpeg"


def test_what_is_not_offered_is_not_replaced() -> None:
    """The message lists the offered formats by their names in settings."""
    assert select_format(OFFERED, "nv12", VGA, None) is None
    assert select_format((H264,), None, HD, None) is None
    refused = str(errors.unsupported_format("/dev/video0", "nv12", OFFERED))
    assert refused == 'webcam /dev/video0: does not offer pixel_format = "nv12"; it offers gray, mjpeg, yuyv422'
    assert "(H264)" in str(errors.unsupported_format("/dev/video0", None, (H264,)))


def test_a_number_is_a_device() -> None:
    """A path stays as it is, for /dev/v4l/by-id."""
    assert device_path("3") == "/dev/video3"
    assert device_path("/dev/v4l/by-id/usb-x") == "/dev/v4l/by-id/usb-x"


def test_the_drivers_time_is_the_capture_time() -> None:
    """The wall time is ours, less the age."""
    taken_ns = monotonic_ns() - NS_PER_S // 5
    stamp = stamp_of(taken_ns)
    assert (stamp.source, stamp.mono_ns) == ("device", taken_ns)
    assert stamp.unix_ns == pytest.approx(time_ns() - NS_PER_S // 5, abs=NS_PER_S)


@pytest.mark.parametrize("age_s", [6.0, 3600.0])
def test_an_old_image_stays_old(age_s: float) -> None:
    """A process that was stopped finds old images in the driver's buffers."""
    assert stamp_of(monotonic_ns() - round(age_s * NS_PER_S)).age_s() == pytest.approx(age_s, abs=1)


@pytest.mark.parametrize("age_s", [None, -1.0])
def test_an_implausible_time_is_ignored(age_s: float | None) -> None:
    """A time from the future or a missing one is replaced by the arrival."""
    before_ns = monotonic_ns()
    stamp = stamp_of(None if age_s is None else before_ns - round(age_s * NS_PER_S))
    assert stamp.source == "arrival"
    assert before_ns <= stamp.mono_ns <= monotonic_ns()


def test_a_camera_that_is_not_there_is_answered_with_those_that_are() -> None:
    """The message is one line with the path that was tried."""
    with pytest.raises(SourceError) as raised, WebcamSource(settings(device="/dev/video987")):
        pass
    message = str(raised.value)
    assert message.startswith("webcam /dev/video987: no such camera; ")
    assert "\n" not in message
    assert errors.available_cameras([Device("/dev/video0", "C920")]) == "cameras here: /dev/video0 (C920)"


def test_what_is_no_camera_is_refused() -> None:
    """A device node of another kind is no camera."""
    with (
        pytest.raises(SourceError, match="webcam /dev/null: cannot be opened: it is no camera"),
        WebcamSource(settings(device="/dev/null")),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "another program uses it; close that (fuser -v /dev/video0"),
        (errno.EACCES, "usermod -aG video"),
        (errno.ENOSPC, "the USB bus has no room"),
        (errno.EPROTO, "it does not start (protocol error); unplug it"),
    ],
)
def test_every_refusal_says_what_to_do(number: int, words: str) -> None:
    """Each error number of the system has one line."""
    message = str(errors.on_opening(OSError(number, os.strerror(number)), "/dev/video0"))
    assert words in message
    assert "\n" not in message


def test_the_end_of_a_camera_has_a_reason() -> None:
    """The camera was unplugged, or its driver gave up."""
    assert str(errors.on_reading(OSError(errno.ENODEV, ""), "/dev/video0")) == "webcam /dev/video0: it was unplugged"
    assert "the driver gave up" in str(errors.on_reading(OSError(errno.EIO, ""), "/dev/video0"))


class HungCamera:
    """A camera with ``count`` images that then hangs."""

    path, name, log_lines = "/dev/video0", "hung", ("uvcvideo: bad image, not shown",)
    negotiated = NegotiatedFormat(SIZE, 30.0, "yuyv422")

    def __init__(self, count: int) -> None:
        self._left = count
        self.closed = False
        self._never = threading.Event()

    def discard_buffered(self) -> None:
        pass

    def read(self, timeout_s: float) -> CapturedImage | None:
        if not self._left:
            self._never.wait(timeout_s)
            return None
        self._left -= 1
        return CapturedImage(colours(), Stamp.now("device"), "clean")

    def close(self) -> None:
        self.closed = True


def test_a_camera_that_hangs_is_a_stall() -> None:
    """It comes after stall_s; the images before it are delivered, the camera is closed, its last log lines are kept."""
    camera = HungCamera(3)
    seen: list[Image] = []
    source = WebcamSource(settings(stall_s=0.4, open_s=60), lambda _: camera)
    with pytest.raises(SourceStalled, match=r"/dev/video0: no image for 0\.4 s; .* raise stall_s"), source:
        seen.extend(images(source))
    assert (len(seen), camera.closed, source.log_lines) == (3, True, camera.log_lines)


def test_the_first_image_may_take_longer() -> None:
    """open_s applies instead of stall_s: a camera needs time to adjust its exposure."""
    source = WebcamSource(settings(stall_s=60, open_s=0.5), lambda _: HungCamera(0))
    with pytest.raises(SourceStalled, match=r"no image for 0\.5 s; .* raise open_s"), source:
        next(images(source))


def test_a_camera_that_hangs_does_not_hold_up_the_end() -> None:
    """``stopping`` is noticed while it waits for an image."""
    stopping = threading.Event()
    source = WebcamSource(settings(stall_s=60, open_s=60), lambda _: HungCamera(0))
    stopper = threading.Timer(0.3, stopping.set)
    with source:
        stopper.start()
        assert list(images(source, stopping)) == []  # a stall would raise
    stopper.join()


def test_the_negotiated_format_is_compared_with_the_request() -> None:
    """Only requested values count; 29.97 equals 30, and unreported values never differ."""
    given = NegotiatedFormat(VGA, 29.97, "mjpeg")
    assert not differs(settings(), given)
    assert not differs(settings(width=640, height=480, fps=30, pixel_format="MJPG"), given)
    assert not differs(settings(fps=30, pixel_format="nv12"), NegotiatedFormat(VGA, 0.0, ""))
    assert differs(settings(width=1280, height=720), given)
    assert differs(settings(fps=25), given)
    assert differs(settings(pixel_format="nv12"), given)


def test_a_difference_is_warned_of_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The line has the request, the negotiated format and where to look next."""
    with caplog.at_level(logging.WARNING), WebcamSource(settings(fps=60), lambda _: HungCamera(0)) as source:
        about = source.describe()
    assert [record.getMessage() for record in caplog.records] == [
        "camera desk: asked for 60 fps, it gives 64x48, 30 fps, yuyv422; depthstream devices lists what it can"
    ]
    assert about == "webcam /dev/video0 (hung): 64x48, 30 fps, yuyv422"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file of ten images, 64 x 48, 25 fps: OpenCV reads a file by the same calls as a camera."""
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIZE.width, SIZE.height, "yuvj422p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colours(), format="bgr24")))
        container.mux(stream.encode(None))
    return path


def test_opencv_reads_until_there_are_no_more_images(clip: Path) -> None:
    """It then raises an error, because a camera has no end."""
    source = WebcamSource(settings(device=str(clip)), Cv2Webcam)
    seen: list[Frame] = []
    with pytest.raises(SourceError, match="gives no image any more; unplug it"), source:
        seen.extend(source.frames(threading.Event()))
    assert [(frame.camera, frame.seq, frame.stamp.source) for frame in seen] == [
        ("desk", seq, "arrival") for seq in range(10)
    ]
    assert np.abs(seen[0].image[:, 3::8].astype(int) - colours()[:, 3::8]).max() < 40
    assert not seen[0].image.flags.writeable
    assert "64x48, 25 fps, mjpeg" in source.describe()


def test_opencv_has_one_reason_for_all_that_does_not_open(tmp_path: Path) -> None:
    """OpenCV reports no reason."""
    source = WebcamSource(settings(device=str(tmp_path / "no.avi")), Cv2Webcam)
    with pytest.raises(SourceError, match="cannot be opened: absent, in use, or not permitted"), source:
        pass
