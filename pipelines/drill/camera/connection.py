"""One client's RTSP connection: the answer to each request."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.drill.camera.auth import Access, Guard
from pipelines.drill.camera.feed import Feed, Mount
from pipelines.drill.camera.link import Ending, Link
from pipelines.drill.camera.loop import EventLoop
from pipelines.drill.camera.messages import BadRequest, Request, RequestReader
from pipelines.drill.camera.rtp import CameraClock
from pipelines.drill.camera.sdp import TRACK, Side, describe
from pipelines.drill.camera.session import Session
from pipelines.drill.camera.tracks import VideoTrack
from pipelines.drill.camera.transport import TransportName, chosen_transport

METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER")
TIMEOUT_S = 60
"""Session time-out sent to clients, seconds; they send requests at half that interval. It is enforced only if set."""
_TRACK = re.compile(rf"/{TRACK}(\d+)$")


class Ordered(NamedTuple):
    """An answer that a test ordered."""

    status: int
    headers: Mapping[str, str]
    left: int | None
    """How many more times; None: always."""


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
    tls: ssl.SSLContext | None = None
    timeout_s: float | None = None
    """Seconds without a request after which a session ends; None: never, and clients are told TIMEOUT_S."""
    answers: dict[str, Ordered] = field(default_factory=dict)
    """Answers in place of the right ones, by the request's method."""
    rewrite: Callable[[str], str] = str
    """Changes the description that is sent."""
    requests: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=1000))
    """Method and URL of each request."""


class Connection:
    """Answers requests until the link ends, then calls ``on_end``."""

    def __init__(
        self, sock: socket.socket, peer_host: str, premises: Premises, on_end: Callable[[Connection], None]
    ) -> None:
        self._premises, self._peer_host = premises, peer_host
        self._guard = Guard(premises.access) if premises.access else None
        self._reader = RequestReader()
        self._described: tuple[str, list[Feed | Side]] | None = None
        self._heard_s = time.monotonic()
        self.session: Session | None = None
        self.mount: Mount | None = None
        """The path that it requested; None before the request."""
        self._tell_end = on_end
        if premises.tls is not None:
            sock.setblocking(False)
            sock = premises.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
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
        self._heard_s = time.monotonic()
        self._premises.requests.append((request.method, request.url))
        if (ordered := self._ordered(request.method)) is not None:
            return request.answer(ordered.status, ordered.headers)
        if request.method == "OPTIONS":
            return request.answer(headers={"Public": ", ".join(METHODS)})
        if self._guard is not None and not self._guard.admits(request):
            # Several values in one line mean the same as several lines (RFC 9110, section 5.3).
            return request.answer(401, {"WWW-Authenticate": ", ".join(self._guard.challenges)})
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
        self._described = request.target, list(mount.tracks)
        headers = {"Content-Type": "application/sdp", "Content-Base": request.url.rstrip("/") + "/"}
        text = describe([track.clip if isinstance(track, Feed) else track for track in mount.tracks]).decode()
        return request.answer(headers=headers, body=self._premises.rewrite(text).encode())

    def _set_up(self, request: Request) -> bytes:
        mount = self._find(request)
        if mount is None:
            return request.answer(404)
        target, tracks = self._described or ("", mount.tracks)
        tracks = tracks if _without_track(request.target) == target else mount.tracks
        number = _track_number(request.target)
        if number >= len(tracks):
            return request.answer(404)
        if self.session is not None and number in self.session:
            return request.answer(459)
        wishes, premises = request.headers.get("transport", ""), self._premises
        transport = chosen_transport(wishes, premises.transports, self._link, self._peer_host)
        if transport is None:
            return request.answer(461)
        self.session = self.session or self._new_session()
        track = tracks[number]
        if isinstance(track, Feed):
            self.session.add_video(number, VideoTrack(track, transport, premises.clock, premises.report_every_s))
        else:
            self.session.add_side(number, track, transport)
        timeout_s = TIMEOUT_S if premises.timeout_s is None else premises.timeout_s
        headers = {"Transport": transport.header, "Session": f"{self.session.name};timeout={timeout_s:g}"}
        return request.answer(headers=headers)

    def _new_session(self) -> Session:
        session = Session()
        if self._premises.timeout_s is not None:
            self._watch(session, self._premises.timeout_s)
        return session

    def _watch(self, session: Session, timeout_s: float) -> None:
        """End the session when no request comes in time."""

        def look() -> None:
            if self.session is session and time.monotonic() - self._heard_s >= timeout_s:
                self._close_session()
            elif self.session is session:
                self._watch(session, timeout_s)

        self._premises.loop.at(self._heard_s + timeout_s, look)

    def _ordered(self, method: str) -> Ordered | None:
        answers = self._premises.answers
        ordered = answers.get(method) or answers.get("*")
        if ordered is None or ordered.left is None:
            return ordered
        key = method if method in answers else "*"
        if ordered.left > 1:
            answers[key] = ordered._replace(left=ordered.left - 1)
        else:
            del answers[key]
        return ordered

    def _control(self, request: Request) -> bytes:
        """Answer PLAY, PAUSE and TEARDOWN, which need a session, and GET_PARAMETER, the keep-alive, which does not."""
        session = self.session
        if session is None:
            return request.answer(200 if request.method == "GET_PARAMETER" else 455)
        if request.headers.get("session", session.name).partition(";")[0] != session.name:
            return request.answer(454)
        headers = {"Session": session.name}
        if request.method == "PLAY":
            headers |= {"Range": "npt=now-", "RTP-Info": session.play(request.url.rstrip("/"))}
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
    return _TRACK.sub("", target).rstrip("/")


def _track_number(target: str) -> int:
    found = _TRACK.search(target)
    return int(found[1]) if found else 0
