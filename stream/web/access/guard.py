"""Access control: the outermost layer of the server, passed by every request (docs/how-to/browser.md).

The checks in this order: the Host must be one of ours (421), a browser's request from a page must come from our own
page (403), and the token must be present where one is required (401). /healthz needs no token;
``scope["state"]["trusted"]`` lets it, and every other route, see whether the client may learn details of the machine.
Responses carry headers that keep other sites from using the page, and each error is one line without such details.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.settings import WebSettings
from stream.web.access.origin import is_own_host, is_same_origin, machine_names, printable_host
from stream.web.access.token import cookie_header, cookie_name, has_token, token_for, token_in_query, without_token
from stream.web.address import Address

OPEN_PATHS = frozenset({"/healthz"})
PAGE = "/"
"""The address that a person opens. Only it sets a cookie: the other addresses serve programs, which keep none."""
STREAMS = "/stream/"
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1); the others need our own page as their origin."""


class GuardedApp(Starlette):
    """A Starlette application with the guard around everything, including its error responses."""

    def __init__(self, settings: WebSettings, **starlette: Any) -> None:
        super().__init__(**starlette)
        self._settings = settings
        self.token = token_for(settings)
        """The required token, or None if none is required."""

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self.token, _names(self._settings))

    def end_viewers(self) -> None:
        """Stop endless responses. The server calls it from another thread before it shuts down."""


class Guard:
    """ASGI middleware around ``app``; ``names`` are hosts that it may be called by, besides localhost."""

    def __init__(self, app: ASGIApp, token: str | None, names: Iterable[str]) -> None:
        self._app, self._token, self._names = app, token, tuple(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # latin-1 decodes any bytes: a client must not be able to cause an error here.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        send = _with_headers(send, scope["path"])
        rejection = self._reject(scope, headers)
        if rejection is not None:
            await _respond(rejection, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _reject(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """The response in place of the application's, or None to let the request through."""
        host, origin = headers.get("host", ""), headers.get("origin")
        local, port = scope.get("server") or ("", 0)
        if not is_own_host(host, self._names, str(local)):
            return _unknown_host(host)
        # Browsers let any site open a WebSocket or send a form; the Origin header is the only protection from that.
        needs_origin = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if origin is not None and needs_origin and not is_same_origin(origin, host):
            return _text_response(403, "only this server's own page may send this request")
        return self._check_token(scope, headers, cookie_name(host, port))

    def _check_token(self, scope: Scope, headers: Mapping[str, str], cookie: str) -> Response | None:
        query = scope["query_string"].decode("latin-1")
        is_trusted = self._token is None or has_token(self._token, headers, query, cookie)
        scope.setdefault("state", {})["trusted"] = is_trusted
        if not is_trusted:
            return None if scope["path"] in OPEN_PATHS else _unauthorized()
        if self._token is not None and token_in_query(query) and _is_page(scope):
            headers = {"Location": without_token(query), "Set-Cookie": cookie_header(cookie, self._token)}
            return Response(status_code=303, headers=headers)
        return None


def _is_page(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] == PAGE


def _unknown_host(host: str) -> Response:
    known = printable_host(host)
    name = f'"{known}"' if known else "that name"
    message = f"this server is not known by {name}; if it is a name of its own, add it to its settings: [web] hosts"
    # printable_host keeps a response from repeating what a stranger wrote.
    return _text_response(421, f"{message} = [{name}]" if known else message)


def _unauthorized() -> Response:
    message = 'this needs the token: open the address that depthstream printed, or send "Authorization: Bearer TOKEN"'
    return _text_response(401, message, {"WWW-Authenticate": "Bearer"})


def _text_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{message}\n", status, headers)


async def _respond(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send ``response``; a WebSocket gets it in place of the handshake."""
    if scope["type"] == "websocket":
        await receive()  # ASGI delivers "websocket.connect" first
    await response(scope, receive, send)


def _with_headers(send: Send, path: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            if not path.startswith(STREAMS):  # another site's page may embed an image stream
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return send_with_headers


def _names(settings: WebSettings) -> tuple[str, ...]:
    """Host names of this server.

    The machine's own name counts only where other machines can reach the server: on a loopback address a request by
    that name could be another site's DNS rebinding.
    """
    address = Address.parse(settings.address)
    return (address.host, *settings.hosts, *(() if address.is_loopback else machine_names()))
