"""GET /metrics: what Prometheus scrapes. A registry of its own: nothing else in this process can appear there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stream.web.readiness import Readiness
from stream.web.services import Parts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric


class Named(NamedTuple):
    """One figure's name here, and how many base units (bytes, seconds, things) one of its own is."""

    name: str
    about: str
    is_total: bool = False
    unit: float = 1.0


SINK_COUNTS: Mapping[str, Named] = {
    "viewers": Named("web_viewers", "Connections that watch."),
    "encodes": Named("web_encodes", "JPEGs encoded.", is_total=True),
    "encode_seconds": Named("web_encode_seconds", "Time that took.", is_total=True),
    "frames_sent": Named("web_sent_frames", "Frames sent to viewers.", is_total=True),
    "bytes_sent": Named("web_sent_bytes", "Bytes of them.", is_total=True),
}
"""What ``WebSink.counts`` tells."""
IMAGE_ENDS = ("hit", "miss", "shared", "busy", "gone", "refused")
IMAGE_COUNTS: Mapping[str, Named] = {
    "running": Named("images_running", "That are worked on."),
    "waiting": Named("images_waiting", "That wait."),
    "askers": Named("images_askers", "Requests that wait for them, several for one image where it is the same."),
    "kept": Named("images_kept", "Results in the cache."),
    "kept MB": Named("images_kept_bytes", "Bytes of them.", unit=1e6),
    "uploads MB": Named("images_upload_bytes", "Bytes of uploads in memory.", unit=1e6),
    "answers MB": Named("images_answer_bytes", "Bytes of answers that are being sent.", unit=1e6),
}
"""What ``ImageService.counts`` tells, and ``IMAGE_ENDS``."""


def metric_routes(parts: Parts, readiness: Readiness) -> list[Route]:
    """Text for Prometheus, or OpenMetrics for who asks for it."""
    from prometheus_client.exposition import choose_encoder

    registry = registry_of(parts, readiness)

    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return [Route("/metrics", metrics)]


def registry_of(parts: Parts, readiness: Readiness) -> CollectorRegistry:
    """The pipeline, its cameras, the web server, and this process (memory, CPU, open files)."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.registry import Collector

    class Scrape(Collector):
        def collect(self) -> Iterator[Metric]:
            return _families(parts, readiness)

    registry = CollectorRegistry()
    registry.register(Scrape())
    ProcessCollector(registry=registry)
    return registry


def _families(parts: Parts, readiness: Readiness) -> Iterator[Metric]:
    from stream.web.prometheus.families import gauge, pipeline_families

    stats = parts.stats()
    info = [((version("depthstream"), stats.name), 1.0)]
    yield gauge("build_info", "Always 1.", ("version", "pipeline"), info)
    yield gauge("ready", "What /healthz says: 1 ready, 0 not.", (), [((), float(not readiness.problems(stats)))])
    yield from pipeline_families(stats)
    yield from _web_families(parts)
    if parts.images:
        yield from _image_families(parts.images.counts())


def _web_families(parts: Parts) -> Iterator[Metric]:
    from stream.web.prometheus.families import gauge

    shown = [(camera, parts.sink.newest(camera)) for camera in parts.sink.cameras]
    ages = [((name,), newest.view.depth_map.frame.stamp.age_s()) for name, newest in shown if newest]
    yield gauge("camera_newest_age_seconds", "Of the newest depth, since capture.", ("camera",), ages)
    yield from _counted(SINK_COUNTS, parts.sink.counts())


def _image_families(counts: Mapping[str, float]) -> Iterator[Metric]:
    from stream.web.prometheus.families import counter

    ends = [((end,), counts[end]) for end in IMAGE_ENDS]
    yield counter("images", "Requests to POST /api/depth, by what became of them.", ("result",), ends)
    yield from _counted(IMAGE_COUNTS, counts)


def _counted(named: Mapping[str, Named], counts: Mapping[str, float]) -> Iterator[Metric]:
    """Figures without labels, under the names and in the units of Prometheus."""
    from stream.web.prometheus.families import counter, gauge

    for what, figure in named.items():
        family = counter if figure.is_total else gauge
        yield family(figure.name, figure.about, (), [((), figure.unit * counts[what])])
