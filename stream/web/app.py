"""All routes of the web server, and the guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from stream.web.access.guard import GuardedApp
from stream.web.api import api_routes
from stream.web.files import page_routes
from stream.web.http_errors import handlers
from stream.web.live.mjpeg import mjpeg_routes
from stream.web.live.session import Live
from stream.web.live.viewer import viewer_routes
from stream.web.prometheus.routes import metric_routes
from stream.web.readiness import Readiness
from stream.web.services import Parts

__all__ = ["Parts", "build_app"]


def build_app(parts: Parts) -> Starlette:
    """Page, live video, image service, figures; for one ``WebServer``. Raises SettingsError for a bad address."""
    return _App(parts, Live(parts))


class _App(GuardedApp):
    """Opens what the viewers share when the server starts, and lets them end before it stops."""

    def __init__(self, parts: Parts, live: Live) -> None:
        super().__init__(
            parts.settings, routes=_routes(parts, live), lifespan=self._lifespan, exception_handlers=handlers()
        )
        self.router.redirect_slashes = False  # to an absolute http:// address: wrong behind a proxy that speaks TLS
        self._live = live

    def end_viewers(self) -> None:
        self._live.close()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self._live.opened():
            yield


def _routes(parts: Parts, live: Live) -> list[BaseRoute]:
    readiness = Readiness(parts.required, parts.sink)
    statistics = [*api_routes(parts, readiness), *metric_routes(parts, readiness)]
    images = parts.images.routes() if parts.images else []
    return [*page_routes(), *viewer_routes(live), *mjpeg_routes(live), *statistics, *images]
