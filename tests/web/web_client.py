"""A viewer for tests: speaks the page's WebSocket protocol without a page."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from time import sleep
from typing import Any, NamedTuple, Self

from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from stream.core.clock import Deadline

PATIENCE_S = 10.0


class Image(NamedTuple):
    """A binary message, unpacked."""

    head: dict[str, Any]
    jpegs: dict[str, bytes]


class WebClient:
    """One connection; messages of another kind than the awaited one are skipped."""

    def __init__(self, url: str, **options: Any) -> None:
        self._connecting = connect(url, **{"compression": None, "proxy": None} | options)

    def __enter__(self) -> Self:
        self.socket: ClientConnection = self._connecting.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def say(self, kind: str, **message: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **message}))

    def watch(self, **cameras: str) -> None:
        self.say("watch", cameras=cameras)

    def hear(self, kind: str, **with_values: Any) -> dict[str, Any]:
        """The next message of this kind that contains these values."""
        while True:
            data = self.socket.recv(PATIENCE_S)
            if isinstance(data, str):
                message: dict[str, Any] = json.loads(data)
                if message["type"] == kind and with_values.items() <= message.items():
                    return message

    def image(self, timeout_s: float = PATIENCE_S) -> Image:
        """The next image. Raises TimeoutError when no message at all arrives for ``timeout_s``."""
        while True:
            data = self.socket.recv(timeout_s)
            if isinstance(data, bytes):
                return unpack(data)

    def shown(self, image: Image) -> Image:
        """Acknowledge it."""
        self.say("shown", camera=image.head["camera"], seq=image.head["seq"])
        return image

    def kinds_until(self, kind: str) -> list[str]:
        """The kinds of the messages up to the first of ``kind``; images appear as "image <seq>"."""
        heard: list[str] = []
        while not heard or heard[-1] != kind:
            data = self.socket.recv(PATIENCE_S)
            name = f"image {unpack(data).head['seq']}" if isinstance(data, bytes) else json.loads(data)["type"]
            heard.append(name)
        return heard


def unpack(data: bytes) -> Image:
    (length,) = struct.unpack_from("<I", data)
    head, at, jpegs = json.loads(data[4 : 4 + length]), 4 + length, {}
    for part in head["parts"]:
        jpegs[part["name"]] = data[at : at + part["bytes"]]
        at += part["bytes"]
    assert at == len(data), "nothing comes behind the last JPEG"
    return Image(head, jpegs)


class MuteClient:
    """A viewer that watches and acknowledges on demand, but reads nothing after the handshake."""

    def __init__(self, port: int, *cameras: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert self._socket.recv(12) == b"HTTP/1.1 101"
        self.say("watch", cameras=dict.fromkeys(cameras, "both"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()

    def say(self, kind: str, **message: Any) -> None:
        text = json.dumps({"type": kind, **message}).encode()
        self._socket.sendall(Frame(Opcode.TEXT, text).serialize(mask=True))


def eventually(is_true: Callable[[], bool]) -> None:
    """Poll until true, for changes by another thread that no event signals."""
    deadline = Deadline.after(PATIENCE_S)
    while not is_true() and not deadline.passed:
        sleep(0.005)
    assert is_true()
