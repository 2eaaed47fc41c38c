"""The page's files, read from the package once at start.

A request can name only one of these addresses, never a path on the disk. The files change only with the package, so a
browser may cache them but revalidates each time, which keeps the files of two versions from being mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

PAGE_FILES: Mapping[str, str] = MappingProxyType(
    {
        "/": "index.html",
        "/page.css": "page.css",
        "/tile.css": "tile.css",
        "/icon.svg": "icon.svg",
        "/page.js": "page.js",
        "/link.js": "link.js",
        "/controls.js": "controls.js",
        "/tile.js": "tile.js",
        "/screen.js": "screen.js",
        "/probe.js": "probe.js",
        "/health.js": "health.js",
        "/graph.js": "graph.js",
        "/arrange.js": "arrange.js",
        "/upload.js": "upload.js",
        "/format.js": "format.js",
    }
)
"""Address -> file in ``stream/web/page``; nothing else is served from there."""


def page_routes() -> list[Route]:
    """One route for GET and HEAD per entry of ``PAGE_FILES``."""
    folder = files("stream.web") / "page"
    return [
        _route(address, (folder / name).read_bytes(), _TYPES[name.rsplit(".")[-1]])
        for address, name in PAGE_FILES.items()
    ]


def _route(address: str, content: bytes, media_type: str) -> Route:
    headers = {"ETag": f'"{sha256(content).hexdigest()[:32]}"', "Cache-Control": "no-cache"}

    async def serve_file(request: Request) -> Response:
        # If-None-Match may list several tags, and a cache may have marked them weak (RFC 9110, 13.1.2).
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(address, serve_file)
