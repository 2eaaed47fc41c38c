"""The token that admits clients from other machines, and the places where a request may carry it.

A browser sends it once in the address; from then on it is in a cookie, and the address bar is clean. Programs send it
as ``Authorization: Bearer``. A program that can neither set a header nor keep a cookie may leave it in the address.

Browsers send the cookies of all ports of a machine to each of them (RFC 6265, 8.5), so the cookie's name contains the
port: two servers on one machine do not log out each other's viewers.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hmac import compare_digest
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from starlette.requests import cookie_parser

from stream.settings import WebSettings
from stream.web.address import Address

PARAMETER = "token"
TOKEN_BYTES = 24
"""192 random bits, too many to guess."""


def token_for(settings: WebSettings) -> str | None:
    """The token that a server with these settings requires, or None if it admits every client.

    On a loopback address a token is required only if the settings contain one, as they do behind a proxy.
    """
    if settings.open:
        return None
    if settings.token is not None:
        return settings.token
    return None if Address.parse(settings.address).is_loopback else secrets.token_urlsafe(TOKEN_BYTES)


def has_token(token: str, headers: Mapping[str, str], query: str, cookie: str) -> bool:
    """True if the cookie of that name, Authorization or ``query`` holds the token; compared in constant time."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    # Starlette's parser also copes with malformed cookies that other programs on this host have set.
    in_cookie = unquote(cookie_parser(headers.get("cookie", "")).get(cookie, ""))
    candidates = (in_cookie, bearer.strip() if scheme.lower() == "bearer" else "", token_in_query(query))
    # compare_digest takes text only if it is ASCII, so it gets bytes.
    return any(compare_digest(candidate.encode(errors="replace"), token.encode()) for candidate in candidates)


def cookie_name(host: str, local_port: int) -> str:
    """Name of the cookie for a client that calls the server ``host``, with the port as the browser sees it.

    Behind a tunnel that port differs from ``local_port``, which serves for a Host without a port (a proxy at port 80 or
    443). Raises ValueError for an invalid Host.
    """
    return f"depthstream-{urlsplit(f'//{host}').port or local_port}"


def token_in_query(query: str) -> str:
    """The first token in a query string; empty if there is none."""
    return next((value for name, value in parse_qsl(query) if name == PARAMETER), "")


def without_token(query: str) -> str:
    """The page's address on this server with the rest of ``query``."""
    rest = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != PARAMETER]
    return f"/?{urlencode(rest)}" if rest else "/"


def cookie_header(name: str, token: str) -> str:
    """Set-Cookie value: hidden from scripts and from other sites' requests, deleted when the browser is closed."""
    # Not Secure: browsers would keep such a cookie from the plain HTTP that this server speaks.
    return f"{name}={quote(token, safe='')}; HttpOnly; SameSite=Strict; Path=/"
