"""One client's session: the tracks that it has set up, from SETUP to TEARDOWN."""

from __future__ import annotations

import secrets

from pipelines.drill.camera.sdp import TRACK, Side
from pipelines.drill.camera.tracks import SideTrack, VideoTrack
from pipelines.drill.camera.transport import Transport


class Session:
    """Tracks by their number."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self._videos: dict[int, VideoTrack] = {}
        self._transports: dict[int, Transport] = {}
        self._sides: list[SideTrack] = []

    def __contains__(self, number: int) -> bool:
        return number in self._transports

    def add_video(self, number: int, track: VideoTrack) -> None:
        self._videos[number] = track
        self._transports[number] = track.transport

    def add_side(self, number: int, kind: Side, transport: Transport) -> None:
        self._sides.append(SideTrack(kind, transport))
        self._transports[number] = transport

    def play(self, url: str) -> str:
        """Start all; returns the value of ``RTP-Info``."""
        for track in list(self._videos.values())[:1]:
            track.sides = self._sides
        return ",".join(track.play(f"{url}/{TRACK}{number}") for number, track in self._videos.items())

    def pause(self) -> None:
        for track in self._videos.values():
            track.pause()

    def close(self) -> None:
        self.pause()
        for transport in self._transports.values():
            transport.close()
