"""Endpoints of a publisher: validation, which ones other machines can reach, and binding with clear errors."""

from __future__ import annotations

import errno
import ipaddress
import logging
import re
import socket as sockets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stream.errors import SinkError, UsageError
from stream.settings import PublishSettings

if TYPE_CHECKING:
    import zmq

TCP = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5}|\*)", re.ASCII)
IPC = "ipc://"
MAX_PORT = 65535
"""Checked here because ZeroMQ accepts a larger number and listens on another port."""

_log = logging.getLogger(__name__)


def check_endpoints(settings: PublishSettings) -> None:
    """Raise UsageError for an invalid endpoint, and for one open to other machines without keys or allow_anyone."""
    for endpoint in settings.endpoints:
        if not _is_valid(endpoint):
            raise UsageError(
                f'publish.endpoints: "{endpoint}" is no place to listen: write tcp://127.0.0.1:5560 (this machine), '
                "tcp://*:5560 (every network card), or ipc:///run/depth.ipc (a file, this machine)"
            )
        if settings.keys is None and is_open_to_others(endpoint):
            _check_allow_anyone(endpoint, settings.allow_anyone)


def is_open_to_others(endpoint: str) -> bool:
    """True if another machine may reach the endpoint; host names other than ``localhost`` and ``lo`` count as such."""
    tcp = TCP.fullmatch(endpoint)
    if tcp is None or tcp["host"] in ("localhost", "lo"):
        return False
    try:
        return not ipaddress.ip_address(tcp["host"].strip("[]")).is_loopback
    except ValueError:  # "*", or the name of a network card
        return True


def bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind the socket and return the endpoint with the port that the system assigned for ``*``. Raises SinkError.

    The file of an ipc endpoint whose publisher has gone is replaced. A file with a listener, or one that is no socket,
    is kept and is an error (ZeroMQ would delete either).
    """
    import zmq

    path = ipc_path(endpoint)
    if path is not None:
        _check_ipc_file(path, endpoint)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise SinkError(f"cannot publish on {endpoint}: {_bind_advice(error, endpoint)}") from error
    return bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()


def ipc_path(endpoint: str) -> Path | None:
    """The file of an ipc endpoint; None for tcp, and for names without a file."""
    name = endpoint.removeprefix(IPC)
    return None if name == endpoint or name.startswith("@") else Path(name)


def _is_valid(endpoint: str) -> bool:
    if tcp := TCP.fullmatch(endpoint):
        return tcp["port"] == "*" or int(tcp["port"]) <= MAX_PORT
    return endpoint.startswith(IPC) and endpoint.removeprefix(IPC) not in ("", "*", "@")


def _check_allow_anyone(endpoint: str, allowed: bool) -> None:
    if not allowed:
        raise UsageError(
            f"publish.endpoints: other machines reach {endpoint}, and there are no keys: set publish.keys to a folder "
            'of keys ("depthstream keys new NAME" makes one), or publish.allow_anyone = true to let anyone read'
        )
    _log.warning(
        "anyone who reaches %s may read depth and images: allow_anyone is set, and there are no keys", endpoint
    )


def _check_ipc_file(path: Path, endpoint: str) -> None:
    if not path.parent.is_dir():
        raise SinkError(f"cannot publish on {endpoint}: there is no folder {path.parent}; mkdir -p {path.parent}")
    if path.exists() and not path.is_socket():
        raise SinkError(f"cannot publish on {endpoint}: {path} is not a socket; choose another name")
    if path.exists() and _has_listener(path):
        raise SinkError(f"cannot publish on {endpoint}: another program listens there; stop it, or choose another name")


def _has_listener(path: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe, suppress(OSError):
        probe.setblocking(False)  # a listener with a full backlog raises BlockingIOError instead of making us wait
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        return True
    return False


def _bind_advice(error: zmq.ZMQError, endpoint: str) -> str:
    port = endpoint.rpartition(":")[2]
    advice = {
        errno.EADDRINUSE: f"another program listens there (ss -ltnp shows which); stop it, or choose another port "
        f"than {port}",
        errno.EADDRNOTAVAIL: "no network card of this machine has this address (ip addr lists them)",
        errno.ENODEV: "no network card of this machine has this name or address (ip addr lists them)",
        errno.EACCES: "this user has no permission; choose a port above 1023, or a folder that you may write to",
        errno.ENAMETOOLONG: "the path is longer than the 107 characters a socket may have",
    }
    return advice.get(error.errno or 0, f"{error.strerror}")
