"""Element names and GStreamer's messages become one line with advice; everything that needs no GStreamer."""

from __future__ import annotations

import threading
from importlib.util import find_spec

import numpy as np
import pytest

from pipelines.components.cameras import add_cameras
from stream.errors import AccessDenied, MissingPackage, SourceError
from stream.runtime.pipeline import Pipeline
from stream.settings import GstreamerCamera
from stream.sources.gstreamer import errors
from stream.sources.gstreamer.description import Description
from stream.sources.gstreamer.errors import RESOURCE, STREAM, BusMessage
from stream.sources.gstreamer.images import without_padding
from stream.sources.gstreamer.parsing import package_of
from stream.sources.gstreamer.pause_watch import PauseWatch
from stream.sources.gstreamer.source import GstreamerSource

HERE = Description("rtspsrc location=rtsp://cam/x user-id=operator user-pw=hunter22 ! decodebin")


def message(domain: str, code: int, text: str, cause: str = "", element: str = "rtspsrc0") -> BusMessage:
    debug = f"../gst/rtsp/gstrtspsrc.c(6899): gst_rtspsrc_send (): /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0:\n{cause}"
    return BusMessage(element, domain, code, text, debug if cause else debug.splitlines()[0])


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (message(RESOURCE, 15, "Unauthorized", "Unauthorized (401)"), AccessDenied, "user-pw"),
        (
            message(RESOURCE, 3, "Not found", "Not Found (404)"),
            SourceError,
            "rtspsrc0: Not found (Not Found (404)); check",
        ),
        (message(RESOURCE, 4, "Device is busy"), SourceError, "another program"),
        (message(RESOURCE, 7, "Could not open.", "Failed to connect"), SourceError, "is the camera on"),
        (message(STREAM, 1, "Internal error", "reason not-negotiated (-4)"), SourceError, "agree on a format"),
        (message(STREAM, 1, "Internal error", "reason not-linked (-1)"), SourceError, "H.264 or H.265"),
        (message(STREAM, 6, "No decoder"), SourceError, "gstreamer1.0-libav"),
        (message("odd", 99, "Something", "with hunter22"), SourceError, "gst-launch-1.0"),
    ],
)
def test_a_message_becomes_one_line_with_advice(said: BusMessage, kind: type[SourceError], words: str) -> None:
    error = errors.failed(HERE, said)
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)
    assert "gstrtspsrc.c" not in str(error)
    assert "hunter22" not in str(error)
    assert str(error).startswith("rtspsrc location=rtsp://cam/x user-id=*** user-pw=*** ! ...: ")


def test_an_earlier_warning_may_name_the_cause() -> None:
    said = message(STREAM, 1, "Internal data stream error")
    assert "H.264 or H.265" in str(errors.failed(HERE, said, "rtspsrc0: Delayed linking failed"))


@pytest.mark.parametrize(
    ("element", "package"),
    [
        ("nvarguscamerasrc", "nvidia-l4t-gstreamer (Jetson only)"),
        ("nvv4l2decoder", "nvidia-l4t-gstreamer (Jetson only)"),
        ("libcamerasrc", "gstreamer1.0-libcamera"),
        ("avdec_h265", "gstreamer1.0-libav"),
        ("nvh264dec", "gstreamer1.0-plugins-bad"),
        ("vah264dec", "gstreamer1.0-plugins-bad"),
        ("vaapih264dec", "gstreamer1.0-vaapi"),
        ("srtsrc", "gstreamer1.0-plugins-bad"),
        ("rtspsrc", "gstreamer1.0-plugins-good"),
        ("v4l2src", "gstreamer1.0-plugins-good"),
        ("videoconvert", "gstreamer1.0-plugins-base"),
        ("nosuchelement", ""),
    ],
)
def test_elements_name_their_package(element: str, package: str) -> None:
    assert package_of(element) == package


def test_padding_is_left_out() -> None:
    rows = np.arange(2 * 12, dtype=np.uint8).reshape(2, 12)  # 3 pixels of 3 bytes and 3 bytes of padding
    image = without_padding(b"xx" + rows.tobytes(), height=2, width=3, stride=12, offset=2)
    assert image is not None
    assert np.array_equal(image.reshape(2, 9), rows[:, :9])
    assert image.flags.c_contiguous
    assert not image.flags.writeable


@pytest.mark.parametrize(("size", "stride", "offset"), [(23, 12, 0), (24, 8, 0), (24, 12, 4), (24, 12, -1), (0, 9, 0)])
def test_a_buffer_that_is_too_small_is_no_image(size: int, stride: int, offset: int) -> None:
    """The last row needs no padding."""
    assert without_padding(bytes(size), 2, 3, stride, offset) is None or size == 23
    assert without_padding(bytes(21), 2, 3, 12, 0) is not None
    assert without_padding(bytes(20), 2, 3, 12, 0) is None


def test_a_source_describes_itself_without_gstreamer() -> None:
    """And without secrets, because a camera is described before it is opened."""
    settings = GstreamerCamera(source="gstreamer", pipeline="srtsrc passphrase=hunter22hunter ! tsdemux")
    source = GstreamerSource(settings)
    assert source.describe() == "srtsrc passphrase=*** ! ..."
    assert (source.log_lines, source.clock_fault) == ((), "")


@pytest.mark.skipif(find_spec("gi") is not None, reason="PyGObject is installed here")
def test_without_pygobject_the_message_says_what_to_install() -> None:
    """Before anything is started, with exit status 2."""
    camera = GstreamerCamera(source="gstreamer", name="front", pipeline="videotestsrc")
    with pytest.raises(MissingPackage) as missing:
        add_cameras(Pipeline("test"), [camera])
    assert "apt-get install python3-gi" in str(missing.value)
    assert missing.value.exit_status == 2


def test_a_process_that_runs_has_no_pause() -> None:
    watch = PauseWatch("rig")
    watch.start()
    threading.Event().wait(0.15)
    assert watch.take_pause_s() < 60  # a busy machine may really have stood still
    watch.stop()
