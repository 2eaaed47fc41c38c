"""One client's session: sends RTP packets and sender reports for the images of its feed."""

from __future__ import annotations

import secrets

from pipelines.drill.camera.clip import AccessUnit
from pipelines.drill.camera.feed import Feed
from pipelines.drill.camera.rtp import CameraClock, RtpStream
from pipelines.drill.camera.sdp import PAYLOAD_TYPES
from pipelines.drill.camera.transport import Transport


class Session:
    """From SETUP to TEARDOWN.

    ``report_every_s`` None: no sender reports; else one before the first image and one after every jump of the clock.
    """

    def __init__(self, feed: Feed, transport: Transport, clock: CameraClock, report_every_s: float | None) -> None:
        self.name = secrets.token_hex(8)
        self.transport = transport
        self._feed, self._clock, self._report_every_s = feed, clock, report_every_s
        self._stream = RtpStream(PAYLOAD_TYPES[feed.clip.codec])
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

    def close(self) -> None:
        self.pause()
        self.transport.close()

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
