"""Clients that test the camera: PyAV as the product uses it, and a bare socket for bad behaviour."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pipelines.drill.camera.numbered import Image
from tests.rigs.rtsp_camera import read_number

if TYPE_CHECKING:
    from av.packet import Packet

TIMEOUT_S = 10.0
"""Seconds to open and to read; FFmpeg itself would wait for ever."""
LIVE = {"fpsprobesize": "0"}
"""Options that halve the time to open: the frame rate is not estimated."""


class Seen(NamedTuple):
    """One decoded image."""

    number: int | None
    """The number read from the pixels; None if it is unreadable."""
    size: tuple[int, int]
    """Width and height, pixels."""
    pts: int | None
    """Presentation time, 1/90000 s."""
    captured_unix_s: float | None
    """Time of capture by the camera's clock, from its sender reports; None before the first one."""
    image: Image
    """(H, W, 3) uint8 BGR."""


@contextmanager
def watching(
    url: str, transport: str = "tcp", *, timeout_s: float = TIMEOUT_S, **options: str
) -> Iterator[Iterator[Seen]]:
    """Yield decoded images until the stream ends; undecodable ones are left out."""
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
        """Send a request and return the head of the answer; use it only while no media come."""
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
        """Start playing over this connection."""
        self.ask("SETUP", "/track0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        self.ask("PLAY")
