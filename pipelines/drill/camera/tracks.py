"""The tracks of a session: video from a feed, and what cameras send beside it."""

from __future__ import annotations

from pipelines.drill.camera.clip import AccessUnit
from pipelines.drill.camera.feed import Feed
from pipelines.drill.camera.rtp import CLOCK_HZ, CameraClock, RtpStream
from pipelines.drill.camera.sdp import AUDIO_HZ, AUDIO_TYPE, METADATA_TYPE, PAYLOAD_TYPES, Side
from pipelines.drill.camera.transport import Transport

SOUND = b"\xff" * 160
SOUND_S = len(SOUND) / AUDIO_HZ
METADATA = b'<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"/>'
METADATA_EVERY_S = 0.2


class VideoTrack:
    """A viewer of a feed that sends what it sees.

    ``report_every_s`` None: no sender reports; else one before the first image and one after every jump of the clock.
    """

    def __init__(self, feed: Feed, transport: Transport, clock: CameraClock, report_every_s: float | None) -> None:
        self.transport = transport
        self.sides: list[SideTrack] = []
        """Tracks that are sent in step with this one."""
        self._feed, self._clock, self._report_every_s = feed, clock, report_every_s
        self._stream = RtpStream(PAYLOAD_TYPES[feed.clip.codec], feed.mount.rtp_clock)
        self._waits_for_keyframe = True
        self._reported_s = float("-inf")
        self._jumps = clock.jumps

    def play(self, url: str) -> str:
        """Start; returns the value of ``RTP-Info``."""
        self.pause()
        self._waits_for_keyframe = True
        first_due_s = self._feed.join(self)
        return f"url={url};seq={self._stream.next_seq};rtptime={self._stream.ticks(first_due_s)}"

    def pause(self) -> None:
        self._feed.leave(self)

    def tick(self, due_s: float) -> None:
        for side in self.sides:
            side.advance(due_s)

    def takes(self, unit: AccessUnit) -> bool:
        self._waits_for_keyframe = self.transport.full or (self._waits_for_keyframe and not unit.keyframe)
        return not self._waits_for_keyframe

    def deliver(self, payloads: list[bytes | None], due_s: float) -> None:
        self._report(due_s)
        packets = []
        for place, payload in enumerate(payloads, 1):
            if payload is None:
                self._stream.skip()
            else:
                packets.append(self._stream.packet(payload, due_s, last=place == len(payloads)))
        self.transport.send(packets)

    def _report(self, due_s: float) -> None:
        every_s, jumps = self._report_every_s, self._clock.jumps
        if every_s is None or (due_s - self._reported_s < every_s and jumps == self._jumps):
            return
        self._reported_s, self._jumps = due_s, jumps
        self.transport.send_report(self._stream.report(due_s, self._clock.unix_s(due_s)))


class SideTrack:
    """Sound or metadata, which no test looks at."""

    def __init__(self, kind: Side, transport: Transport) -> None:
        self._transport = transport
        is_sound = kind != "metadata"
        self._stream = RtpStream(AUDIO_TYPE if is_sound else METADATA_TYPE, None, AUDIO_HZ if is_sound else CLOCK_HZ)
        self._payload, self._every_s = (SOUND, SOUND_S) if is_sound else (METADATA, METADATA_EVERY_S)
        self._sent_s: float | None = None
        self._silent = kind == "backchannel"

    def advance(self, due_s: float) -> None:
        """Send what is due up to ``due_s``."""
        if self._silent:
            return
        at_s = due_s if self._sent_s is None else self._sent_s + self._every_s
        while at_s <= due_s:
            self._transport.send([self._stream.packet(self._payload, at_s, last=True)])
            self._sent_s, at_s = at_s, at_s + self._every_s
