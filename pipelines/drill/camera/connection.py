"""One client's RTSP connection: the answer to each request."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pipelines.drill.camera.auth import Access, Guard
from pipelines.drill.camera.feed import Feed, Mount
from pipelines.drill.camera.link import Ending, Link
from pipelines.drill.camera.loop import EventLoop
from pipelines.drill.camera.messages import BadRequest, Request, RequestReader
from pipelines.drill.camera.rtp import CameraClock
from pipelines.drill.camera.sdp import TRACK, describe
from pipelines.drill.camera.session import Session
from pipelines.drill.camera.transport import TransportName, chosen_transport

METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER")
TIMEOUT_S = 60
"""Session time-out sent to clients, seconds; they send requests at half that interval. Not enforced."""


@dataclass
class Premises:
    """The state that all connections of a camera share."""

    loop: EventLoop
    transports: Collection[TransportName]
    access: Access | None
    clock: CameraClock
    report_every_s: float | None
    mounts: dict[str, Mount] = field(default_factory=dict)
    mute: bool = False


class Connection:
    """Answers requests until the link ends, then calls ``on_end``."""

    def __init__(
        self, sock: socket.socket, peer_host: str, premises: Premises, on_end: Callable[[Connection], None]
    ) -> None:
        self._premises, self._peer_host = premises, peer_host
        self._guard = Guard(premises.access) if premises.access else None
        self._reader = RequestReader()
        self._described: tuple[str, Feed] | None = None
        self.session: Session | None = None
        self.mount: Mount | None = None
        """The path that it requested; None before the request."""
        self._tell_end = on_end
        self._link = Link(sock, premises.loop, self._on_data, self._on_link_end)

    def end(self, how: Ending = "fin") -> None:
        self._link.end(how)

    def _on_link_end(self) -> None:
        self._close_session()
        self._tell_end(self)

    def _on_data(self, data: bytes) -> None:
        try:
            for request in self._reader.feed(data):
                if self._link.is_open and not self._premises.mute:
                    self._link.send(self._answer(request))
        except BadRequest:
            self._link.send(Request("", "").answer(400))
            self._link.end()

    def _answer(self, request: Request) -> bytes:
        if request.method == "OPTIONS":
            return request.answer(headers={"Public": ", ".join(METHODS)})
        if self._guard is not None and not self._guard.admits(request):
            return request.answer(401, {"WWW-Authenticate": self._guard.challenge})
        if request.method not in METHODS:
            return request.answer(501)
        if request.method in {"DESCRIBE", "SETUP"}:
            return self._describe(request) if request.method == "DESCRIBE" else self._set_up(request)
        return self._control(request)

    def _describe(self, request: Request) -> bytes:
        mount = self._find(request)
        if mount is None:
            return request.answer(404)
        # The session shows what was described, even if the camera changes its codec in between.
        self._described = request.target, mount.feed
        headers = {"Content-Type": "application/sdp", "Content-Base": request.url.rstrip("/") + "/"}
        return request.answer(headers=headers, body=describe(mount.feed.clip))

    def _set_up(self, request: Request) -> bytes:
        mount = self._find(request)
        if mount is None:
            return request.answer(404)
        if self.session is not None:
            return request.answer(459)
        wishes, premises = request.headers.get("transport", ""), self._premises
        transport = chosen_transport(wishes, premises.transports, self._link, self._peer_host)
        if transport is None:
            return request.answer(461)
        target, feed = self._described or ("", mount.feed)
        feed = feed if _without_track(request.target) == target else mount.feed
        self.session = Session(feed, transport, premises.clock, premises.report_every_s)
        headers = {"Transport": transport.header, "Session": f"{self.session.name};timeout={TIMEOUT_S}"}
        return request.answer(headers=headers)

    def _control(self, request: Request) -> bytes:
        """Answer PLAY, PAUSE and TEARDOWN, which need a session, and GET_PARAMETER, the keep-alive, which does not."""
        session = self.session
        if session is None:
            return request.answer(200 if request.method == "GET_PARAMETER" else 455)
        if request.headers.get("session", session.name).partition(";")[0] != session.name:
            return request.answer(454)
        headers = {"Session": session.name}
        if request.method == "PLAY":
            headers |= {"Range": "npt=now-", "RTP-Info": session.play(f"{request.url.rstrip('/')}/{TRACK}")}
        elif request.method == "PAUSE":
            session.pause()
        elif request.method == "TEARDOWN":
            self._close_session()
        return request.answer(headers=headers)

    def _find(self, request: Request) -> Mount | None:
        """The mount with the request's path, with or without its query and track."""
        target, mounts = _without_track(request.target), self._premises.mounts
        self.mount = mounts.get(target) or mounts.get(target.partition("?")[0].rstrip("/"))
        return self.mount

    def _close_session(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()


def _without_track(target: str) -> str:
    return target.removesuffix(f"/{TRACK}").rstrip("/")
