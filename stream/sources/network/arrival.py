"""The moment at which bytes reached this machine, however late this process reads them.

Linux keeps it with each piece of received data (SO_TIMESTAMPNS; for TCP since Linux 4.14). For datagrams it is right
even in a process that was stopped or starved. TCP may join pieces that wait, and keeps the time of the newest: a reader
must remember when it last found nothing waiting, and be content with that. Elsewhere only the time of reading is known.
"""

from __future__ import annotations

import socket
import struct
import sys
from time import monotonic_ns, time_ns
from typing import NamedTuple

from stream.core.clock import NS_PER_S

SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; Python has no name for it."""
_TIMESPEC = struct.Struct("@qq")
ANCILLARY_BYTES = 128


class Waiting(NamedTuple):
    """Bytes that wait in a socket."""

    size: int
    """Bytes, 0 to the size of the receive buffer."""
    arrived_ns: int
    """Arrival of the first of them, CLOCK_MONOTONIC, nanoseconds; now if it is unknown or nothing waits."""


def keep_arrival_times(sock: socket.socket) -> None:
    """Ask the kernel to keep the arrival time of everything that this socket receives from now on."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def waiting(sock: socket.socket) -> Waiting:
    """What waits in a TCP socket, without taking it. Raises OSError if the connection is broken."""
    if sys.platform != "linux":
        return Waiting(0, monotonic_ns())
    import fcntl  # not on Windows
    import termios

    size = int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)
    if size == 0:
        return Waiting(0, monotonic_ns())
    _, ancillary, _, _ = sock.recvmsg(1, ANCILLARY_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return Waiting(size, arrived_ns(ancillary))


def arrived_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The arrival time in the ancillary data of ``recvmsg``, CLOCK_MONOTONIC, nanoseconds; now if there is none.

    For a datagram it is the datagram's. For TCP it is the last piece's that the call returned.
    """
    now_ns = monotonic_ns()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            # The kernel's stamp is on the wall clock; only the difference between two of its readings is used.
            waited_ns: int = time_ns() - (seconds * NS_PER_S + nanoseconds)
            return now_ns - max(0, waited_ns)
    return now_ns
