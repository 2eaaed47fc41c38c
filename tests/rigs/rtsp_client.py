"""Clients to try the camera with: PyAV as the product uses it, and a bare socket for what no good client does."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from tests.rigs.rtsp.numbered import Image
from tests.rigs.rtsp_camera import read_number

if TYPE_CHECKING:
    from av.packet import Packet

TIMEOUT_S = 10.0
"""To open and to read; FFmpeg itself would wait for ever."""
LIVE = {"fpsprobesize": "0"}
"""Opens in half the time: the frame rate is not estimated."""


class Seen(NamedTuple):
    """One decoded image."""

    number: int | None
    """Read from the pixels."""
    size: tuple[int, int]
    """Width, height."""
    pts: int | None
    """In 1/90000 s."""
    captured_unix_s: float | None
    """By the camera's clock, from its sender reports; None before the first."""
    image: Image
    """(H, W, 3) uint8 BGR."""


@contextmanager
def watching(
    url: str, transport: str = "tcp", *, timeout_s: float = TIMEOUT_S, **options: str
) -> Iterator[Iterator[Seen]]:
    """Images as they come, until the stream ends; what cannot be decoded is left out."""
    import av

    options = {"rtsp_transport": transport, **LIVE, **options}
    with av.open(url, options=options, timeout=timeout_s) as container:
        container.streams.video[0].thread_type = "SLICE"
        yield _images(container)


def _images(container: Any) -> Iterator[Seen]:
    import av

    times: dict[int | None, float] = {}
    for packet in container.demux(video=0):
        if (captured := _captured_unix_s(packet)) is not None:
            times[packet.pts] = captured
        try:
            frames = packet.decode() if packet.size else []
        except av.error.FFmpegError:
            continue
        for frame in frames:
            image: Image = frame.to_ndarray(format="bgr24")
            captured_unix_s = times.pop(frame.pts, None)
            yield Seen(read_number(image), (frame.width, frame.height), frame.pts, captured_unix_s, image)


def _captured_unix_s(packet: Packet[Any]) -> float | None:
    """FFmpeg's AVProducerReferenceTime: int64 microseconds since 1970, int32 flags."""
    for data in packet.iter_sidedata():
        if data.data_type == "prft":
            microseconds: int = struct.unpack_from("<q", bytes(data))[0]
            return microseconds / 1e6
    return None


class BareClient:
    """Sends RTSP requests as they are written and reads answers; its socket can be left unread."""

    def __init__(self, url: str, receive_bytes: int | None = None) -> None:
        self.url = url
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(TIMEOUT_S)
        parts = urlsplit(url)
        self.socket.connect((parts.hostname, parts.port))
        self._asked = 0

    def __enter__(self) -> BareClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def ask(self, method: str, target: str = "", **headers: str) -> str:
        """The head of the answer; only for times when no media come."""
        self._asked += 1
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"{method} {self.url}{target} RTSP/1.0\r\nCSeq: {self._asked}\r\n{fields}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self.socket.recv(4096)
            if not data:
                raise ConnectionError(f"the camera hung up on {method}")
            answer += data
        return answer.partition(b"\r\n\r\n")[0].decode()

    def play(self) -> None:
        """Have the camera send over this connection."""
        self.ask("SETUP", "/track0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        self.ask("PLAY")
