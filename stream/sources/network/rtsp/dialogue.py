"""Requests and their answers over one connection, with authentication; media that come in between are passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream.core.clock import Deadline
from stream.sources.network.auth import Authenticator, parse_challenges
from stream.sources.network.rtsp.address import Address
from stream.sources.network.rtsp.connection import Connection
from stream.sources.network.rtsp.errors import Blame
from stream.sources.network.rtsp.messages import Message, Packet, answer, request

USER_AGENT = "depthstream"
POLITE_S = 0.3
KNOWN_REQUESTS = ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "TEARDOWN")
MOST_AWAITED = 64
"""Requests whose answers are awaited; a camera that answers none is noticed by its silence, not here."""


@dataclass(frozen=True)
class _Asked:
    method: str
    uri: str


class Dialogue:
    """One thread's conversation with one camera."""

    def __init__(self, connection: Connection, address: Address, blame: Blame) -> None:
        self._connection, self._address, self._blame = connection, address, blame
        self._auth = Authenticator(address.user or "", address.password) if address.user is not None else None
        self._sequence = 0
        self._asked: dict[int, _Asked] = {}
        self.session = ""
        """The session's name, after SETUP."""
        self.on_packet: Callable[[Packet], None] = lambda _: None
        self.has_ended = False
        """The camera ended the session by a request of its own."""

    def ask(self, method: str, uri: str, deadline: Deadline, headers: Mapping[str, str] | None = None) -> Message:
        """Send a request and wait for the answer, of whatever status but 401.

        Raises AccessDenied, SourceError; OSError and EOFError when the connection breaks; TimeoutError.
        """
        while True:
            sequence = self.send(method, uri, deadline, headers)
            message = self._answer(sequence, deadline)
            if message.status != 401:
                return message
            self._take_challenge(message)

    def send(self, method: str, uri: str, deadline: Deadline, headers: Mapping[str, str] | None = None) -> int:
        """Send a request without waiting; its answer comes to ``take``. Returns its number."""
        self._sequence += 1
        fields = {"CSeq": str(self._sequence), "User-Agent": USER_AGENT, **(headers or {})}
        if self.session:
            fields["Session"] = self.session
        if self._auth is not None and (proof := self._auth.header(method, uri)):
            fields["Authorization"] = proof
        if len(self._asked) >= MOST_AWAITED:
            self._asked.pop(next(iter(self._asked)))
        self._asked[self._sequence] = _Asked(method, uri)
        self._connection.send(request(method, uri, fields), deadline)
        return self._sequence

    def take(self, message: Message) -> Message | None:
        """Take a message while media come: answers requests, repeats ours with a new nonce; returns other answers."""
        deadline = Deadline.after(POLITE_S)
        if message.is_request:
            self._reply(message, deadline)
            return None
        asked = self._asked.pop(message.sequence or 0, None)
        if message.status == 401 and asked is not None:
            self._take_challenge(message)
            self.send(asked.method, asked.uri, deadline)
            return None
        if message.status < 400 and self._auth is not None:
            self._auth.accepted()
        return message

    def _answer(self, sequence: int, deadline: Deadline) -> Message:
        while True:
            for item in self._connection.incoming:
                if isinstance(item, Packet):
                    self.on_packet(item)
                elif item.is_request:
                    self._reply(item, deadline)
                elif item.sequence in (None, sequence):  # else it answers an earlier request
                    self._asked.pop(sequence, None)
                    if self._auth is not None and item.status != 401:
                        self._auth.accepted()
                    return item
            if deadline.passed:
                raise TimeoutError
            self._connection.wait(deadline)
            self._connection.read()

    def _take_challenge(self, message: Message) -> None:
        values = message.headers.get("www-authenticate", ())
        if self._auth is None or not self._auth.take(list(values)):
            offered = ", ".join(dict.fromkeys(challenge.name for challenge in parse_challenges(values)))
            tried = "" if self._auth is None else self._auth.tried
            raise self._blame.denied(self._auth is not None, tried, offered[:80])

    def _reply(self, message: Message, deadline: Deadline) -> None:
        """Answer a request of the camera."""
        method = message.reason
        self.has_ended |= method == "TEARDOWN"
        known = method in KNOWN_REQUESTS
        self._connection.send(answer(message.sequence or 0, "200 OK" if known else "501 Not Implemented"), deadline)
