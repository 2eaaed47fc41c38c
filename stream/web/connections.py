"""A connection that never gets to the end of its first request is cut off: there are places for so many only."""

from __future__ import annotations

from asyncio.transports import BaseTransport

from uvicorn.protocols.http.h11_impl import H11Protocol

FIRST_REQUEST_S = 10.0
"""For its line and headers; a body may take longer."""


class Connection(H11Protocol):
    """HTTP by h11; uvicorn itself waits for ever for what a connection has to say first."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.loop.call_later(FIRST_REQUEST_S, self._cut_off_if_silent)

    def _cut_off_if_silent(self) -> None:
        if getattr(self, "scope", None) is None:  # by its type it never is
            self.transport.abort()
