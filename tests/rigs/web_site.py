"""A running web server with cameras, as `depthstream serve` runs it, and the depth that it published."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines import serve
from stream.core.config_file import parse
from stream.frames import DepthMap, View
from stream.web.live.hub import WebSink
from tests.rigs.rtsp_camera import RtspCamera


class KeepingSink(WebSink):
    """The server's sink, which also keeps the depth maps."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        super().__init__(cameras)
        self.kept: dict[tuple[str, int], DepthMap] = {}

    def write(self, item: View) -> None:
        self.kept[item.depth_map.frame.camera, item.depth_map.frame.seq] = item.depth_map
        super().write(item)


@dataclass(frozen=True)
class Site:
    """A running server with its cameras."""

    url: str
    sink: KeepingSink
    cameras: Mapping[str, RtspCamera]

    def assert_published(self, camera: str, answer: Mapping[str, str]) -> None:
        """Check ``answer`` against that pixel of the depth map published under its number."""
        depth = self.sink.kept[camera, int(answer["seq"])].depth
        row, column = int(float(answer["y"]) * depth.shape[0]), int(float(answer["x"]) * depth.shape[1])
        assert math.isclose(float(answer["depth"]), float(depth[row, column]), rel_tol=1e-6)


@contextmanager
def served(cameras: Mapping[str, RtspCamera], **web_table: str) -> Iterator[Site]:
    """Run a server, at a free local port unless ``web_table`` sets another."""
    tables = [
        {"source": "rtsp", "name": name, "url": camera.url("/cam", credentials=name == "front")}
        for name, camera in cameras.items()
    ]
    document = {"pipeline": "serve", "cameras": tables, "web": {"address": "127.0.0.1:0", **web_table}}
    settings = parse(serve.ServeSettings, document, "test")
    web = serve.web_for(settings)
    web.sink = sink = KeepingSink(tuple(cameras))
    pipe = serve.build(settings, web)
    with web.serving(pipe) as url, pipe:
        yield Site(url, sink, cameras)
