"""Who may read: ZeroMQ asks for each client's key (ZAP, RFC 27), and the folder of keys answers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.errors import SinkError
from stream.publisher.curve_keys import CLIENTS, load_clients, load_server

if TYPE_CHECKING:
    import zmq

DOMAIN = "depthstream"
"""pyzmq's own "*" would not match every domain, so both sides name this one."""
MOST_NAMED = 100
"""Strangers whose key is logged; more are only counted."""

_log = logging.getLogger(__name__)


class CurveGate:
    """Guards the sockets of one context: only clients with a public key in the folder get in, strangers are counted.

    Keys that are added or deleted while it runs are known at the next connection; a client that is in stays in until it
    connects again. A client without CURVE, or with another server's key, fails before anybody is asked: not counted.
    Raises SinkError for a folder that is missing, incomplete or open to others.
    """

    def __init__(self, context: zmq.Context[Any], folder: Path) -> None:
        from zmq.auth.thread import ThreadAuthenticator

        self._folder, self._keys = folder, load_server(folder)
        self._names = {client.public: client.name for client in load_clients(folder)}
        self._seen = self._listing()
        self._strangers: set[bytes] = set()
        self.refused = 0
        """Connections of clients whose key is not in the folder."""
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.configure_curve_callback(domain=DOMAIN, credentials_provider=self)
        self._authenticator.start()
        self._authenticator.thread.name = "publisher gate"

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """From its next bind on, the socket lets in nobody but the clients of the folder."""
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self._keys.public, self._keys.secret
        socket.zap_domain = DOMAIN.encode()

    def stop(self) -> None:
        """Ends its thread; after the sockets it guards are closed."""
        self._authenticator.stop()

    def callback(self, domain: str, key: bytes) -> bool:
        """Called by pyzmq in the gate's thread with a Z85 key. Must not raise: nobody would get in any more."""
        self._look_again()
        if key in self._names:
            return True
        self.refused += 1
        if key not in self._strangers and len(self._strangers) < MOST_NAMED:
            self._strangers.add(key)
            where = self._folder / CLIENTS
            _log.warning("a reader was refused: no file in %s has its public key, %s", where, key.decode())
        return False

    def _look_again(self) -> None:
        """A folder that cannot be read just now changes nothing: who is refused once does not come back by itself."""
        try:
            listing = self._listing()
            if listing != self._seen:
                self._names = {client.public: client.name for client in load_clients(self._folder)}
                self._seen = listing
        except (SinkError, OSError) as error:
            _log.warning("the keys from before stay valid: %s", error)

    def _listing(self) -> tuple[tuple[str, int, int], ...]:
        """Changes whenever a file does."""
        files = sorted((self._folder / CLIENTS).glob("*.key"))
        return tuple((file.name, (facts := file.stat()).st_mtime_ns, facts.st_size) for file in files)
