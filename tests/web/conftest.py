"""A real web server on a free port of this machine, and views to show on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.core.view_controls import ViewControls
from stream.frames import DepthMap, Floats, Frame, Image, Kind, View
from stream.runtime.stats import PipelineStats
from stream.settings import WebSettings
from stream.web.app import build_app
from stream.web.live.hub import WebSink
from stream.web.server import WebServer
from stream.web.services import Services

ANY_PORT = "127.0.0.1:0"
NO_STATS = PipelineStats("test", 1.0, (), ())


@dataclass(frozen=True)
class Served:
    """A running server and what it shows."""

    server: WebServer
    sink: WebSink
    controls: ViewControls

    @property
    def port(self) -> int:
        return int(urlsplit(self.server.url).port or 0)

    @property
    def ws(self) -> str:
        """The address of the WebSocket."""
        address, _, query = self.server.url.replace("http", "ws", 1).partition("?")
        return f"{address}ws" + (f"?{query}" if query else "")


@pytest.fixture
def web_view() -> Callable[..., View]:
    """``web_view(seq=3, camera="left", size=(48, 64), noise=True)``: depth is seq + 0.5 unless given."""

    def make(
        seq: int = 0,
        camera: str = "front",
        size: tuple[int, int] = (48, 64),
        *,
        noise: bool = False,
        depth: Floats | None = None,
        kind: Kind = "metric",
        **of_depth: Any,
    ) -> View:
        image: Image = np.full((*size, 3), seq % 256, np.uint8)
        if noise:  # JPEG does not make it small
            image = np.random.default_rng(seq).integers(0, 256, (*size, 3), np.uint8)
        depth = np.full(size, seq + 0.5, np.float32) if depth is None else depth
        depth_map = DepthMap(depth, kind, Frame(image, camera, seq, Stamp.now()), "tiny", **of_depth)
        return View(255 - image, depth_map, 0.5, 4.0)

    return make


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """``serve(cameras=("front",), stats=..., **web_settings)`` starts a server that ends with the test."""
    with ExitStack() as servers:

        def start(
            cameras: tuple[str, ...] = ("front",), stats: Callable[[], PipelineStats] = lambda: NO_STATS, **web: Any
        ) -> Served:
            settings = WebSettings(**{"address": ANY_PORT} | web)
            sink, controls = WebSink(cameras), ViewControls()
            app = build_app(Services(sink, controls, stats, (), None, settings))
            return Served(servers.enter_context(WebServer(app, settings)), sink, controls)

        yield start
