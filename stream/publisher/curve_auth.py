"""Authentication of readers: ZeroMQ asks for each client's key (ZAP, RFC 27), and the folder of keys decides."""

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
MAX_LOGGED_KEYS = 100
"""Unknown keys that are logged; further ones are only counted, so that a hostile client cannot fill the log."""

_log = logging.getLogger(__name__)


class CurveGate:
    """Guards the sockets of one context: admits clients with a public key in the folder, counts all others.

    Keys that are added or deleted while it runs take effect at the next connection; a connected client stays in until
    it connects again. A client without CURVE, or with another server's key, fails before its key is checked and is not
    counted. Raises SinkError for a folder that is missing, incomplete or open to other users.
    """

    def __init__(self, context: zmq.Context[Any], folder: Path) -> None:
        from zmq.auth.thread import ThreadAuthenticator

        self._folder, self._keys = folder, load_server(folder)
        self._names = {client.public: client.name for client in load_clients(folder)}
        self._loaded_listing = self._listing()
        self._unknown_keys: set[bytes] = set()
        self.refused = 0
        """Number of connections of clients whose key is not in the folder."""
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.configure_curve_callback(domain=DOMAIN, credentials_provider=self)
        self._authenticator.start()
        self._authenticator.thread.name = "publisher gate"

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Make the socket admit only the folder's clients, from its next bind on."""
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self._keys.public, self._keys.secret
        socket.zap_domain = DOMAIN.encode()

    def stop(self) -> None:
        """End the gate's thread. Call it after the guarded sockets are closed."""
        self._authenticator.stop()

    def callback(self, domain: str, key: bytes) -> bool:
        """Return True if a Z85 key may read. pyzmq calls this in the gate's thread.

        It must not raise: an exception ends that thread, and no client is admitted any more.
        """
        self._reload_if_changed()
        if key in self._names:
            return True
        self.refused += 1
        if key not in self._unknown_keys and len(self._unknown_keys) < MAX_LOGGED_KEYS:
            self._unknown_keys.add(key)
            where = self._folder / CLIENTS
            _log.warning("a reader was refused: no file in %s has its public key, %s", where, key.decode())
        return False

    def _reload_if_changed(self) -> None:
        """Read the keys again. An unreadable folder changes nothing: a refused client does not come back by itself."""
        try:
            # Listed before the keys are read: a change in between is noticed the next time.
            listing = self._listing()
            if listing != self._loaded_listing:
                self._names = {client.public: client.name for client in load_clients(self._folder)}
                self._loaded_listing = listing
        except (SinkError, OSError) as error:
            _log.warning("the keys from before stay valid: %s", error)

    def _listing(self) -> tuple[tuple[str, int, int], ...]:
        """Name, modification time and size of each key file: changes whenever a file does."""
        files = sorted((self._folder / CLIENTS).glob("*.key"))
        return tuple((file.name, (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files)
