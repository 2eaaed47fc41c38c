"""A viewer for tests: what the page says and hears at the WebSocket, without a page."""

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
    """A binary message, taken apart."""

    head: dict[str, Any]
    jpegs: dict[str, bytes]


class WebClient:
    """One connection; what it hears of another kind than it waits for is passed over."""

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
        """The next message of this kind in which these values are."""
        while True:
            data = self.socket.recv(PATIENCE_S)
            if isinstance(data, str):
                message: dict[str, Any] = json.loads(data)
                if message["type"] == kind and with_values.items() <= message.items():
                    return message

    def image(self, timeout_s: float = PATIENCE_S) -> Image:
        """The next image; TimeoutError when nothing at all comes for ``timeout_s``."""
        while True:
            data = self.socket.recv(timeout_s)
            if isinstance(data, bytes):
                return take_apart(data)

    def shown(self, image: Image) -> Image:
        """Acknowledge it."""
        self.say("shown", camera=image.head["camera"], seq=image.head["seq"])
        return image

    def kinds_until(self, kind: str) -> list[str]:
        """What kinds of messages come, images as "image <seq>", up to the first of ``kind``."""
        heard: list[str] = []
        while not heard or heard[-1] != kind:
            data = self.socket.recv(PATIENCE_S)
            name = f"image {take_apart(data).head['seq']}" if isinstance(data, bytes) else json.loads(data)["type"]
            heard.append(name)
        return heard


def take_apart(data: bytes) -> Image:
    (length,) = struct.unpack_from("<I", data)
    head, at, jpegs = json.loads(data[4 : 4 + length]), 4 + length, {}
    for part in head["parts"]:
        jpegs[part["name"]] = data[at : at + part["bytes"]]
        at += part["bytes"]
    assert at == len(data), "nothing comes behind the last JPEG"
    return Image(head, jpegs)


class MuteClient:
    """Watches, acknowledges on demand, and reads nothing but that it may."""

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


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until it is so; what another thread does shortly has no event of its own."""
    deadline = Deadline.after(PATIENCE_S)
    while not is_so() and not deadline.passed:
        sleep(0.005)
    assert is_so()
