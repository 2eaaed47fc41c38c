"""The token that lets somebody in from another machine, and where a request may carry it.

A browser brings it once in the address; from then on it is in a cookie, and the address bar is clean. Programs send it
as ``Authorization: Bearer``. What watches a stream, and cannot keep a cookie, may leave it in the address.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from stream.settings import WebSettings
from stream.web.address import Address

COOKIE = "depthstream"
PARAMETER = "token"
TOKEN_BYTES = 24
"""192 bits of chance: nobody guesses it."""


def token_for(settings: WebSettings) -> str | None:
    """The token that a server with these settings asks for; None: it lets anybody in.

    On a loopback address one is asked for only where the settings name it: whoever set one behind a proxy means it.
    """
    if settings.open:
        return None
    if settings.token is not None:
        return settings.token
    return None if Address.parse(settings.address).is_loopback else secrets.token_urlsafe(TOKEN_BYTES)


def carries(token: str, headers: Mapping[str, str], query: str) -> bool:
    """Whether cookie, Authorization or ``query`` hold the token; each is compared in constant time."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    offered = (_cookie(headers.get("cookie", "")), bearer.strip() if kind.lower() == "bearer" else "", in_query(query))
    return any(compare_digest(one.encode(errors="replace"), token.encode()) for one in offered)


def in_query(query: str) -> str:
    """The first token in a query string; empty for none."""
    return next((value for name, value in parse_qsl(query) if name == PARAMETER), "")


def without_token(path: str, query: str) -> str:
    """The same address on this server without the token; never one of another server."""
    rest = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != PARAMETER]
    clean = "/" + quote(path.lstrip("/\\"))
    return f"{clean}?{urlencode(rest)}" if rest else clean


def cookie_header(token: str) -> str:
    """For Set-Cookie: out of reach of scripts and of other sites' requests; gone when the browser is closed."""
    return f"{COOKIE}={quote(token, safe='')}; HttpOnly; SameSite=Strict; Path=/"


def _cookie(header: str) -> str:
    from urllib.parse import unquote

    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return unquote(morsel.value) if morsel else ""
