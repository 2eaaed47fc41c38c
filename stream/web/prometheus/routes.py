"""GET /metrics for Prometheus. It uses a registry of its own, so other metrics of this process do not appear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stream.web.readiness import Readiness
from stream.web.services import Services

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric


class MetricSpec(NamedTuple):
    """How one counter of ours is exported."""

    name: str
    """Without the prefix ``depthstream_``."""
    description: str
    is_total: bool = False
    """True for a counter, False for a gauge."""
    scale: float = 1.0
    """Base units (bytes, seconds, items) in one unit of the original number."""


SINK_METRICS: Mapping[str, MetricSpec] = {
    "viewers": MetricSpec("web_viewers", "Connected viewers."),
    "encodes": MetricSpec("web_encodes", "JPEGs encoded.", is_total=True),
    "encode_seconds": MetricSpec("web_encode_seconds", "Time spent encoding JPEGs.", is_total=True),
    "frames_sent": MetricSpec("web_sent_frames", "Frames sent to viewers.", is_total=True),
    "bytes_sent": MetricSpec("web_sent_bytes", "Bytes of frames sent to viewers.", is_total=True),
}
"""Key of ``WebSink.counts`` -> its metric."""
IMAGE_RESULTS = ("hit", "miss", "shared", "busy", "disconnected", "refused")
IMAGE_METRICS: Mapping[str, MetricSpec] = {
    "running": MetricSpec("images_running", "Images being processed."),
    "waiting": MetricSpec("images_waiting", "Images waiting to be processed."),
    "pending_requests": MetricSpec(
        "images_pending_requests", "Requests waiting for a result; requests for the same image share one."
    ),
    "cached": MetricSpec("images_cached", "Results in the cache."),
    "cached_mb": MetricSpec("images_cached_bytes", "Bytes of results in the cache.", scale=1e6),
    "uploads_mb": MetricSpec("images_upload_bytes", "Bytes of uploads in memory.", scale=1e6),
    "responses_mb": MetricSpec("images_response_bytes", "Bytes of responses being sent.", scale=1e6),
}
"""Key of ``ImageService.counts`` -> its metric; the keys in ``IMAGE_RESULTS`` become labels of one counter."""


def metric_routes(services: Services, readiness: Readiness) -> list[Route]:
    """/metrics in Prometheus' text format, or in OpenMetrics for clients that ask for it in Accept."""
    from prometheus_client.exposition import choose_encoder

    registry = build_registry(services, readiness)

    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return [Route("/metrics", metrics)]


def build_registry(services: Services, readiness: Readiness) -> CollectorRegistry:
    """Metrics of the pipeline, its cameras, the web server, and this process (memory, CPU, open files)."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.registry import Collector

    class PipelineCollector(Collector):
        def collect(self) -> Iterator[Metric]:
            return _families(services, readiness)

    registry = CollectorRegistry()
    registry.register(PipelineCollector())
    ProcessCollector(registry=registry)
    return registry


def _families(services: Services, readiness: Readiness) -> Iterator[Metric]:
    from stream.web.prometheus.families import gauge, pipeline_families

    stats = services.stats()  # once for each scrape, so that all numbers belong together
    info = [((version("depthstream"), stats.name), 1.0)]
    yield gauge("build_info", "Always 1.", ("version", "pipeline"), info)
    yield gauge("ready", "1 if /healthz reports ready, else 0.", (), [((), float(not readiness.problems(stats)))])
    yield from pipeline_families(stats)
    yield from _web_families(services)
    if services.images:
        yield from _image_families(services.images.counts())


def _web_families(services: Services) -> Iterator[Metric]:
    from stream.web.prometheus.families import gauge

    newest_views = [(camera, services.sink.newest(camera)) for camera in services.sink.cameras]
    ages = [((name,), newest.view.depth_map.frame.stamp.age_s()) for name, newest in newest_views if newest]
    yield gauge("camera_newest_age_seconds", "Age of the newest depth since capture.", ("camera",), ages)
    yield from _unlabelled(SINK_METRICS, services.sink.counts())


def _image_families(counts: Mapping[str, float]) -> Iterator[Metric]:
    from stream.web.prometheus.families import counter

    results = [((result,), counts[result]) for result in IMAGE_RESULTS]
    yield counter("images", "Requests to POST /api/depth, by result.", ("result",), results)
    yield from _unlabelled(IMAGE_METRICS, counts)


def _unlabelled(specs: Mapping[str, MetricSpec], counts: Mapping[str, float]) -> Iterator[Metric]:
    from stream.web.prometheus.families import counter, gauge

    for key, spec in specs.items():
        family = counter if spec.is_total else gauge
        yield family(spec.name, spec.description, (), [((), spec.scale * counts[key])])
