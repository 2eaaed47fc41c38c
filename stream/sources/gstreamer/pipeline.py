"""One running GStreamer pipeline: starts and stops it, and hands over its newest image and its messages.

No GLib main loop runs: messages are taken from the bus by the reading thread, and images are put into a mailbox of one
by GStreamer's own thread, which notes their arrival. Starting and stopping may hang in a driver, so each is done by a
thread that may be left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import Any, NamedTuple

from stream.core.clock import NS_PER_MS
from stream.sources.gstreamer.damage import DamageWatch
from stream.sources.gstreamer.description import Description
from stream.sources.gstreamer.errors import BusMessage
from stream.sources.gstreamer.parsing import class_of, elements_of, load, parse
from stream.sources.gstreamer.rtp_times import HEADER_BYTES, RtpTimes

CLOSE_S = 1.5
"""A pipeline that takes longer to stop goes on stopping in the background."""
SAME_CLOCK_NS = 100 * NS_PER_MS
OWN_WAYS = {
    "add-reference-timestamp-meta": True,  # the camera's clock for each image (GStreamer 1.22)
    "auto-reconnect": False,  # srtsrc; a lost camera must be seen to be lost
}
"""Properties that are set on every element that has them."""


class Arrived(NamedTuple):
    """One image as it left the pipeline."""

    sample: Any
    """``Gst.Sample``."""
    arrived_ns: int
    """CLOCK_MONOTONIC, nanoseconds."""
    skipped: int
    """Number of images that it replaced before they were read."""


class GstPipeline:
    """A pipeline for one reading thread; another may start it. Making it raises SettingsError or MissingPackage."""

    def __init__(self, description: Description, name: str) -> None:
        self._gst = load().Gst
        self._name = name
        self._pipeline, self._sink = parse(description)
        self._bus = self._pipeline.get_bus()
        self._mailbox = _Mailbox()
        self.damage = DamageWatch()
        self.is_live = False
        """It has a live source, whose times are those of capture or arrival; known once it is started."""
        # Callbacks must not refer to the pipeline: GStreamer's references to them are invisible to Python's collector.
        self.rtp_times = RtpTimes()
        self._elements = _Elements(self.damage, self.rtp_times)
        self._clock = self._gst.SystemClock.obtain()
        self._pipeline.use_clock(self._clock)
        # 0 by default: both are CLOCK_MONOTONIC. Measured once, so that equal times stay equal.
        offset_ns = monotonic_ns() - int(self._clock.get_time())
        self._clock_offset_ns = offset_ns if abs(offset_ns) > SAME_CLOCK_NS else 0
        self._sink.set_property("max-buffers", 1)
        self._sink.set_property("drop", True)
        self._sink.set_property("emit-signals", True)
        self._sink.connect("new-sample", self._mailbox.on_new_sample)
        for element in elements_of(self._pipeline):
            self._elements.prepare(element)
        self._pipeline.connect("deep-element-added", self._elements.on_added)

    @property
    def is_network(self) -> bool:
        """Whether its images come over a network, as far as its elements say so."""
        return any("Network" in class_of(element) for element in elements_of(self._pipeline))

    def start(self, limit_s: float) -> bool:
        """Start it; False if an element hangs. A failure to start is among the messages."""
        return _done_within(limit_s, f"starting.{self._name}", self._start)

    def close(self) -> bool:
        """Stop it; False if an element hangs, which then stops later or never."""
        return _done_within(CLOSE_S, f"stopping.{self._name}", lambda: self._set_state("NULL"))

    def newest(self, timeout_s: float) -> Arrived | None:
        """The newest image that was not read yet; None if none came in time."""
        return self._mailbox.take(timeout_s)

    def captured_ns(self, sample: Any) -> int | None:
        """GStreamer's time of an image on CLOCK_MONOTONIC, nanoseconds; None if it has none."""
        gst, pts = self._gst, sample.get_buffer().pts
        if pts == gst.CLOCK_TIME_NONE:
            return None
        running_ns = sample.get_segment().to_running_time(gst.Format.TIME, pts)
        if running_ns == gst.CLOCK_TIME_NONE:
            return None
        return int(self._pipeline.get_base_time()) + int(running_ns) + self._clock_offset_ns

    def messages(self) -> Iterator[tuple[str, BusMessage]]:
        """What the elements have reported since the last call: ``error``, ``warning`` and ``end``."""
        kinds = self._gst.MessageType
        while (message := self._bus.pop_filtered(kinds.ERROR | kinds.WARNING | kinds.EOS)) is not None:
            element = message.src.get_name() if message.src is not None else "?"
            if message.type == kinds.EOS:
                yield "end", BusMessage(element, "", 0, "end of stream", "")
                continue
            is_error = message.type == kinds.ERROR
            error, debug = message.parse_error() if is_error else message.parse_warning()
            if element in self._elements.decoders:
                self.damage.decoder_complained()
            yield (
                "error" if is_error else "warning",
                BusMessage(element, str(error.domain), int(error.code), str(error.message), str(debug or "")),
            )

    def _start(self) -> None:
        reached = self._set_state("PAUSED")
        self.is_live = reached == self._gst.StateChangeReturn.NO_PREROLL
        # A recording is shown at its own pace; a live image is shown at once, however late it is.
        self._sink.set_property("sync", not self.is_live)
        if reached != self._gst.StateChangeReturn.FAILURE:
            self._set_state("PLAYING")

    def _set_state(self, name: str) -> Any:
        return self._pipeline.set_state(getattr(self._gst.State, name))


