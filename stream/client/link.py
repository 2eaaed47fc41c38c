"""One SUB socket and the state of its connection; it reconnects whatever the other side did.

Its queue is never full. ZeroMQ stops reading from a connection whose queue is full, so it receives no heartbeat there,
makes a new connection, and aborts the process when the queue is read at last (libzmq issues 3937 and 4767). Measured
with 4.3.5 and a queue of 4: of 45 processes that paused for 5 to 40 s, 43 died, of 30 without heartbeats of their own,
6, and so did those that never paused but took one frame in 1.8 s. Without a bound, or with CONFLATE: none of 50.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from stream.client.client_keys import ClientKeys
from stream.core.clock import NS_PER_S, NowNs
from stream.core.log import redact
from stream.errors import UsageError

if TYPE_CHECKING:
    import zmq

LinkState = Literal["connecting", "connected", "refused", "handshake failed"]
"""refused: the publisher does not know our key. handshake failed: wrong keys, keys on one side only, no publisher."""

MAX_WAITING = 1000
"""Messages taken in one go; if more wait, the reader cannot keep up with the sender."""
RECEIVE_BUFFER_BYTES = 1 << 20
"""Messages in the kernel's buffer are older than those at the publisher and can no longer be replaced by newer ones."""
GIVEN_UP_NS = 3 * NS_PER_S
"""ZeroMQ does not retry after a protocol error: a refused key, a message above MAXMSGSIZE. While it does retry, an
event arrives every 2 s or more often, so a silence of 3 s means that it has given up."""


class Link:
    """Owns the socket; only the reading thread may call it.

    With ``latest`` only the newest message waits, for as long as it takes. Without, all messages wait in an unbounded
    queue, which the owner must empty all the time.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        prefixes: Iterable[bytes],
        *,
        keys: ClientKeys | None,
        max_bytes: int,
        latest: bool,
        mono_ns: NowNs,
    ) -> None:
        """Connects. Raises UsageError for an invalid endpoint."""
        import zmq

        check_endpoint(endpoint)
        self._endpoint, self._latest, self._mono_ns = endpoint, latest, mono_ns
        self.state: LinkState = "connecting"
        self.empty_ns = self._found_empty_ns = mono_ns()
        """The last moment at which the message received last had certainly not arrived, monotonic nanoseconds."""
        self.socket = context.socket(zmq.SUB)
        _set_options(self.socket, keys, max_bytes, latest=latest, ipv6="[" in endpoint)
        for prefix in prefixes:
            self.socket.subscribe(prefix)
        # Before connecting, or the first events would be missed.
        self._monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(zmq.EVENT_ALL)
        self.monitors: Sequence[Any] = (self._monitor,)
        """Readable when ``check_connection`` has events to read."""
        self._event_ns = mono_ns()
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise _invalid_endpoint(endpoint, error.strerror or "no such address") from error

    def check_connection(self) -> None:
        """Read the connection's events, and reconnect where ZeroMQ has given up."""
        import zmq
        from zmq.utils.monitor import recv_monitor_message

        with contextlib.suppress(zmq.Again):
            while int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                event = int(recv_monitor_message(self._monitor, zmq.DONTWAIT)["event"])
                self._event_ns = self._mono_ns()
                self.state = _state_after(event, self.state)
        if self.state != "connected" and self._mono_ns() - self._event_ns > GIVEN_UP_NS:
            self._reconnect()

    def receive(self) -> memoryview | None:
        """The next message, not copied; None if none waits."""
        import zmq

        before_ns = self._mono_ns()
        if not int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:  # cheaper than the exception
            self._found_empty_ns = before_ns
            return None
        buffer: memoryview = self.socket.recv(zmq.DONTWAIT, copy=False).buffer
        self.empty_ns = self._found_empty_ns
        if self._latest:
            # CONFLATE holds a single message, so the next one arrives after this one was taken.
            self._found_empty_ns = before_ns
        return buffer

    def receive_all(self) -> Iterator[memoryview]:
        """The waiting messages; beyond MAX_WAITING the link reconnects, which discards the rest."""
        for _ in range(MAX_WAITING):
            if (buffer := self.receive()) is None:
                return
            yield buffer
        self._reconnect()

    def close(self) -> None:
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)

    def _reconnect(self) -> None:
        import zmq

        self._event_ns = self._mono_ns()
        with contextlib.suppress(zmq.ZMQError):  # ENOENT: ZeroMQ has forgotten the endpoint by itself
            self.socket.disconnect(self._endpoint)
        self.socket.connect(self._endpoint)


def check_endpoint(endpoint: str) -> None:
    """Raise UsageError for an address on which no publisher can listen; ZeroMQ accepts some and waits for ever."""
    tcp = re.fullmatch(r"tcp://(?:[^\s/:*\[\]]+|\[[0-9a-fA-F:.%\w]+\]):(\d{1,5})", endpoint)
    if not (tcp and 0 < int(tcp[1]) < 65536) and not re.fullmatch(r"ipc://.+", endpoint):
        raise _invalid_endpoint(endpoint, "expected tcp://ADDRESS:PORT or ipc://PATH")


def _invalid_endpoint(endpoint: str, why: str) -> UsageError:
    return UsageError(f'cannot connect to "{redact(endpoint)}": {why}, as in tcp://127.0.0.1:5560 or ipc:///tmp/depth')


def _set_options(
    socket: zmq.Socket[bytes], keys: ClientKeys | None, max_bytes: int, *, latest: bool, ipv6: bool
) -> None:
    """Set all options before connecting; CONFLATE has no effect later."""
    socket.linger = 0
    if latest:
        socket.conflate = True
    else:
        socket.rcvhwm = 0  # no bound: a full queue aborts the process, as said at the top
    socket.rcvbuf = RECEIVE_BUFFER_BYTES
    socket.maxmsgsize = max_bytes  # refused before it is allocated, and the connection with it
    # A reader sends nothing after its subscription, so TCP alone would never notice that the other machine is gone.
    socket.heartbeat_ivl, socket.heartbeat_timeout = 1000, 3000
    # Both of these limits are below GIVEN_UP_NS, or a slow try would pass for one that ZeroMQ has given up.
    socket.reconnect_ivl, socket.reconnect_ivl_max = 100, 1500
    socket.connect_timeout = 2000
    socket.ipv6 = ipv6  # not always on: it would look for localhost at ::1 only
    if keys is not None:
        socket.curve_serverkey = keys.server_public
        socket.curve_publickey, socket.curve_secretkey = keys.client_public, keys.client_secret


def _state_after(event: int, state: LinkState) -> LinkState:
    """The state after a monitor event; a refusal stays until a handshake succeeds or the listener is gone."""
    import zmq

    if event == zmq.EVENT_DISCONNECTED:
        # ZeroMQ also disconnects after a failed handshake, which must not hide the reason.
        return "connecting" if state == "connected" else state
    states: dict[int, LinkState] = {
        zmq.EVENT_HANDSHAKE_SUCCEEDED: "connected",
        zmq.EVENT_HANDSHAKE_FAILED_AUTH: "refused",
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "handshake failed",
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "handshake failed",
        zmq.EVENT_CLOSED: "connecting",
    }
    return states.get(event, state)
