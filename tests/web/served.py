"""A pipeline of real stages with two cameras that a test controls, and a real web server in front of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPMessage
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from stream.core.clock import Stamp
from stream.core.view_controls import ViewControls
from stream.errors import SourceError
from stream.frames import DepthMap, Dropped, Frame
from stream.runtime.pipeline import Pipeline, chain
from stream.settings import RenderSettings, WebSettings
from stream.sources.health import Health
from stream.stages.publish import publish
from stream.stages.render import render
from stream.web.app import Services, build_app
from stream.web.depth_api.routes import ImageService
from stream.web.live.hub import WebSink
from stream.web.server import WebServer

PASSWORD = "s3cr3t-pass"
TOKEN = "a token of at least 16"
URL = f"rtsp://admin:{PASSWORD}@10.0.0.7/main"
PAUSE_S = 0.02


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    body: str

    @property
    def data(self) -> Any:
        """The body as strict JSON: NaN is none."""
        return json.loads(self.body, parse_constant=_refuse)


class Served:
    """Camera "front" is live, loses every fifth frame and can be cut; "clip" is a file. Events control them.

    ``cut``: the live camera is lost; ``over``: the file has ended; ``hold``: the network blocks on its next item.
    """

    def __init__(
        self,
        required: tuple[str, ...] = ("depth", "show"),
        cameras: tuple[str, ...] = ("front", "clip"),
        images: ImageService | None = None,
    ) -> None:
        self.sink, self.controls = WebSink(cameras), ViewControls()
        self.health = Health("front")
        self.cut, self.over, self.hold = threading.Event(), threading.Event(), threading.Event()
        self.is_held = threading.Event()
        self.pipe = self._pipeline()
        self._required, self.images = required, images
        self._url = ""

    @contextmanager
    def serving(self, **settings: Any) -> Iterator[Served]:
        """Pipeline and server run inside; the first images of both cameras are there."""
        web = WebSettings(address="127.0.0.1:0", **settings)
        app = build_app(Services(self.sink, self.controls, self.pipe.stats, self._required, self.images, web))
        with WebServer(app, web) as server, self.pipe:
            self._url = server.url
            wait_until(lambda: all(self.sink.newest(camera) for camera in ("front", "clip")))
            yield self

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with closing(HTTPConnection(urlsplit(self._url).netloc, timeout=10)) as connection:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())

    def _pipeline(self) -> Pipeline:
        pipe = Pipeline("served")
        pipe.add_camera(self.health.snapshot)
        pipe.add_statistics("truth", lambda: {"error": float("nan"), "frames": 3})
        sources = [pipe.source("capture.front", self._live), pipe.source("capture.clip", self._file)]
        depth = pipe.stage("depth", self._depth, sources, policy="latest")
        showing = chain(render=render(RenderSettings(), self.controls), show=publish(self.sink))
        pipe.stage("show", showing, [depth], policy="latest")
        return pipe

    def _live(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        self.health.set_about(f"{URL}: 8x6")
        self.health.connecting()
        self.health.live()
        for seq in range(10**9):
            if self.cut.is_set():
                self.health.lost(SourceError(f"cannot read {URL}: connection refused"))
                stopping.wait()
            if stopping.wait(PAUSE_S):
                return
            self.health.count_image("clean")
            frame = frame_of("front", seq)
            yield Dropped((frame,), "black") if seq % 5 == 4 else frame

    def _file(self, stopping: threading.Event) -> Iterator[Frame]:
        for seq in range(10**9):
            if self.over.is_set() or stopping.wait(PAUSE_S):
                return
            yield frame_of("clip", seq)

    def _depth(self, frames: Iterable[Frame]) -> Iterator[DepthMap]:
        for frame in frames:
            while self.hold.is_set() and not self.pipe.stopping.wait(PAUSE_S):
                self.is_held.set()
            depth = np.linspace(1, 4, 48, dtype=np.float32).reshape(6, 8)
            yield DepthMap(depth, "metric", frame, "ramp", scale_guessed=True)


def frame_of(camera: str, seq: int) -> Frame:
    """6x8, grey."""
    return Frame(np.full((6, 8, 3), 128, np.uint8), camera, seq, Stamp.now())


def wait_until(true: Any, timeout_s: float = 10.0) -> None:
    """Poll until true. Raises AssertionError after ``timeout_s``."""
    end = monotonic() + timeout_s
    while not true():
        assert monotonic() < end, "it did not come true in time"
        threading.Event().wait(0.01)


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")