class _Elements:
    """Sets up each element of a pipeline, also those that are added while it runs."""

    def __init__(self, damage: DamageWatch, rtp_times: RtpTimes) -> None:
        self._gst, self._damage, self._rtp_times = load().Gst, damage, rtp_times
        self.decoders: set[str] = set()
        """Names of the video decoders."""

    def on_added(self, pipeline: Any, inside: Any, element: Any) -> None:
        """Called by any of GStreamer's threads."""
        self.prepare(element)

    def prepare(self, element: Any) -> None:
        for key, value in OWN_WAYS.items():
            if element.find_property(key) is not None:
                element.set_property(key, value)
        kind = class_of(element)
        if "Decoder" in kind and ("Video" in kind or "Image" in kind):
            self.decoders.add(element.get_name())
            self._watch(element, self._on_coded)
        elif "Depayloader" in kind:
            self._watch(element, self._on_packet)

    def _watch(self, element: Any, callback: Callable[[Any, Any], Any]) -> None:
        """Call ``callback`` in GStreamer's thread for every buffer that goes into ``element``."""
        pad, kinds = element.get_static_pad("sink"), self._gst.PadProbeType
        if pad is not None:
            pad.add_probe(kinds.BUFFER, callback)

    def _on_coded(self, pad: Any, info: Any) -> Any:
        flags, buffer = self._gst.BufferFlags, info.get_buffer()
        self._damage.coded(
            None if buffer.pts == self._gst.CLOCK_TIME_NONE else buffer.pts,
            is_delta=buffer.has_flags(flags.DELTA_UNIT),
            is_gap=buffer.has_flags(flags.DISCONT),
            is_corrupt=buffer.has_flags(flags.CORRUPTED),
        )
        return self._gst.PadProbeReturn.OK

    def _on_packet(self, pad: Any, info: Any) -> Any:
        buffer, caps = info.get_buffer(), pad.get_current_caps()
        if caps is not None and buffer.pts != self._gst.CLOCK_TIME_NONE:
            structure = caps.get_structure(0)
            is_known, clock_hz = structure.get_int("clock-rate")
            if is_known and structure.get_string("media") == "video":
                self._rtp_times.packet(int(buffer.pts), buffer.extract_dup(0, HEADER_BYTES), clock_hz)
        return self._gst.PadProbeReturn.OK


class _Mailbox:
    """Holds the newest image until it is taken."""

    def __init__(self) -> None:
        self._ok = load().Gst.FlowReturn.OK
        self._changed = threading.Condition()
        self._newest: Arrived | None = None

    def on_new_sample(self, sink: Any) -> Any:
        """Called by GStreamer's thread for every image."""
        sample = sink.pull_sample()
        if sample is not None:
            self._put(sample, monotonic_ns())
        return self._ok

    def _put(self, sample: Any, arrived_ns: int) -> None:
        with self._changed:
            skipped = self._newest.skipped + 1 if self._newest is not None else 0
            self._newest = Arrived(sample, arrived_ns, skipped)
            self._changed.notify()

    def take(self, timeout_s: float) -> Arrived | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None, timeout_s)
            newest, self._newest = self._newest, None
            return newest


def _done_within(limit_s: float, name: str, action: Callable[[], object]) -> bool:
    """Run ``action`` in a thread of its own; False if it has not returned within ``limit_s``."""
    # A daemon, because a driver may never return.
    thread = threading.Thread(target=action, name=name, daemon=True)
    thread.start()
    thread.join(limit_s)
    return not thread.is_alive()
