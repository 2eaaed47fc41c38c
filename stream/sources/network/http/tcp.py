"""A TCP connection whose bytes carry the time of their arrival in this machine, however late this process reads them.

The law: ``Piece.first_ns`` is at most 0.1 s after the first byte could have arrived here.

- Linux's time stamps alone don't hold it: it joins what waits in a socket into one piece and keeps the newest stamp
  only (``tcp_try_coalesce``), also after 1.5 s. So the last moment is kept at which nothing waited: what waits now is
  not older. Where the stamp is much later, that moment counts.
- When so much waited that the sender had to wait, too, later data may be as old. It counts as old until the sender is
  seen to have no more; after half a second it is ``is_overdue``.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from time import monotonic_ns
from typing import Any, NamedTuple, Protocol

from stream.core.clock import NS_PER_MS, NS_PER_S
from stream.sources.network.arrival import ANCILLARY_BYTES, arrived_ns, keep_arrival_times, waiting

SLICE_S = 0.02
"""One wait at the least; at the end of each it is known that nothing waited."""
BELIEVED_NS = 50 * NS_PER_MS
"""By so much a stamp may be too late: more than a slice, so that a busy machine keeps most stamps."""
HELD_NS = 50 * NS_PER_MS
"""By so much the sender may have had to wait without a consequence."""
RELEASED_NS = 250 * NS_PER_MS
"""After so long without a full buffer the sender has caught up."""
OVERDUE_NS = 500 * NS_PER_MS
OVERDUE_UNSEEN_NS = 300 * NS_PER_MS
"""Where the system does not tell what waits in a socket (all but Linux), being late by this much is enough."""
FLOODED_NS = 1 * NS_PER_S
"""A buffer that is full for so long is filled faster than it is read."""
READ_BYTES = 64 << 10
"""Read beyond what waits, so that a read takes all of it."""
SMALL_BYTES = 8 << 10
"""Less never fills a receive buffer."""
_WINDOW_AND_RTT = struct.Struct("@64x2I")
"""In Linux's struct tcp_info: the largest window that it offers at present (rcv_ssthresh), bytes, and the round trip
time, microseconds."""


class Piece(NamedTuple):
    """Bytes that were read together."""

    data: bytes
    """Empty: the other side ended the connection."""
    first_ns: int
    """Arrival of the first of them, CLOCK_MONOTONIC, nanoseconds; rather too early than too late."""
    last_ns: int
    """Arrival of the last of them."""
    is_overdue: bool = False
    """So many waited for so long that the sender had to wait, too: how old it has let its data become is unknown."""


class Connection(Protocol):
    """A connection to a server, plain or encrypted. All but ``interrupt`` belong to one thread."""

    def send(self, data: bytes, until_ns: int) -> None:
        """Send all of ``data``. Raises OSError; TimeoutError at ``until_ns`` on the monotonic clock."""
        ...

    def receive(self, until_ns: int | None = None) -> Piece:
        """What arrived, as soon as anything did. Raises OSError; TimeoutError at ``until_ns``."""
        ...

    def interrupt(self) -> None:
        """Make ``receive`` return an empty piece or raise OSError, now and in future; from any thread."""
        ...

    def close(self) -> None:
        """Close it; it may be closed already."""
        ...


class TcpConnection:
    """A Connection without encryption. ``sock`` is new; ``connect`` comes first."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._empty_ns = monotonic_ns()
        """Nothing waited at this time or later."""
        self._held_ns: int | None = None
        """Since then the sender may have had to wait."""
        self._full_ns = 0
        """The newest read of a full buffer."""
        self._flooded_ns: int | None = None
        """Since then each read found a full buffer, without a pause."""

    def connect(self, address: Any, until_ns: int) -> None:
        """``address`` as ``getaddrinfo`` gives it. Raises OSError; TimeoutError at ``until_ns``."""
        self._sock.settimeout(_seconds(until_ns))
        self._sock.connect(address)
        keep_arrival_times(self._sock)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes, until_ns: int) -> None:
        self._sock.settimeout(_seconds(until_ns))
        self._sock.sendall(data)

    def receive(self, until_ns: int | None = None) -> Piece:
        while not self._arrives_within_slice(until_ns):
            pass
        return self._take()

    def interrupt(self) -> None:
        with suppress(OSError):  # not connected yet, or no longer
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()

    def _arrives_within_slice(self, until_ns: int | None) -> bool:
        slice_s = SLICE_S if self._held_ns is None else max(SLICE_S, 2 * self._window_and_rtt()[1] / 1e6)
        asked_ns = monotonic_ns()
        wait_s = slice_s if until_ns is None else min(slice_s, _seconds(until_ns))
        self._sock.settimeout(wait_s)
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            # The time before the wait and its length, because the process may have been stopped since its end.
            self._empty_ns = asked_ns + int(wait_s * NS_PER_S)
            if wait_s == slice_s:  # all that was read made room, and the sender had time to fill it
                self._held_ns = self._flooded_ns = None
            return False
        return True

    def _take(self) -> Piece:
        waits = waiting(self._sock)
        size = waits.size + READ_BYTES
        full = self._full_bytes()
        read_ns = monotonic_ns()
        if sys.platform == "linux":
            data, ancillary, _, _ = self._sock.recvmsg(size, ANCILLARY_BYTES)
            last_ns = arrived_ns(ancillary)
        else:
            data, last_ns = self._sock.recv(size), monotonic_ns()
        first_ns = self._first_ns(waits.arrived_ns)
        if len(data) < size:
            self._empty_ns = read_ns
        self._note(read_ns, first_ns, len(data) >= full)
        overdue = self._is_overdue(read_ns, first_ns) and bool(data)
        first_ns = first_ns if self._held_ns is None else min(first_ns, self._held_ns)
        return Piece(data, first_ns, max(first_ns, last_ns), overdue)

    def _first_ns(self, stamped_ns: int) -> int:
        first_ns = max(stamped_ns, self._empty_ns)  # earlier if the wall clock was set meanwhile
        return first_ns if first_ns - self._empty_ns <= BELIEVED_NS else self._empty_ns

    def _note(self, now_ns: int, first_ns: int, is_full: bool) -> None:
        """Follow whether the sender has to wait."""
        if is_full:
            self._full_ns = now_ns
            self._flooded_ns = self._flooded_ns or now_ns
            if self._held_ns is None and now_ns - first_ns > HELD_NS:
                self._held_ns = first_ns
        else:
            self._flooded_ns = None
            if now_ns - self._full_ns > RELEASED_NS:
                self._held_ns = None

    def _is_overdue(self, now_ns: int, first_ns: int) -> bool:
        if sys.platform != "linux" and now_ns - first_ns > OVERDUE_UNSEEN_NS:
            return True
        if self._held_ns is not None and now_ns - self._held_ns > OVERDUE_NS:
            return True
        return self._flooded_ns is not None and now_ns - self._flooded_ns > FLOODED_NS

    def _full_bytes(self) -> int:
        """With so many bytes waiting, the sender may have been told to wait.

        A quarter of the receive buffer, because the system keeps up to half of it for its own book-keeping; and half of
        the window, which is smaller while the system learns what the connection needs.
        """
        full: int = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 4
        window, _ = self._window_and_rtt()
        return max(SMALL_BYTES, min(full, window // 2) if window else full)

    def _window_and_rtt(self) -> tuple[int, int]:
        """Bytes and microseconds; 0 where they are unknown."""
        if sys.platform != "linux":
            return 0, 0
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WINDOW_AND_RTT.size)
        window, rtt_us = _WINDOW_AND_RTT.unpack(info)
        return window, rtt_us


def _seconds(until_ns: int) -> float:
    """Seconds until ``until_ns``. Raises TimeoutError if it is over."""
    left_ns = until_ns - monotonic_ns()
    if left_ns <= 0:
        raise TimeoutError("timed out")
    return left_ns / NS_PER_S
