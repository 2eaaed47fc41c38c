"""The camera: its paths, its listening socket, and the switches for its faults."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Self, TypeVar
from urllib.parse import quote

from pipelines.drill.camera.auth import Access, Scheme
from pipelines.drill.camera.clip import Clip
from pipelines.drill.camera.connection import Connection, Ordered, Premises
from pipelines.drill.camera.feed import Gate, Mount, Sent
from pipelines.drill.camera.link import Ending
from pipelines.drill.camera.listener import Listener
from pipelines.drill.camera.loop import EventLoop
from pipelines.drill.camera.rtp import CameraClock
from pipelines.drill.camera.rtp_clock import ClockFault
from pipelines.drill.camera.sdp import Side
from pipelines.drill.camera.transport import TransportName

T = TypeVar("T")


class RtspCamera:
    """An RTSP server that shows one clip, in a loop, at each path; runs inside its ``with`` block, in one thread.

    Every switch has taken effect when its method returns; where it takes a ``path``, None means all paths.
    """

    def __init__(
        self,
        clips: Mapping[str, Clip | Sequence[Clip | Side]],
        *,
        user: str | None = None,
        password: str | None = None,
        auth: Scheme = "digest",
        transports: Collection[TransportName] = ("tcp", "udp"),
        clock_offset_s: float = 0.0,
        sender_reports: bool = True,
        report_every_s: float = 5.0,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        session_timeout_s: float | None = None,
    ) -> None:
        """``clips``: what each path shows, one clip or several tracks, of which at least one is a clip.

        ``port`` 0 is a free one; entering the ``with`` block raises OSError if another program has it. ``tls``: speak
        rtsps with its certificate. ``session_timeout_s``: end sessions from which no request came for so long.
        """
        self._access = Access(user, password or "", auth) if user is not None else None
        loop, every_s = EventLoop("rtsp-camera"), report_every_s if sender_reports else None
        self._premises = Premises(loop, transports, self._access, CameraClock(clock_offset_s), every_s)
        self._premises.tls, self._premises.timeout_s = tls, session_timeout_s
        for path, tracks in clips.items():
            mount = Mount([tracks] if isinstance(tracks, Clip) else tracks, loop)
            self._premises.mounts[path.rstrip("/")] = mount
        self._loop, self._mounts = loop, self._premises.mounts
        self._connections: list[Connection] = []
        self._listener = Listener(host, port, loop, self._welcome)

    def __enter__(self) -> Self:
        self._listener.take()
        self._loop.start()
        self.refuse(False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._do(self._listener.close)
        self.cut()
        self._loop.stop()

    @property
    def port(self) -> int:
        """The port; known inside the ``with`` block."""
        return self._listener.port

    def url(self, path: str, *, credentials: bool = False) -> str:
        """The URL of ``path``, with the current user and password, percent-encoded, if ``credentials``."""
        who = ""
        if credentials and self._access is not None:
            who = f"{quote(self._access.user, safe='')}:{quote(self._access.password, safe='')}@"
        host = f"[{self._listener.host}]" if ":" in self._listener.host else self._listener.host
        return f"{'rtsps' if self._premises.tls else 'rtsp'}://{who}{host}:{self.port}{path}"

    @property
    def sessions(self) -> int:
        """The number of clients that have a session open."""
        return self._do(lambda: sum(connection.session is not None for connection in self._connections))

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method and URL of the last thousand requests."""
        return self._do(lambda: list(self._premises.requests))

    @property
    def damaged(self) -> list[int]:
        """Numbers of the access units (their place in the clip) that ``lose`` or ``corrupt`` hit, path after path."""
        return [number for mount in self._mounts.values() for number in mount.faults.damaged]

    def sent(self, path: str) -> int:
        """Access units sent so far, counted once for each session that got it."""
        return self._mounts[path].sent

    def log(self, path: str) -> list[Sent]:
        """The last thousand access units sent, the newest last."""
        return list(self._mounts[path].log)

    def stall(self, path: str | None = None) -> None:
        """Stop media and reports; connections stay, requests are answered, and the same images come later."""
        self._do_to(path, lambda mount: mount.stall(True))

    def resume(self, path: str | None = None) -> None:
        """Continue where ``stall`` stopped, from now on, without a burst."""
        self._do_to(path, lambda mount: mount.stall(False))

    def cut(self, how: Ending = "fin", path: str | None = None) -> None:
        """End all connections, or those to ``path``, by FIN or, like a crash, by RST; new ones are accepted."""
        mount = None if path is None else self._mounts[path]
        self._do(lambda: self._end_connections(how, mount))

    def refuse(self, refusing: bool = True) -> None:
        """Refuse new connections; the port stays bound."""
        self._do(self._listener.shut if refusing else self._listener.open)

    def mute(self, muted: bool = True) -> None:
        """Accept connections and requests without an answer; clients that already play go on."""
        self._do(lambda: setattr(self._premises, "mute", muted))

    def lose(self, count: int = 1, *, keyframe: bool = False, path: str | None = None) -> None:
        """Do not send the next ``count`` video packets, those of key frames only if ``keyframe``; see ``damaged``."""
        self._do_to(path, lambda mount: mount.faults.order("lose", count, keyframe=keyframe))

    def corrupt(self, count: int = 1, *, keyframe: bool = False, path: str | None = None) -> None:
        """Flip bits in the next ``count`` video packets, those of key frames only if ``keyframe``; see ``damaged``."""
        self._do_to(path, lambda mount: mount.faults.order("corrupt", count, keyframe=keyframe))

    def switch(self, path: str, clip: Clip) -> None:
        """Go on with another clip of the same codec in open sessions, too; raises ValueError for another codec."""
        self._do(lambda: self._mounts[path].feed.switch(clip))

    def change_codec(self, path: str, clip: Clip) -> None:
        """Show ``clip`` to new sessions; open ones go on with the old one."""
        self._do(lambda: self._mounts[path].show_to_new(clip))

    def jump_clock(self, seconds: float) -> None:
        """Step the camera's clock; a sender report with the new time goes out before the next image."""
        self._do(lambda: self._premises.clock.jump(seconds))

    def break_rtp_clock(self, fault: ClockFault | None, path: str | None = None) -> None:
        """From now on RTP times are wrong in this way, those of sender reports, too; None: they are right again."""

        def set_fault(mount: Mount) -> None:
            mount.rtp_clock.fault, mount.rtp_clock.since_s = fault, time.monotonic()

        self._do_to(path, set_fault)

    def set_gate(self, gate: Gate | None, path: str | None = None) -> None:
        """Send only images that ``gate`` passes; the others are left out without a gap in the packets' numbers."""
        self._do_to(path, lambda mount: setattr(mount, "gate", gate))

    def answer(
        self, method: str, status: int | None, headers: Mapping[str, str] | None = None, *, times: int | None = None
    ) -> None:
        """Answer requests of ``method`` (``*``: all) with ``status``, ``times`` times or always; None: rightly."""

        def order() -> None:
            self._premises.answers.pop(method, None)
            if status is not None:
                self._premises.answers[method] = Ordered(status, headers or {}, times)

        self._do(order)

    def redirect(self, location: str | None, status: int = 302) -> None:
        """Redirect every client that asks for a description; None: no more."""
        self.answer("DESCRIBE", status if location is not None else None, {"Location": location or ""})

    def rewrite_sdp(self, rewrite: Callable[[str], str]) -> None:
        """Change the session description of new clients; ``str`` leaves it as it is."""
        self._do(lambda: setattr(self._premises, "rewrite", rewrite))

    def end_nonces(self) -> None:
        """All nonces of Digest are too old from now on: clients get new ones, marked as stale."""
        access = self._access
        if access is None:
            raise ValueError("this camera asks for no password: give RtspCamera a user")
        self._do(lambda: setattr(access, "nonces", access.nonces + 1))

    def set_password(self, password: str) -> None:
        """Require it from new connections; raises ValueError for a camera without a user."""
        access = self._access
        if access is None:
            raise ValueError("this camera asks for no password: give RtspCamera a user")
        self._do(lambda: setattr(access, "password", password))

    def _do(self, work: Callable[[], T]) -> T:
        return self._loop.call(work)

    def _do_to(self, path: str | None, work: Callable[[Mount], None]) -> None:
        chosen = list(self._mounts.values()) if path is None else [self._mounts[path]]

        def work_on_all() -> None:
            for mount in chosen:
                work(mount)

        self._do(work_on_all)

    def _end_connections(self, how: Ending, mount: Mount | None) -> None:
        for connection in list(self._connections):
            if mount is None or connection.mount is mount:
                connection.end(how)

    def _welcome(self, sock: socket.socket, peer_host: str) -> None:
        self._connections.append(Connection(sock, peer_host, self._premises, self._connections.remove))
