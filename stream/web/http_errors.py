"""Error responses: an HTTP status (RFC 9110, RFC 6585) and one line of text for the person who sent the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse

CLIENT_CLOSED_REQUEST = 499
"""The client disconnected before the response. nginx's number, used for counting; no client ever receives it."""


class RequestError(Exception):
    """A request that cannot be answered. Any step may raise it; the route turns it into a response in one place."""

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s

    def response(self) -> PlainTextResponse:
        """One line of text. The server reads and discards the rest of the request body."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 408:
            headers["Connection"] = "close"  # otherwise the server would go on reading a slow sender's body for ever
        return PlainTextResponse(f"{self.message}\n", self.status, headers)


def exception_handlers() -> Mapping[Any, Any]:
    """One-line handlers for 404, 405 and 500; the 500 response reveals nothing about the machine."""
    return {404: _not_found, 405: _method_not_allowed, Exception: _internal_error}


async def _not_found(request: Request, error: Exception) -> PlainTextResponse:
    message = "not found: the page is /, programs use /api/cameras, /api/stats, /healthz and /metrics"
    return PlainTextResponse(f"{message}\n", 404)


async def _method_not_allowed(request: Request, error: Exception) -> PlainTextResponse:
    allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    methods = sorted(allowed.split(", "))  # Starlette joins a set, whose order changes from run to run
    message = f"{request.method} is not allowed at this address: use {' or '.join(methods)}\n"
    return PlainTextResponse(message, 405, {"Allow": ", ".join(methods)})


async def _internal_error(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("the server failed to answer this request; its log says why\n", 500)
