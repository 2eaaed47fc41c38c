"""The TCP connection to a camera, with or without TLS; received bytes come with the time of their arrival."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from contextlib import suppress
from time import monotonic_ns

from stream.core.clock import Deadline
from stream.sources.network.arrival import ANCILLARY_BYTES, arrived_ns, keep_arrival_times, waiting
from stream.sources.network.rtsp.address import Address
from stream.sources.network.rtsp.messages import READ_BYTES, Incoming
from stream.sources.network.trust import Trust, tls_context


class HandshakeTimeout(TimeoutError):
    """The TCP connection is there, but nothing answers to TLS."""


class Resolving(OSError):
    """The host's name is unknown, or its resolution took too long."""


class Connection:
    """A non-blocking socket."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext | None, server_name: str, deadline: Deadline
    ) -> None:
        """``context``: use TLS. Raises OSError, among them ssl.SSLError, and closes ``sock`` then."""
        self.incoming = Incoming()
        self.empty_ns = self._next_empty_ns = monotonic_ns()
        """Before the last ``read``, nothing waited at this time or later."""
        self.first_ns = self.last_ns = self.empty_ns
        """Times of the pieces in which the first and the last byte of the last ``read`` lay; see dating.py."""
        self.is_drained = True
        """Nothing more waited after the last ``read``."""
        # A second descriptor of the same socket: TLS gives no times and no look at what waits.
        self._raw = sock.dup()
        self._sock = sock
        try:
            self.peer_host = str(sock.getpeername()[0])
            self.own_host = str(sock.getsockname()[0])
            self.family = sock.family
            keep_arrival_times(sock)
            if context is not None:
                sock.settimeout(max(deadline.left_s, 0.001))
                self._sock = _handshake(sock, context, server_name)
            self._sock.setblocking(False)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, address: Address, trust: Trust, deadline: Deadline) -> Connection:
        """Connect; raises BadAuthority, and OSError: TimeoutError when the time is over, Resolving, ssl.SSLError."""
        context = tls_context(trust) if address.is_secure else None
        return cls(_connected(address.host, address.port, deadline), context, address.host, deadline)

    def fileno(self) -> int:
        return self._sock.fileno()

    def read(self) -> int:
        """Receive what is there into ``incoming``; 0 if nothing is. Raises ConnectionError, EOFError at the end."""
        self.empty_ns = self._next_empty_ns
        try:
            count = self._read_tls() if isinstance(self._sock, ssl.SSLSocket) else self._read_plain()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except ssl.SSLError as error:
            raise ConnectionResetError(f"TLS: {error.reason or error}") from None
        if count == 0:
            raise EOFError
        self.incoming.received(count)
        return count

    @property
    def has_more(self) -> bool:
        """Whether bytes wait that no selector sees, because TLS has decrypted them already."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def nothing_waits(self, at_ns: int) -> None:
        """A selector found nothing to read at that time of the monotonic clock."""
        self._next_empty_ns = max(self._next_empty_ns, at_ns)

    def wait(self, deadline: Deadline) -> None:
        """Wait for bytes; raises TimeoutError when the time is over."""
        if not self.has_more and not _is_ready(self._sock, selectors.EVENT_READ, deadline.left_s):
            raise TimeoutError

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all of ``data``; raises OSError, TimeoutError when the time is over."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if not _is_ready(self._sock, selectors.EVENT_WRITE, deadline.left_s):
                    raise TimeoutError from None

    def send_now(self, data: bytes) -> None:
        """Send ``data`` if there is room, else leave it out: the camera does not read, and must not stop us."""
        if _is_ready(self._sock, selectors.EVENT_WRITE, 0):
            with suppress(TimeoutError):
                self.send(data, Deadline.after(0.1))

    def close(self) -> None:
        self._raw.close()
        self._sock.close()

    def _read_plain(self) -> int:
        # The kernel says of many bytes when the last came, and of the first only if it is looked at alone.
        _, ancillary, _, _ = self._raw.recvmsg(1, ANCILLARY_BYTES, socket.MSG_PEEK)
        self.first_ns = max(arrived_ns(ancillary), self.empty_ns)  # earlier if the wall clock was set meanwhile
        read_ns = monotonic_ns()
        count, ancillary, _, _ = self._raw.recvmsg_into([self.incoming.room()], ANCILLARY_BYTES)
        self.last_ns = max(self.first_ns, arrived_ns(ancillary))
        self.is_drained = count < READ_BYTES
        if self.is_drained:
            self._next_empty_ns = read_ns
        return count

    def _read_tls(self) -> int:
        assert isinstance(self._sock, ssl.SSLSocket)
        if not self._sock.pending():  # else the record came together with the bytes before
            waits = waiting(self._raw)
            self.first_ns = self.last_ns = max(waits.arrived_ns, self.empty_ns)
        room = self.incoming.room()
        count = self._sock.recv_into(room, len(room))
        read_ns = monotonic_ns()
        self.is_drained = not self._sock.pending() and waiting(self._raw).size == 0
        if self.is_drained:
            self._next_empty_ns = read_ns
        return count


def _is_ready(sock: socket.socket, event: int, timeout_s: float) -> bool:
    """Whether it can be read or written within the time; select() itself knows no descriptors above 1023."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, event)
        return bool(selector.select(timeout_s))


def _handshake(sock: socket.socket, context: ssl.SSLContext, server_name: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(sock, server_hostname=server_name)
    except TimeoutError:
        raise HandshakeTimeout from None


def _connected(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first of the host's addresses that answers; raises the last address's error."""
    addresses = _resolved(host, port, deadline)
    failure: OSError = TimeoutError()
    for place, (family, _, _, _, address) in enumerate(addresses):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(deadline.left_s / (len(addresses) - place), 0.001))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    try:
        raise failure
    finally:
        del failure  # its traceback refers to this frame: a cycle


_Addresses = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]]


def _resolved(host: str, port: int, deadline: Deadline) -> _Addresses:
    """The addresses of a host. The system's resolver knows no time limit, so names are resolved in another thread."""
    with suppress(socket.gaierror, UnicodeError):
        return _lookup(host, port, socket.AI_NUMERICHOST)
    found: list[_Addresses | OSError] = []

    def look_up() -> None:
        try:
            found.append(_lookup(host, port, 0))
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(deadline.left_s)
    if not found:
        raise Resolving(f"no answer about the host's name in {deadline.left_s:.1f} s")
    if isinstance(found[0], OSError):
        raise Resolving("the host is unknown; check its name") from found[0]
    return found[0]


def _lookup(host: str, port: int, flags: int) -> _Addresses:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[:8]  # type: ignore[return-value]
