"""Gets an address as a web browser would: password, redirects and kept connections, all within bounds."""

from __future__ import annotations

import socket
import threading
from time import monotonic_ns

from stream.errors import SourceError
from stream.settings import NetworkCamera
from stream.sources.network.auth import Authenticator, parse_challenges
from stream.sources.network.http.address import Address
from stream.sources.network.http.errors import Failures
from stream.sources.network.http.response import ChunkedBody, Head, PlainBody
from stream.sources.network.http.tcp import Connection, Piece, TcpConnection
from stream.sources.network.http.tls import TlsConnection
from stream.sources.network.trust import tls_context
from stream.sources.network.url import CameraUrl

MOST_REDIRECTS = 10
MOST_INTERIM = 10
"""Answers like "100 Continue" before the real one."""
REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_PASSED = 64 << 10
"""Bytes of an unwanted body that are read to keep a connection."""


class Answer:
    """An answer with its body, which is read from the connection as it arrives."""

    def __init__(self, head: Head, connection: Connection, begun: Piece | None, asked_ns: int) -> None:
        self.head = head
        self.asked_ns = asked_ns
        """When the request was sent, CLOCK_MONOTONIC, nanoseconds."""
        self._connection = connection
        self._begun: Piece | None = begun
        """What arrived together with the head."""
        if head.is_chunked:
            self._body: ChunkedBody | PlainBody = ChunkedBody()
        else:
            # A live stream has no length, whatever the camera says.
            self._body = PlainBody(None if head.media_type.startswith("multipart/") else head.length)

    @property
    def is_whole(self) -> bool:
        """The body was read to an end that was announced, and the connection can serve another request."""
        return self._body.is_over and self.head.keeps_connection

    def ends_within(self, size: int) -> bool:
        """The body states that it ends within ``size`` bytes."""
        return not self.head.is_chunked and (self.head.length or size + 1) <= size

    def receive(self, until_ns: int | None = None) -> Piece:
        """The next part of the body; empty at its end.

        Raises OSError; TimeoutError at ``until_ns``; ValueError if the transfer coding makes no sense.
        """
        while not self._body.is_over:
            piece, self._begun = self._begun or self._connection.receive(until_ns), None
            if not piece.data:
                return piece
            data = self._body.decode(piece.data)
            if data:
                return piece._replace(data=data)
        now_ns = monotonic_ns()
        return Piece(b"", now_ns, now_ns)

    def pass_over(self, until_ns: int) -> bool:
        """Read the body to its end if it is short; whether the connection can serve another request."""
        passed = 0
        while not self._body.is_over and self._body.has_end and passed <= LONGEST_PASSED:
            piece = self.receive(until_ns)
            if not piece.data:
                break
            passed += len(piece.data)
        return self.is_whole


