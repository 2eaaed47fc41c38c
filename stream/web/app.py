"""All routes of the web server, and the access guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from stream.web.access.guard import GuardedApp
from stream.web.api import api_routes
from stream.web.files import page_routes
from stream.web.http_errors import exception_handlers
from stream.web.live.mjpeg import mjpeg_routes
from stream.web.live.session import LiveSession
from stream.web.live.viewer import viewer_routes
from stream.web.prometheus.routes import metric_routes
from stream.web.readiness import Readiness
from stream.web.services import Services

__all__ = ["Services", "build_app"]


def build_app(services: Services) -> Starlette:
    """Build the page, live video, image service and statistics for one ``WebServer``.

    Raises SettingsError for an invalid address.
    """
    return _App(services, LiveSession(services))


class _App(GuardedApp):
    """Opens what the viewers share when the server starts, and ends the viewers before the server stops."""

    def __init__(self, services: Services, live: LiveSession) -> None:
        super().__init__(
            services.settings,
            routes=_routes(services, live),
            lifespan=self._lifespan,
            exception_handlers=exception_handlers(),
        )
        # Starlette redirects to an absolute http:// address, which is wrong behind a proxy that speaks TLS.
        self.router.redirect_slashes = False
        self._live = live

    def end_viewers(self) -> None:
        self._live.close()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self._live.running():
            yield


def _routes(services: Services, live: LiveSession) -> list[BaseRoute]:
    readiness = Readiness(services.required_stages, services.sink)
    statistics = [*api_routes(services, readiness), *metric_routes(services, readiness)]
    images = services.images.routes() if services.images else []
    return [*page_routes(), *viewer_routes(live), *mjpeg_routes(live), *statistics, *images]
