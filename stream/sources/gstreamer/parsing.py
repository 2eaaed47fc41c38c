"""Loads GStreamer and turns a description into its elements; nothing is started here."""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from stream.core.optional import install_command
from stream.errors import MissingPackage, SettingsError
from stream.sources.gstreamer.description import Description

if TYPE_CHECKING:
    from stream.settings import GstreamerCamera

TYPELIBS = {"GLib": "2.0", "Gst": "1.0", "GstApp": "1.0", "GstVideo": "1.0"}
PACKAGES = (
    (r"nv(?:arguscamerasrc|v4l2\w+|vidconv|videoconvert|jpegdec|v4l2camerasrc)", "nvidia-l4t-gstreamer (Jetson only)"),
    (r"libcamerasrc", "gstreamer1.0-libcamera"),
    (r"avdec_\w+", "gstreamer1.0-libav"),
    (r"vaapi\w+", "gstreamer1.0-vaapi"),
    (r"x264enc", "gstreamer1.0-plugins-ugly"),
    (r"nv\w+dec|va\w+|srt\w+|openh264\w+|\w+parse|tsdemux|rtmp2?src|webrtc\w+", "gstreamer1.0-plugins-bad"),
    (
        r"rtsp\w+|rtp\w+|v4l2\w+|udpsrc|soup\w+|multi\w+|jpeg\w+|matroska\w+|qt\w+|vp[89]dec",
        "gstreamer1.0-plugins-good",
    ),
    (r"app\w+|video\w+|audio\w+|decodebin3?|uridecodebin3?|tcp\w+", "gstreamer1.0-plugins-base"),
)
"""Debian's packages by their elements' names; the first pattern that matches counts."""
_SYNTAX, _NO_ELEMENT, _NO_PROPERTY, _LINK, _NOT_SET = range(5)
"""Codes of ``gst_parse_error`` (GstParseError)."""
_ADVICE = {
    _SYNTAX: 'write it as for gst-launch-1.0, with " ! " between the elements and without the name of the program',
    _NO_PROPERTY: "gst-inspect-1.0 ELEMENT lists those that it has",
    _LINK: "leave out the sink at the end, and end in raw video: gst-inspect-1.0 ELEMENT lists what it gives",
    _NOT_SET: "gst-inspect-1.0 ELEMENT lists the values that it takes",
}


@cache
def load() -> Any:
    """The modules ``GLib``, ``Gst``, ``GstApp`` and ``GstVideo``, ready for use. Raises MissingPackage."""
    try:
        gi = import_module("gi")  # not "import gi", which has no types
        for name, version in TYPELIBS.items():
            gi.require_version(name, version)
        modules = SimpleNamespace(**{name: import_module(f"gi.repository.{name}") for name in TYPELIBS})
    except ImportError as error:
        raise MissingPackage(
            'source = "gstreamer" needs PyGObject: apt-get install python3-gi, and a virtual environment made with '
            f"python3 -m venv --system-site-packages; or {install_command('gstreamer')} (docs/how-to/gstreamer.md)"
        ) from error
    except ValueError as error:  # PyGObject is there, GStreamer's descriptions of its interfaces are not
        raise MissingPackage(
            f'source = "gstreamer" needs GStreamer ({error}): apt-get install gir1.2-gst-plugins-base-1.0 '
            "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"
        ) from error
    _agree_on_an_unwinder()
    if not modules.Gst.is_initialized():
        modules.Gst.init(None)
    return modules


def _agree_on_an_unwinder() -> None:
    """Make plugins written in C++ take the stack unwinder that this process has already.

    On Debian they find half of another one (libunwind, through libgstreamer) and crash the process with their first
    exception: srtsrc whenever it was stopped while it connected, after NumPy had been imported.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)


def check_description(camera: GstreamerCamera) -> None:
    """Raise SettingsError for a pipeline that can never run here, MissingPackage where GStreamer is not installed."""
    parse(Description(camera.pipeline), f'[cameras] camera "{camera.name}": ')


def parse(description: Description, where: str = "") -> tuple[Any, Any]:
    """The pipeline and its appsink. Raises SettingsError, whose message begins with ``where``."""
    gst = load().Gst
    try:
        pipeline = gst.parse_launch(description.full)
    except load().GLib.Error as error:
        raise SettingsError(where + _refusal(description, str(error.message), int(error.code))) from None
    sinks = [each for each in elements_of(pipeline) if factory_of(each) == "appsink"]
    if len(sinks) != 1:
        raise SettingsError(f"{where}pipeline {description.label}: must have one appsink, not {len(sinks)}")
    return pipeline, sinks[0]


def elements_of(pipeline: Any) -> list[Any]:
    """All elements, those inside of bins included, as far as they exist yet."""
    found: list[Any] = []
    pipeline.iterate_recurse().foreach(found.append)
    return found


def factory_of(element: Any) -> str:
    """The name of the element's kind, such as ``rtspsrc``; empty for a bin that was put together by hand."""
    factory = element.get_factory() if hasattr(element, "get_factory") else None
    return str(factory.get_name()) if factory is not None else ""


def class_of(element: Any) -> str:
    """What the element does, in GStreamer's words: ``Source/Network``, ``Codec/Decoder/Video``."""
    factory = element.get_factory()
    return str(factory.get_metadata("klass")) if factory is not None else ""


def package_of(element: str) -> str:
    """The Debian package with an element, as far as known; else empty.

    >>> package_of("libcamerasrc")
    'gstreamer1.0-libcamera'
    """
    return next((package for pattern, package in PACKAGES if re.fullmatch(pattern, element)), "")


def _refusal(description: Description, message: str, code: int) -> str:
    why = description.scrub(message)
    if code == _NO_ELEMENT:
        element = (re.search(r'"([^"]*)"', message) or ["", ""])[1]
        package = package_of(element)
        advice = f"apt-get install {package}" if package else "gst-inspect-1.0 lists the elements of this machine"
    else:
        advice = _ADVICE.get(code, "try it with gst-launch-1.0")
    return f"pipeline {description.label}: {why}; {advice}"
