"""The web server: uvicorn in one thread named "web", from when its address is known until the ``with`` block ends."""

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
"""Time in which a new connection must send its first request line and headers; the body may take longer."""
MESSAGE_BYTES = 32 << 10
"""The longest WebSocket message that a viewer may send; a list of 256 cameras fits."""
MAX_CONNECTIONS = 256
START_TIMEOUT_S = 10.0
ABORT_AFTER_S = 0.5
"""After shutdown begins: connections whose client reads nothing are aborted."""
CANCEL_AFTER_S = 1.0
"""After shutdown begins: requests that are still being handled are cancelled."""
GRACEFUL_SHUTDOWN_S = 2
"""After shutdown begins: uvicorn stops waiting."""
REFUSED_HANDSHAKE = "ASGI callable returned without completing handshake."
"""What uvicorn's WebSockets (0.54) log for every response in place of a handshake, such as the guard's 401."""

log = logging.getLogger(__name__)


class WebServer:
    """Serves ``app`` at ``settings.address`` inside ``with``.

    Entering raises SettingsError for an invalid address, and SinkError when the address cannot be listened on or the
    application does not start. Leaving closes open connections, waits at most 2 s for them, and leaves no thread.
    """

    def __init__(self, app: Starlette, settings: WebSettings) -> None:
        self._app, self._settings = app, settings
        self._address = Address.parse(settings.address)

    def __enter__(self) -> Self:
        listener = listen(self._address)
        self._address = Address(self._address.host, listener.getsockname()[1])  # port 0 has become a real one
        self._server = _Server(_config(self._app))
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="web", daemon=True)
        self._log_forwarder = _LogForwarder()
        self._log_forwarder.start()
        self._thread.start()
        if not self._server.settled.wait(START_TIMEOUT_S) or not self._server.started:
            self.__exit__()  # ``with`` does not call it when entering fails
            raise SinkError(f"the web server at {self._address} did not start; the log says why")
        return self

    def __exit__(self, *exc_info: object) -> None:
        if isinstance(self._app, GuardedApp):
            self._app.end_viewers()  # streams without an end would otherwise hold up the shutdown
        self._server.should_exit = True
        self._thread.join()
        self._log_forwarder.stop()

    @property
    def url(self) -> str:
        """The address to open in a browser. It contains the token if one is required, so treat it as a secret."""
        token = self._app.token if isinstance(self._app, GuardedApp) else None
        return f"http://{self._address.reachable}/" + (f"?{PARAMETER}={quote(token, safe='')}" if token else "")

    def _serve(self, listener: socket.socket) -> None:
        try:
            with suppress(SystemExit):  # uvicorn exits when the application fails to start
                asyncio.run(self._server.serve(sockets=[listener]))
        finally:
            listener.close()
            self._server.settled.set()


class _Server(uvicorn.Server):
    """Sets an event when it has started, and aborts connections that would delay its end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        """Set when the server has started, or has failed to."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_later(ABORT_AFTER_S, self._abort_connections),
            loop.call_later(CANCEL_AFTER_S, self._cancel_requests),
        ]
        await super().shutdown(sockets)
        for timer in timers:
            timer.cancel()
        # uvicorn stops waiting after GRACEFUL_SHUTDOWN_S and may leave connections open.
        self._abort_connections()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def _cancel_requests(self) -> None:
        for task in list(self.server_state.tasks):
            task.cancel()


class _Connection(H11Protocol):
    """HTTP by h11. uvicorn alone would wait for the first request of a connection without a time limit."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.loop.call_later(FIRST_REQUEST_S, self._abort_if_silent)

    def _abort_if_silent(self) -> None:
        if getattr(self, "scope", None) is None:  # uvicorn's annotation denies it, but it is None until a request
            self.transport.abort()


class _LogForwarder(logging.Handler):
    """Sends uvicorn's log records to our own logger, which redacts passwords.

    Anything that a client can cause is logged at debug level, so that strangers cannot fill the log.
    """

    def start(self) -> None:
        uvicorn_log = logging.getLogger("uvicorn")
        self._propagated = uvicorn_log.propagate
        uvicorn_log.propagate = False
        uvicorn_log.addHandler(self)

    def stop(self) -> None:
        uvicorn_log = logging.getLogger("uvicorn")
        uvicorn_log.removeHandler(self)
        uvicorn_log.propagate = self._propagated

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        is_ours = record.levelno >= logging.ERROR and message != REFUSED_HANDSHAKE and not _is_cancelled(record)
        log.log(record.levelno if is_ours else logging.DEBUG, "%s", message, exc_info=record.exc_info)


def _is_cancelled(record: logging.LogRecord) -> bool:
    """A request that was cancelled because the server ended is not a failure."""
    return record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=_Connection,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # JPEG does not get smaller
        lifespan="on",
        log_config=None,  # uvicorn's own handlers would not redact passwords
        access_log=False,  # addresses carry tokens
        proxy_headers=False,  # a client must not be able to choose the address that it seems to come from
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
    )
