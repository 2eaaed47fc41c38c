"""GET /api/cameras, /api/stats and /healthz: the state of a running pipeline as JSON, for programs."""

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
from stream.web.services import Services

CHECK_INTERVAL_NS = NS_PER_S // 2
NO_STORE = {"Cache-Control": "no-store"}


def api_routes(services: Services, readiness: Readiness) -> list[Route]:
    """Routes for GET and HEAD. /healthz may be half a second old, the others are computed for each request."""

    async def cameras(request: Request) -> JSONResponse:
        return JSONResponse({"cameras": camera_reports(services.stats(), services.sink)}, headers=NO_STORE)

    async def stats(request: Request) -> JSONResponse:
        return JSONResponse(stats_json(services.stats()), headers=NO_STORE)

    check = ThrottledCheck(lambda: readiness.problems(services.stats()))

    async def healthz(request: Request) -> JSONResponse:
        problems = check()
        body: dict[str, Any] = {"status": "unavailable" if problems else "ok"}
        if problems and is_trusted(request):
            body["problems"] = problems
        return JSONResponse(body, status_code=503 if problems else 200, headers=NO_STORE)

    return [Route("/api/cameras", cameras), Route("/api/stats", stats), Route("/healthz", healthz)]


class ThrottledCheck:
    """Calls ``find_problems`` at most twice a second and repeats its last result in between.

    /healthz needs no token and a snapshot takes milliseconds of Python, so a flood of requests must not reach the
    pipeline. Not thread safe: only the event loop's thread calls it.
    """

    def __init__(self, find_problems: Callable[[], list[str]], now_ns: NowNs = monotonic_ns) -> None:
        self._find_problems, self._now_ns = find_problems, now_ns
        self._problems: list[str] = []
        self._valid_until_ns = now_ns()

    def __call__(self) -> list[str]:
        if self._now_ns() >= self._valid_until_ns:
            self._problems = self._find_problems()
            self._valid_until_ns = self._now_ns() + CHECK_INTERVAL_NS
        return self._problems


def is_trusted(request: Request) -> bool:
    """True if the guard has seen a valid token or requires none; only /healthz can be reached without."""
    return bool(request.scope.get("state", {}).get("trusted", False))


def camera_reports(stats: PipelineStats, sink: WebSink) -> list[dict[str, Any]]:
    """One object per camera: the page's statistics, the last hour, and the newest depth. Passwords are redacted."""
    healths = {health.name: health for health in stats.cameras}
    lines = camera_lines(stats, sink)
    return [plain_json(line | _last_hour(healths.get(line["name"])) | _newest(sink, line["name"])) for line in lines]


def _last_hour(health: CameraHealth | None) -> dict[str, Any]:
    """Null for files and synthetic scenes, which have no health."""
    if health is None:
        return dict.fromkeys(("reconnects", "stalls", "integrity", "about"))
    return {
        "reconnects": health.reconnects,
        "stalls": health.stalls,
        "integrity": dict(health.integrity),
        "about": health.about,
    }


def _newest(sink: WebSink, camera: str) -> dict[str, Any]:
    """Null before the camera's first view."""
    newest = sink.newest(camera)
    return _view_fields(newest.view) if newest else dict.fromkeys(("seq", "age_s", "width", "height", "depth"))


def _view_fields(view: View) -> dict[str, Any]:
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
