"""A real checkpoint, and a real web server that misbehaves on request."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stream.models.base import DepthModel
from stream.models.tiny import TINY
from stream.models.weights import random_state


@dataclass
class Site:
    """What the server serves, how it misbehaves, and the requests that it received."""

    content: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    honours_if_range: bool = True
    announces_size: bool = True
    cut_after: int | None = None
    status: int | None = None
    silent: threading.Event | None = None
    """Set by the test when the server may go on."""
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(dict(self.headers.items()))
        if site.silent:
            site.silent.wait(5)
        if site.status:
            self.send_error(site.status)
            return
        start, total = self._start(), len(site.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self._answer(start, total)

    def _start(self) -> int:
        wanted = self.headers.get("Range")
        if not wanted or not self.site.ranges:
            return 0
        condition = self.headers.get("If-Range")
        if condition and self.site.honours_if_range and condition != self.site.etag:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _answer(self, start: int, total: int) -> None:
        body = self.site.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.site.announces_size:
            self.send_header("Content-Length", str(len(body)))
        if self.site.etag:
            self.send_header("ETag", self.site.etag)
        self.end_headers()
        self.wfile.write(body[: self.site.cut_after])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the test."""


@pytest.fixture(scope="session")
def checkpoint() -> bytes:
    """A torch file that fits the tiny network, with random values (3.7 MB)."""
    return packed(random_state(TINY), "zip")


@pytest.fixture(scope="session")
def pack() -> Callable[..., bytes]:
    """``pack(state, kind, entry)``: the bytes of a file of weights; kind: zip, legacy or safetensors."""
    return packed


@pytest.fixture
def site(checkpoint: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine that offers the checkpoint."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site(checkpoint)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}/tiny.pt"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="site")
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder in use."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offered(site: Site, cache: Path) -> Callable[..., DepthModel]:
    """``offered(sha256=...)``: a model whose weights are on the server."""

    def make(**changes: Any) -> DepthModel:
        weights = replace(TINY.weights, filename="tiny.pt", url=site.url, size_bytes=None, sha256=None)
        return replace(TINY, weights=replace(weights, **changes))

    return make


def packed(state: dict[str, Any], kind: str, entry: str | None = None) -> bytes:
    """A weights file; with an entry it also holds other things next to the tensors, as official files do."""
    import torch
    from safetensors.torch import save

    if kind == "safetensors":
        return save(state)
    buffer = io.BytesIO()
    content = state if entry is None else {"epoch": 7, entry: state, "config": {"name": "tiny", "rates": [0.1, 0.2]}}
    torch.save(content, buffer, _use_new_zipfile_serialization=kind == "zip")
    return buffer.getvalue()
