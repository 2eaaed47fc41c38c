"""A real server with the image service, a NumPy network that a test can block, and a plain HTTP client."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit

import cv2
import numpy as np
from starlette.applications import Starlette

from stream.core.clock import Stamp
from stream.frames import DepthMap, Frame, Image, View
from stream.settings import RenderSettings, WebSettings
from stream.stages.render import Painter
from stream.web.depth_api.routes import ImageService
from stream.web.server import WebServer


@dataclass(frozen=True)
class Reply:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def words(self) -> str:
        return self.body.decode()

    @property
    def data(self) -> Any:
        """The body as strict JSON."""
        return json.loads(self.body, parse_constant=_refuse)


class Network:
    """Depth is the blue channel, in metres. Records its calls, and waits while a test clears ``go``."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.most_at_once, self._now = 0, 0
        self.entered = threading.Semaphore(0)
        """Released once for each call that has begun."""
        self.go = threading.Event()
        self.go.set()
        self._lock = threading.Lock()

    def __call__(self, model: str, image: Image) -> DepthMap:
        with self._lock:
            self.calls.append(model)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        self.entered.release()
        assert self.go.wait(20)
        with self._lock:
            self._now -= 1
        depth = image[..., 0].astype(np.float32)
        return DepthMap(depth, "metric", Frame(image, "image", 0, Stamp.now()), model)


def painted(depth_map: DepthMap, colormap: str) -> View:
    return Painter(RenderSettings(colormap=colormap))(depth_map)  # type: ignore[arg-type]


class Client:
    """Sends requests to one server, each over a connection of its own."""

    def __init__(self, url: str, service: ImageService) -> None:
        self.host, self.service = urlsplit(url).netloc, service

    def post(
        self, body: bytes, content_type: str = "image/png", headers: Mapping[str, str] | None = None, **query: str
    ) -> Reply:
        return self.ask(
            "POST", f"/api/depth?{urlencode(query)}", body, {"Content-Type": content_type, **(headers or {})}
        )

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        with closing(HTTPConnection(self.host, timeout=20)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def count(self, name: str) -> float:
        return self.service.counts()[name]

    def half_sent(self, body: bytes, length: int | None = None, more: str = "") -> socket.socket:
        """A connection on which a POST has begun: only ``body`` is sent of ``length`` announced bytes."""
        host, port = self.host.split(":")
        connection = socket.create_connection((host, int(port)), timeout=20)
        head = f"POST /api/depth?output=npy HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: image/png\r\n{more}"
        connection.sendall(f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body)
        return connection


def read_all(connection: socket.socket) -> bytes:
    """All data until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@contextmanager
def serving(
    network: Any, models: tuple[str, ...] = ("blue", "other"), *, grace_s: float = 20.0, **settings: Any
) -> Iterator[Client]:
    """The service behind a real server on a free port; threads of both end with it."""
    web = WebSettings(address="127.0.0.1:0", **settings)
    with (
        ImageService(network, models, web, paint=painted, grace_s=grace_s) as service,
        WebServer(Starlette(routes=service.routes()), web) as server,
    ):
        yield Client(server.url, service)


def wait_until(true: Callable[[], bool]) -> None:
    """At most 20 s."""
    end, pause = monotonic() + 20, threading.Event()
    while not true():
        assert monotonic() < end, "waited 20 s for nothing"
        pause.wait(0.005)


def noise(height: int = 24, width: int = 32, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(image: Image, ending: str = ".png") -> bytes:
    done, data = cv2.imencode(ending, image)
    assert done
    return data.tobytes()


def form(boundary: str = "xYz", **parts: bytes | str) -> tuple[bytes, str]:
    """A multipart form and its content type; bytes are files, strings are fields."""
    body = b""
    for name, value in parts.items():
        file = '; filename="a.png"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")
