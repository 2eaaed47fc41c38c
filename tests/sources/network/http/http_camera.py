"""An HTTP server whose every byte a test decides, and numbered JPEG images for it to send."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from pipelines.drill.camera.numbered import read_number, write_number
from stream.settings import NetworkCamera
from stream.sources.network.access_unit import AccessUnit, Reader
from stream.sources.network.http.opening import open_http
from stream.sources.network.url import CameraUrl

CERTIFICATE = Path(__file__).with_name("certificate.pem")
"""Self-signed, for 127.0.0.1 and localhost, with its private key; for tests only."""
PATIENCE_S = 20.0
"""A test that waits longer has failed."""


class Exchange:
    """One request and the answer to it."""

    def __init__(self, sock: socket.socket, over: threading.Event, peer: int) -> None:
        self.over = over
        """Set when the test ends."""
        self.peer = peer
        """The client's port: requests of the same peer came over the same connection."""
        self.keep = False
        """Wait for another request on the same connection."""
        self.sock = sock
        self.target = ""
        self.headers: dict[str, str] = {}

    def read_request(self) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                return False
            data += more
        first, *lines = data.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        self.target = first.split(" ")[1]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return True

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hold(self) -> None:
        """Keep the connection open, silently, until the test ends."""
        self.over.wait(PATIENCE_S)


Handler = Callable[[Exchange], None]


class HttpCamera:
    """``with HttpCamera({"/path": handler})``: answers any number of connections, each in its own thread."""

    def __init__(self, routes: Mapping[str, Handler], *, tls: bool = False) -> None:
        self._routes = routes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._scheme = "https" if tls else "http"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._context is not None:
            self._context.load_cert_chain(CERTIFICATE)
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self.over = threading.Event()
        self.requests: list[Exchange] = []
        """All that came, in order."""
        self.port: int = self._listener.getsockname()[1]

    def url(self, path: str, user: str = "", host: str = "127.0.0.1") -> str:
        """``user`` may be ``name:password``."""
        return f"{self._scheme}://{user}{'@' if user else ''}{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Cut every connection and accept no more."""
        self.over.set()
        for sock in (self._listener, *self._connections):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self.over.is_set():
                sock, (_, peer) = self._listener.accept()
                self._connections.append(sock)
                self._threads.append(threading.Thread(target=self._serve, args=(sock, peer)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket, peer: int) -> None:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._connections.append(sock)
            with sock:
                while (exchange := Exchange(sock, self.over, peer)).read_request():
                    self.requests.append(exchange)
                    self._routes[exchange.target.partition("?")[0]](exchange)
                    if not exchange.keep:
                        sock.shutdown(socket.SHUT_WR)
                        break
        sock.close()


def answer(
    body: bytes = b"", kind: str = "image/jpeg", status: str = "200 OK", *extra: str, length: bool = True
) -> bytes:
    """The bytes of a whole answer."""
    head = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), *extra]
    head += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def always(data: bytes, *, hold: bool = False) -> Handler:
    """A handler that sends ``data`` and ends the connection, or holds it open."""

    def handle(exchange: Exchange) -> None:
        exchange.send(data)
        if hold:
            exchange.hold()

    return handle


def stream_head(boundary: str = "image") -> bytes:
    return answer(kind=f"multipart/x-mixed-replace; boundary={boundary}", length=False)


def part(jpeg: bytes, boundary: str = "--image") -> bytes:
    """One part as most cameras frame it."""
    head = f"{boundary}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"


@cache
def numbered_jpeg(number: int, size: tuple[int, int] = (48, 160), *options: int) -> bytes:
    """A JPEG file of (height, width) ``size`` with ``number`` painted in; ``options`` are those of cv2.imencode."""
    image = np.random.default_rng(number).integers(100, 156, (*size, 3), np.uint8)
    write_number(image, number)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90, *options])[1].tobytes()


def number_of(jpeg: bytes) -> int | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else read_number(image)


def http_settings(url: str, **settings: object) -> NetworkCamera:
    return NetworkCamera(source="url", url=url, **{"open_s": PATIENCE_S, **settings})


@contextmanager
def opened(url: str, **settings: object) -> Iterator[Reader]:
    """An open reader, which is interrupted if the test takes too long."""
    reader = open_http(http_settings(url, **settings), CameraUrl(url))
    assert reader is not None
    watchdog = threading.Timer(PATIENCE_S, reader.interrupt)
    watchdog.start()
    try:
        yield reader
    finally:
        watchdog.cancel()
        watchdog.join()
        reader.close()


def units(reader: Reader, count: int) -> list[AccessUnit]:
    """The next ``count`` images; then ``items`` is interrupted and must end."""
    found: list[AccessUnit] = []
    for unit in reader.items():
        assert isinstance(unit, AccessUnit)
        found.append(unit)
        if len(found) == count:
            reader.interrupt()
    return found
