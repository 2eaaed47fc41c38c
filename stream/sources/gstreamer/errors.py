"""Translates GStreamer's messages into our errors: one line with the element, its words and what to do next."""

from __future__ import annotations

from typing import NamedTuple

from stream.errors import AccessDenied, SourceBehind, SourceError, SourceStalled
from stream.sources.gstreamer.description import Description

RESOURCE, STREAM, CORE = "gst-resource-error-quark", "gst-stream-error-quark", "gst-core-error-quark"
NOT_AUTHORIZED = (RESOURCE, 15)
"""GstResourceError; rtspsrc and souphttpsrc use it for 401 and 403."""
_CREDENTIALS = "set the element's user name and password (rtspsrc and souphttpsrc: user-id=... user-pw=...)"
_ADVICE = {
    (RESOURCE, 3): "check the address, the device and the path",
    (RESOURCE, 4): "another program uses it; close that",
    (RESOURCE, 5): "is the camera on, and are the address, the port and your right to read it as they should be?",
    (RESOURCE, 7): "is the camera on, and are the address and the port right?",
    (RESOURCE, 9): "check the network and the camera",
    (STREAM, 4): "put the right demuxer and decoder into the pipeline",
    (STREAM, 5): "put the right demuxer and decoder into the pipeline",
    (STREAM, 6): "install a decoder for it: apt-get install gstreamer1.0-libav gstreamer1.0-plugins-bad",
    (CORE, 12): "a plugin is missing: apt-get install gstreamer1.0-libav gstreamer1.0-plugins-bad",
}
"""By domain and code (GstResourceError, GstStreamError, GstCoreError)."""
_NOT_LINKED = "what comes does not fit the elements: check the codec (H.264 or H.265) and the demuxer or depayloader"
_BY_WORD = {
    "not-negotiated": "the elements do not agree on a format: check the caps, and end in raw video in memory",
    "not-linked": _NOT_LINKED,
    "delayed linking failed": _NOT_LINKED,
    "reason error (-5)": "is the camera on, and is the address right?",
    "connection refused": "is the camera on, and is the port right?",
}


class BusMessage(NamedTuple):
    """An error or a warning of one element."""

    element: str
    """The element's name, such as ``rtspsrc0``."""
    domain: str
    code: int
    text: str
    """GStreamer's words, often general; not yet free of secrets."""
    debug: str
    """For developers: file and function, the element's path, and, mostly in the last line, the cause."""

    def line(self, description: Description) -> str:
        """Element, words and cause in one line without secrets."""
        words, cause = self.text.strip().rstrip("."), self._cause()
        return description.scrub(f"{self.element}: {words}{f' ({cause})' if cause and cause not in words else ''}")

    def _cause(self) -> str:
        last = self.debug.strip().splitlines()[-1:]
        # The first line is the place in GStreamer's source.
        return last[0].strip().rstrip(".") if last and "\n" in self.debug.strip() else ""


def failed(description: Description, message: BusMessage, warnings: str = "") -> SourceError:
    """The error for an element's error; ``warnings``: the lines of those before it, which may name the cause."""
    line = message.line(description)
    if (message.domain, message.code) == NOT_AUTHORIZED:
        return AccessDenied(f"{description.label}: the camera refused the access: {line}; {_CREDENTIALS}")
    words = f"{warnings} {line}".lower()
    by_word = next((advice for word, advice in _BY_WORD.items() if word in words), "")
    advice = by_word or _ADVICE.get((message.domain, message.code), "try the pipeline with gst-launch-1.0")
    return SourceError(f"{description.label}: {line}; {advice}")


def ended(description: Description) -> SourceError:
    """The error for the end of a stream that should go on for ever."""
    return SourceError(f"{description.label}: the stream ended; the camera may have restarted: connect again")


def does_not_start(description: Description, limit_s: float) -> SourceStalled:
    """The error for elements that do not return from being started."""
    return SourceStalled(
        f"{description.label}: does not start within {limit_s:g} s (open_s): an element hangs; "
        "try the pipeline with gst-launch-1.0"
    )


def stalled(description: Description, limit_s: float, setting: str, warning: str) -> SourceStalled:
    """The error for no image within ``limit_s``; ``setting`` names that limit."""
    said = f"; last warning: {warning}" if warning else ""
    advice = f"check the camera, or raise {setting} if it is slow by nature"
    return SourceStalled(f"{description.label}: no image for {limit_s:g} s{said}; {advice}")


def behind(description: Description, lag_s: float) -> SourceBehind:
    """The error for images that come later and later."""
    return SourceBehind(
        f"{description.label}: images come {lag_s:.1f} s later than at first; the network or this machine is slower "
        "than the camera: lower its rate or its size, or decode on the GPU"
    )


def paused(description: Description, paused_s: float) -> SourceBehind:
    """The error for a process that was stopped, after which GStreamer dates old images as new."""
    return SourceBehind(
        f"{description.label}: this process stood still for {paused_s:.1f} s, and the images that waited meanwhile "
        "have no time of their own: connect again"
    )


def slept(description: Description, slept_s: float) -> SourceBehind:
    """The error after a suspended machine: what was under way is too old."""
    return SourceBehind(f"{description.label}: this machine slept for {slept_s:.1f} s: connect again for a new image")


def unsuitable(description: Description, what: str) -> SourceError:
    """The error for images that the appsink of the description delivers and that are not BGR in memory."""
    return SourceError(
        f"{description.label}: its appsink gets {what}; end the description in videoconvert ! "
        "video/x-raw,format=BGR ! appsink, or leave the appsink out"
    )
