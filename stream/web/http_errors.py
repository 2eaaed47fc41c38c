"""A request that gets no depth: a status (RFC 9110, RFC 6585) and one line of words for the person who sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse

CLIENT_GONE = 499
"""Never read, because nobody is there to read it; nginx's number, for the log."""


class Refusal(Exception):
    """Raised anywhere on the way of a request, answered in one place."""

    def __init__(self, status: int, words: str, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status, self.words, self.retry_after_s = status, words, retry_after_s

    def response(self) -> PlainTextResponse:
        """One line of text. The server reads what may still come of the request, and forgets it."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 408:  # else a slow sender would go on for ever
            headers["Connection"] = "close"
        return PlainTextResponse(f"{self.words}\n", self.status, headers)


def handlers() -> Mapping[Any, Any]:
    """For an application: what no route answers, in one line each; 500 tells nothing of the machine."""
    return {404: _nothing_here, 405: _other_method, Exception: _failure}


async def _nothing_here(request: Request, error: Exception) -> PlainTextResponse:
    words = (
        "there is nothing here: the page is /, for programs there are /api/cameras, /api/stats, /healthz and /metrics"
    )
    return PlainTextResponse(f"{words}\n", 404)


async def _other_method(request: Request, error: Exception) -> PlainTextResponse:
    allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    methods = sorted(allowed.split(", "))
    words = f"{request.method} is not for this address: it takes {' or '.join(methods)}\n"
    return PlainTextResponse(words, 405, {"Allow": ", ".join(methods)})


async def _failure(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("the server failed here; its log says why\n", 500)