class Client:
    """Requests to one camera, by one thread; ``interrupt`` from any."""

    def __init__(self, settings: NetworkCamera, url: CameraUrl) -> None:
        """Raises SourceError if the URL makes no sense."""
        self.failures = Failures(settings, url)
        self._settings = settings
        try:
            self._address = Address.parse(url.full)
        except ValueError as error:
            raise self.failures.opening(str(error)) from None
        self._user = _user_of(self._address)
        self._connection: Connection | None = None
        self._led_away = False
        """A redirect led to another host, which does not get the password."""
        self.interrupted = threading.Event()

    def get(self, until_ns: int) -> Answer:
        """The answer of the camera, with a status of success. Raises AccessDenied or SourceError."""
        seen = {_key(self._address)}
        while True:
            try:
                answer = self._permitted(until_ns)
                if answer.head.status not in REDIRECTS:
                    break
                self._reuse(answer.pass_over(until_ns))
            except (OSError, ValueError) as error:
                self.close()
                raise self.failures.on_error(error) from None
            self._follow(answer.head, seen)
        if answer.head.status // 100 == 2:
            return answer
        self.close()
        raise self.failures.on_status(answer.head.status)

    def interrupt(self) -> None:
        """Make reading end soon."""
        self.interrupted.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def done(self, answer: Answer) -> None:
        """The body of ``answer`` was read; keep the connection if the camera does."""
        self._reuse(answer.is_whole)

    def _permitted(self, until_ns: int) -> Answer:
        """The first answer that is not about passwords."""
        while True:
            answer = self._ask(until_ns)
            if answer.head.status not in (401, 403):
                if self._user is not None:
                    self._user.accepted()
                return answer
            challenges = answer.head.all("www-authenticate")
            if answer.head.status == 403 or self._user is None or not self._user.take(challenges):
                self.close()
                raise self._denied(answer.head.status, challenges)
            self._reuse(answer.pass_over(until_ns))

    def _denied(self, status: int, challenges: list[str]) -> SourceError:
        if self._led_away and self._user is None:
            return self.failures.not_carried()
        offered = ", ".join(challenge.name for challenge in parse_challenges(challenges))
        user = self._user
        tried, was_sent = ("", False) if user is None else (user.tried, user.header("GET", "/") is not None)
        return self.failures.denied(
            status, had_user=user is not None, was_sent=was_sent, tried=tried, offered=offered[:100]
        )

    def _ask(self, until_ns: int) -> Answer:
        """One request and its answer, over the kept connection if there is one."""
        if self._connection is not None:
            try:
                return self._exchange(self._connection, until_ns)
            except ConnectionError:  # the camera closed it while it was not used
                self.close()
        return self._exchange(self._connect(until_ns), until_ns)

    def _exchange(self, connection: Connection, until_ns: int) -> Answer:
        asked_ns = monotonic_ns()
        connection.send(self._request(), until_ns)
        data = bytearray()
        for _ in range(MOST_INTERIM):
            while (head := Head.cut_from(data) if data else None) is None:
                piece = connection.receive(until_ns)
                if not piece.data:
                    raise ConnectionAbortedError
                data += piece.data
            if head.status // 100 != 1:
                begun = piece._replace(data=bytes(data)) if data else None
                return Answer(head, connection, begun, asked_ns)
        raise ValueError("it answers without an end that more will follow")

    def _request(self) -> bytes:
        address = self._address
        lines = [
            f"GET {address.target} HTTP/1.1",
            f"Host: {address.host_header}",
            "User-Agent: depthstream",
            "Accept: */*",
            "Accept-Encoding: identity",
        ]
        proof = None if self._user is None else self._user.header("GET", address.target)
        lines += [f"Authorization: {proof}"] if proof is not None else []
        return "\r\n".join([*lines, "", ""]).encode()

    def _connect(self, until_ns: int) -> Connection:
        address = self._address
        context = tls_context(self._settings) if address.scheme == "https" else None
        places = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        for index, (family, kind, protocol, _, place) in enumerate(places):
            tcp = TcpConnection(socket.socket(family, kind, protocol))
            self._hold(tcp)
            try:
                left = len(places) - index
                tcp.connect(place, monotonic_ns() + (until_ns - monotonic_ns()) // left)
            except OSError:
                self.close()
                if left == 1 or self.interrupted.is_set():
                    raise
                continue
            if context is None:
                return tcp
            tls = TlsConnection(tcp, context, address.host)
            self._hold(tls)
            tls.handshake(until_ns)
            return tls
        raise OSError("no address")

    def _hold(self, connection: Connection) -> None:
        self._connection = connection
        if self.interrupted.is_set():  # before the connection was there to be interrupted
            raise ConnectionAbortedError

    def _reuse(self, possible: bool) -> None:
        if not possible:
            self.close()

    def _follow(self, head: Head, seen: set[str]) -> None:
        """Go on to where the answer leads. Raises SourceError if that is not allowed."""
        before, location = self._address, head.get("location")
        if not location:
            raise self.failures.opening(f"the camera leads elsewhere ({head.status}) without saying where")
        try:
            after = before.follow(location)
        except ValueError as error:
            raise self.failures.opening(f"the camera leads elsewhere ({head.status}): {error}") from None
        if len(seen) > MOST_REDIRECTS or _key(after) in seen:
            kind = "in a circle" if _key(after) in seen else f"on more than {MOST_REDIRECTS} times"
            raise self.failures.opening(f"the camera leads {kind} ({head.status}); check the path, and https or http")
        seen.add(_key(after))
        same_host = after.host.lower() == before.host.lower()
        if self._user is not None and same_host and (before.scheme, after.scheme) == ("https", "http"):
            raise self.failures.opening("it leads from https to http, where the password could be read; not followed")
        if (same_host, after.scheme, after.port) != (True, before.scheme, before.port):
            self.close()
        if after.user is not None:
            self._user, self._led_away = _user_of(after), False
        elif not same_host:
            self._led_away, self._user = self._led_away or self._user is not None, None
        self._address = after
        self.failures.to(after.url)


def _user_of(address: Address) -> Authenticator | None:
    return None if address.user is None else Authenticator(address.user, address.password)


def _key(address: Address) -> str:
    return f"{address.scheme}://{address.host_header}{address.target}"
