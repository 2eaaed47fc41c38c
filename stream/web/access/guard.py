"""Who may come in: the outermost layer of the server, before any route sees a request (docs/web.md).

In this order: the Host must be ours (421), what a browser sends from a page must come from our own (403), the token
must be there where one is asked for (401). /healthz needs none; ``scope["state"]["trusted"]`` tells it, and every other
route, whether it may say what the machine does. What goes out carries headers that keep the page to
itself, and every refusal is one line that tells nothing of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.settings import WebSettings
from stream.web.access.origin import is_own_host, is_same_origin, machine_names, named
from stream.web.access.token import carries, cookie_header, cookie_name, in_query, token_for, without_token
from stream.web.address import Address

OPEN_PATHS = frozenset({"/healthz"})
PAGE = "/"
"""What a person opens; whatever else there is may be asked for by a program, which has no place for a cookie."""
STREAMS = "/stream/"
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class GuardedApp(Starlette):
    """A Starlette application with the guard around everything, also around its answers to failures."""

    def __init__(self, settings: WebSettings, **starlette: Any) -> None:
        super().__init__(**starlette)
        self._settings = settings
        self.token = token_for(settings)
        """What is asked for; None: nothing."""

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self.token, _names(self._settings))

    def end_viewers(self) -> None:
        """Called from another thread when the server is about to end; what streams without an end should stop."""


class Guard:
    """ASGI around ``app``. ``names``: further hosts that it may be called by."""

    def __init__(self, app: ASGIApp, token: str | None, names: Iterable[str]) -> None:
        self._app, self._token, self._names = app, token, tuple(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        send = _with_headers(send, scope["path"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """The answer in place of the application's; None: let it through."""
        host, origin = headers.get("host", ""), headers.get("origin")
        local, port = scope.get("server") or ("", 0)
        if not is_own_host(host, self._names, str(local)):
            return _unknown_host(host)
        is_asked = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if origin is not None and is_asked and not is_same_origin(origin, host):
            return _line(403, "only this server's own page may ask for that")
        return self._token_refusal(scope, headers, cookie_name(host, port))

    def _token_refusal(self, scope: Scope, headers: Mapping[str, str], cookie: str) -> Response | None:
        query = scope["query_string"].decode("latin-1")
        is_trusted = self._token is None or carries(self._token, headers, query, cookie)
        scope.setdefault("state", {})["trusted"] = is_trusted
        if not is_trusted:
            return None if scope["path"] in OPEN_PATHS else _ask_for_token()
        if self._token is not None and in_query(query) and _is_page(scope):
            keep = {"Location": without_token(query), "Set-Cookie": cookie_header(cookie, self._token)}
            return Response(status_code=303, headers=keep)
        return None


def _is_page(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] == PAGE


def _unknown_host(host: str) -> Response:
    called = named(host)
    name = f'"{called}"' if called else "that name"
    words = f"this server is not known by {name}; if it is a name of its own, add it to its settings: [web] hosts"
    return _line(421, f"{words} = [{name}]" if called else words)


def _ask_for_token() -> Response:
    words = 'this needs the token: open the address that depthstream printed, or send "Authorization: Bearer TOKEN"'
    return _line(401, words, {"WWW-Authenticate": "Bearer"})


def _line(status: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{words}\n", status, headers)


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Also in place of a WebSocket's handshake."""
    if scope["type"] == "websocket":
        await receive()  # "websocket.connect"
    await response(scope, receive, send)


def _with_headers(send: Send, path: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            if not path.startswith(STREAMS):  # an image of a stream may stand in another site's page
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return send_with_headers


def _names(settings: WebSettings) -> tuple[str, ...]:
    """Where others can reach it, the machine's own name is one; elsewhere that could be anybody's trick."""
    address = Address.parse(settings.address)
    return (address.host, *settings.hosts, *(() if address.is_loopback else machine_names()))
