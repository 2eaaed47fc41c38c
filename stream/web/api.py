"""GET /api/cameras, /api/stats and /healthz: what a program asks of a running pipeline."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from stream.core.clock import NS_PER_S, NowNs
from stream.frames import View
from stream.runtime.stats import CameraHealth, PipelineStats
from stream.runtime.stats_json import plain_json, stats_json
from stream.web.camera_status import camera_lines
from stream.web.live.hub import WebSink
from stream.web.readiness import Readiness
from stream.web.services import Parts

KEPT_NS = NS_PER_S // 2
NOT_KEPT = {"Cache-Control": "no-store"}


def api_routes(parts: Parts, readiness: Readiness) -> list[Route]:
    """GET and HEAD; every answer is of this moment."""

    async def cameras(request: Request) -> JSONResponse:
        return JSONResponse({"cameras": camera_reports(parts.stats(), parts.sink)}, headers=NOT_KEPT)

    async def stats(request: Request) -> JSONResponse:
        return JSONResponse(stats_json(parts.stats()), headers=NOT_KEPT)

    verdict = Verdict(lambda: readiness.problems(parts.stats()))

    async def healthz(request: Request) -> JSONResponse:
        problems = verdict()
        answer: dict[str, Any] = {"status": "unavailable" if problems else "ok"}
        if problems and may_know(request):
            answer["problems"] = problems
        return JSONResponse(answer, status_code=503 if problems else 200, headers=NOT_KEPT)

    return [Route("/api/cameras", cameras), Route("/api/stats", stats), Route("/healthz", healthz)]


class Verdict:
    """``judge`` asked at most twice a second: /healthz needs no token, and a snapshot takes milliseconds of Python."""

    def __init__(self, judge: Callable[[], list[str]], now_ns: NowNs = monotonic_ns) -> None:
        self._judge, self._now_ns = judge, now_ns
        self._problems: list[str] = []
        self._until_ns = now_ns()

    def __call__(self) -> list[str]:
        """From one thread only."""
        if self._now_ns() >= self._until_ns:
            self._problems = self._judge()
            self._until_ns = self._now_ns() + KEPT_NS
        return self._problems


def may_know(request: Request) -> bool:
    """The guard in front has seen a token, or asks for none; /healthz it lets pass without."""
    return bool(request.scope.get("state", {}).get("trusted", False))


def camera_reports(stats: PipelineStats, sink: WebSink) -> list[dict[str, Any]]:
    """One a camera: the page's figures, the last hour, and what its depth is; no text holds a password."""
    healths = {health.name: health for health in stats.cameras}
    lines = camera_lines(stats, sink)
    return [plain_json(line | _hour(healths.get(line["name"])) | _newest(sink, line["name"])) for line in lines]


def _hour(health: CameraHealth | None) -> dict[str, Any]:
    """Null for files and scenes, which have no health."""
    if health is None:
        return dict.fromkeys(("reconnects", "stalls", "integrity", "about"))
    return {
        "reconnects": health.reconnects,
        "stalls": health.stalls,
        "integrity": dict(health.integrity),
        "about": health.about,
    }


def _newest(sink: WebSink, camera: str) -> dict[str, Any]:
    """Null before the first view."""
    newest = sink.newest(camera)
    return _of_view(newest.view) if newest else dict.fromkeys(("seq", "age_s", "width", "height", "depth"))


def _of_view(view: View) -> dict[str, Any]:
    depth_map, frame = view.depth_map, view.depth_map.frame
    return {
        "seq": frame.seq,
        "age_s": frame.stamp.age_s(),
        "width": depth_map.size.width,
        "height": depth_map.size.height,
        "depth": {
            "kind": depth_map.kind,
            "unit": depth_map.unit,
            "model": depth_map.model,
            "weights": depth_map.weights,
            "scale_guessed": depth_map.scale_guessed,
            "low": view.low,
            "high": view.high,
        },
    }
