"""The web server: uvicorn in one thread named "web", from the moment its address is known until the ``with`` ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from asyncio.transports import BaseTransport
from contextlib import suppress
from typing import Self
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from stream.errors import SinkError
from stream.settings import WebSettings
from stream.web.access.guard import GuardedApp
from stream.web.access.token import PARAMETER
from stream.web.address import Address, listen

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


MESSAGE_BYTES = 32 << 10
"""The longest message a viewer may send; a list of 256 cameras fits."""
MOST_CONNECTIONS = 256
START_S = 10.0
CUT_OFF_S = 0.5
"""At the end: then connections are cut off whose other side takes nothing."""
CANCEL_S = 1.0
"""Then what is still being worked on is cancelled."""
LAST_S = 2
"""Then uvicorn itself loses patience."""
REFUSED_HANDSHAKE = "ASGI callable returned without completing handshake."
"""What uvicorn's WebSockets (0.54) say of every answer in place of a handshake, as the guard gives to strangers."""

log = logging.getLogger(__name__)


class WebServer:
    """Serves ``app`` at ``settings.address`` inside ``with``.

    Entering raises SettingsError for an address that is none, and SinkError where nobody can listen. Leaving ends open
    connections, waits for none of them longer than 2 s, and leaves no thread.
    """

    def __init__(self, app: Starlette, settings: WebSettings) -> None:
        self._app, self._settings = app, settings
        self._address = Address.parse(settings.address)

    def __enter__(self) -> Self:
        listener = listen(self._address)
        self._address = Address(self._address.host, listener.getsockname()[1])
        self._server = _Server(_config(self._app))
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="web", daemon=True)
        self._forwarding = _Forwarding()
        self._forwarding.start()
        self._thread.start()
        if not self._server.settled.wait(START_S) or not self._server.started:
            self.__exit__()
            raise SinkError(f"the web server at {self._address} did not start; the log says why")
        return self

    def __exit__(self, *exc_info: object) -> None:
        if isinstance(self._app, GuardedApp):
            self._app.end_viewers()
        self._server.should_exit = True
        self._thread.join()
        self._forwarding.stop()

    @property
    def url(self) -> str:
        """For people to open, with the token where one is asked for: it is a secret."""
        token = self._app.token if isinstance(self._app, GuardedApp) else None
        return f"http://{self._address.reachable}/" + (f"?{PARAMETER}={quote(token, safe='')}" if token else "")

    def _serve(self, listener: socket.socket) -> None:
        try:
            with suppress(SystemExit):  # uvicorn's way to say that the application did not start
                asyncio.run(self._server.serve(sockets=[listener]))
        finally:
            listener.close()
            self._server.settled.set()


class _Server(uvicorn.Server):
    """Says when it has started, and cuts off who does not read when it ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        """It has started, or failed to."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        measures = [loop.call_later(CUT_OFF_S, self._cut_off), loop.call_later(CANCEL_S, self._cancel)]
        await super().shutdown(sockets)
        for measure in measures:
            measure.cancel()
        self._cut_off()

    def _cut_off(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def _cancel(self) -> None:
        for task in list(self.server_state.tasks):
            task.cancel()


class _Forwarding(logging.Handler):
    """What uvicorn has to say goes into our own log, where passwords are taken out; strangers' mistakes as news."""

    def start(self) -> None:
        own = logging.getLogger("uvicorn")
        self._before = own.propagate
        own.propagate = False
        own.addHandler(self)

    def stop(self) -> None:
        own = logging.getLogger("uvicorn")
        own.removeHandler(self)
        own.propagate = self._before

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        is_ours = record.levelno >= logging.ERROR and message != REFUSED_HANDSHAKE and not _is_cancelled(record)
        log.log(record.levelno if is_ours else logging.DEBUG, "%s", message, exc_info=record.exc_info)


def _is_cancelled(record: logging.LogRecord) -> bool:
    """A request that was cut off when the server ended is no failure."""
    return record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # JPEG does not get smaller
        lifespan="on",
        log_config=None,
        access_log=False,  # addresses carry tokens
        proxy_headers=False,  # nobody may say where he comes from
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=LAST_S,
    )
