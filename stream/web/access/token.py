"""The token that lets somebody in from another machine, and where a request may carry it.

A browser brings it once in the address; from then on it is in a cookie, and the address bar is clean. Programs send it
as ``Authorization: Bearer``. What cannot do that, and cannot keep a cookie, may leave it in the address.

Browsers send the cookies of all of a machine's ports to each of them (RFC 6265, 8.5), so the cookie's name has the port
in it: two servers on one machine do not throw out each other's viewers.
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


def carries(token: str, headers: Mapping[str, str], query: str, cookie: str) -> bool:
    """Whether the cookie of that name, Authorization or ``query`` hold the token; compared in constant time."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    kept = unquote(cookie_parser(headers.get("cookie", "")).get(cookie, ""))  # other programs' may look like anything
    offered = (kept, bearer.strip() if kind.lower() == "bearer" else "", in_query(query))
    return any(compare_digest(one.encode(errors="replace"), token.encode()) for one in offered)


def cookie_name(host: str, local_port: int) -> str:
    """Of the cookie for who calls the server ``host``: its port as the browser sees it, through a tunnel say.

    Where the Host has none (a proxy at port 80 or 443) it is the port that the server listens at. Raises ValueError
    for a Host that is none.
    """
    return f"depthstream-{urlsplit(f'//{host}').port or local_port}"


def in_query(query: str) -> str:
    """The first token in a query string; empty for none."""
    return next((value for name, value in parse_qsl(query) if name == PARAMETER), "")


def without_token(query: str) -> str:
    """The page's address on this server with the rest of ``query``."""
    rest = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != PARAMETER]
    return f"/?{urlencode(rest)}" if rest else "/"


def cookie_header(name: str, token: str) -> str:
    """For Set-Cookie: out of reach of scripts and of other sites' requests; gone when the browser is closed."""
    return f"{name}={quote(token, safe='')}; HttpOnly; SameSite=Strict; Path=/"
