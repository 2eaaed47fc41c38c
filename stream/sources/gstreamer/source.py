"""Cameras that GStreamer reads: CSI cameras of Jetson and Raspberry Pi, SRT, hardware decoders."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

from stream.core.clock import NS_PER_S, Deadline, slept_ns
from stream.frames import NOT_DECODED, Dropped, Frame, Integrity, Size
from stream.settings import GstreamerCamera
from stream.sources.gstreamer import errors
from stream.sources.gstreamer.description import Description
from stream.sources.gstreamer.image_clock import ImageClock, ImageTimes
from stream.sources.gstreamer.images import bgr_of, unsuitable_caps
from stream.sources.gstreamer.parsing import load
from stream.sources.gstreamer.pause_watch import PauseWatch
from stream.sources.gstreamer.pipeline import Arrived, GstPipeline

log = logging.getLogger(__name__)

TICK_S = 0.1
"""How often a reader that waits for an image looks at the messages and at ``stopping``."""
SLEPT_S = 0.5
"""After a longer sleep of the machine, what was under way is too old."""
KEPT_LINES = 10
NTP_TO_UNIX_NS = 2_208_988_800 * NS_PER_S
"""From 1900 to 1970 (RFC 5905, figure 4)."""


class GstreamerSource:
    """One run of a pipeline; it never reconnects by itself (``stream.sources.reconnect`` does).

    One thread reads and closes it; another may open it. Entering raises SettingsError for a description that cannot be,
    MissingPackage without GStreamer, and SourceStalled for an element that hangs. Only the newest image is kept.
    """

    def __init__(self, settings: GstreamerCamera) -> None:
        self._settings, self._description = settings, Description(settings.pipeline)
        self._pipeline: GstPipeline | None = None
        self._pauses = PauseWatch(settings.name)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._clock: ImageClock | None = None
        self._slept_ns = slept_ns()
        self._facts = ""

    def __enter__(self) -> Self:
        self._pipeline = pipeline = GstPipeline(self._description, self._settings.name)
        if not pipeline.start(self._settings.open_s):
            self._close()
            raise errors.does_not_start(self._description, self._settings.open_s)
        self._pauses, self._slept_ns = PauseWatch(self._settings.name), slept_ns()
        self._pauses.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pauses.stop()
        self._close()

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last errors and warnings of the elements, at most ten, without passwords; kept after closing."""
        return tuple(self._lines)

    @property
    def clock_fault(self) -> str:
        """Why ages count from the arrival, a few words after "its clock"; empty if they do not."""
        return self._clock.fault if self._clock is not None else ""

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        """Frames until soon after ``stopping`` is set. Images that newer ones replaced are Dropped, without pixels.

        Raises SourceStalled when no image came for ``stall_s`` (before the first image: ``open_s``), SourceBehind when
        images come later and later, AccessDenied for a refused password, and SourceError when an element fails or the
        stream ends.
        """
        pipeline = self._pipeline
        assert pipeline is not None, "frames() outside of the with block"
        # Network elements date data on arrival; a recording has no capture times.
        self._clock = clock = ImageClock("arrival" if pipeline.is_network or not pipeline.is_live else "device")
        seq = 0
        while (arrived := self._next(pipeline, clock, stopping, is_first=seq == 0)) is not None:
            frame = self._frame(pipeline, clock, arrived, seq + arrived.skipped)
            if clock.is_behind():
                raise errors.behind(self._description, clock.lag_s)
            for skipped in range(seq, frame.seq):
                yield Dropped((replace(frame, image=NOT_DECODED, seq=skipped),), "behind")
            seq = frame.seq + 1
            yield frame

    def describe(self) -> str:
        return f"{self._description.label}{f': {self._facts}' if self._facts else ''}"

    def _next(
        self, pipeline: GstPipeline, clock: ImageClock, stopping: threading.Event, *, is_first: bool
    ) -> Arrived | None:
        """The next image; None when ``stopping`` is set."""
        limit_s, setting = (self._settings.open_s, "open_s") if is_first else (self._settings.stall_s, "stall_s")
        deadline = Deadline.after(limit_s)
        while not stopping.is_set():
            arrived = pipeline.newest(TICK_S)
            self._check_messages(pipeline)  # after taking the image, which a decoder's complaint precedes
            if self._stood_still(pipeline, clock):
                deadline = Deadline.after(limit_s)  # the camera could not have been heard
            if arrived is not None:
                return arrived
            if deadline.passed:
                last = self._lines[-1] if self._lines else ""
                raise errors.stalled(self._description, limit_s, setting, last)
        return None

    def _stood_still(self, pipeline: GstPipeline, clock: ImageClock) -> bool:
        """Whether this process has just stood still. Raises SourceBehind where images from before cannot be dated."""
        slept_s = (slept_ns() - self._slept_ns) / NS_PER_S
        if slept_s > SLEPT_S:
            raise errors.slept(self._description, slept_s)
        paused_s = self._pauses.take_pause_s()
        if paused_s and pipeline.is_network and not clock.has_witness:
            raise errors.paused(self._description, paused_s)
        return bool(paused_s)

    def _check_messages(self, pipeline: GstPipeline) -> None:
        for kind, message in pipeline.messages():
            if kind == "end":
                raise errors.ended(self._description)
            earlier = " ".join(self._lines)
            self._lines.append(message.line(self._description))
            if kind == "error":
                raise errors.failed(self._description, message, earlier)

    def _frame(self, pipeline: GstPipeline, clock: ImageClock, arrived: Arrived, seq: int) -> Frame:
        buffer, caps = arrived.sample.get_buffer(), arrived.sample.get_caps()
        if what := unsuitable_caps(caps):
            raise errors.unsuitable(self._description, what)
        image = bgr_of(buffer, caps)
        if image is None:
            raise errors.unsuitable(self._description, "images with less data than their caps say")
        self._facts = _facts_of(Size(*image.shape[:2]), caps)
        pts = None if buffer.pts == load().Gst.CLOCK_TIME_NONE else int(buffer.pts)
        pts_ns = pipeline.captured_ns(arrived.sample) if pipeline.is_live else None
        times = ImageTimes(arrived.arrived_ns, pts_ns, pipeline.rtp_times.media_ns(pts), _camera_ns(buffer))
        is_damaged = buffer.has_flags(load().Gst.BufferFlags.CORRUPTED) or pipeline.damage.is_damaged(pts)
        integrity: Integrity = "tainted" if is_damaged else "clean"
        return Frame(image, self._settings.name, seq, clock.stamp(times), integrity=integrity)

    def _close(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None and not pipeline.close():
            log.warning("camera %s: %s does not stop; it is left behind", self._settings.name, self._description.label)


def _camera_ns(buffer: Any) -> int | None:
    """The camera's own clock for an image, nanoseconds since 1970; None if no sender report has come."""
    reference = buffer.get_reference_timestamp_meta(None)
    if reference is None or reference.reference.to_string() != "timestamp/x-ntp":
        return None
    return int(reference.timestamp) - NTP_TO_UNIX_NS


def _facts_of(size: Size, caps: Any) -> str:
    known, numerator, denominator = caps.get_structure(0).get_fraction("framerate")
    rate = f", {numerator / denominator:.3g} fps" if known and numerator and denominator else ""
    return f"{size}{rate}"
