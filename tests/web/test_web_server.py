"""Start and end of the server: unusable addresses, viewers that stay connected, and no thread left behind."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from http.client import IncompleteRead
from urllib.request import urlopen

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed

from stream.core.view_controls import ViewControls
from stream.errors import SettingsError, SinkError
from stream.settings import WebSettings
from stream.web import server as server_module
from stream.web.address import Address
from stream.web.app import build_app
from stream.web.live.hub import WebSink
from stream.web.server import WebServer
from stream.web.services import Services
from tests.web.conftest import NO_STATS
from tests.web.web_client import PATIENCE_S, MuteClient, WebClient, eventually


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def has_ended(client: socket.socket) -> bool:
    """True if the server closes the connection before it sends anything."""
    with client:
        try:
            return client.recv(1) == b""
        except ConnectionError:
            return True


def web_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("web")]


def test_the_address_is_known_and_answers_inside_with(serve) -> None:
    """Port 0 becomes the port that was assigned; the loop runs in a thread named "web"."""
    served = serve()
    assert served.port > 0
    assert served.server.url == f"http://127.0.0.1:{served.port}/"
    with urlopen(served.server.url, timeout=PATIENCE_S) as page:
        assert page.status == 200
        assert page.headers["Content-Type"].startswith("text/html")
    assert "web" in web_threads()


@pytest.mark.slow
@pytest.mark.parametrize("writes_meanwhile", [False, True])
def test_viewers_of_every_kind_do_not_hold_up_the_end(web_view, writes_meanwhile: bool) -> None:
    """Pages, a Motion JPEG client, one that never reads, and a silent connection all end, and no thread stays."""
    settings = WebSettings(address="127.0.0.1:0")
    sink = WebSink(["front"])
    app = build_app(Services(sink, ViewControls(), lambda: NO_STATS, (), None, settings))
    over, view = threading.Event(), web_view(0, size=(240, 320), noise=True)
    writer = threading.Thread(target=lambda: [sink.write(view) for _ in iter(over.is_set, True)], name="writer")
    with ExitStack() as clients:
        with WebServer(app, settings) as server:
            port = int(server.url.split(":")[2].strip("/"))
            pages = [clients.enter_context(WebClient(f"ws://127.0.0.1:{port}/ws")) for _ in range(3)]
            for page in pages:
                page.watch(front="both")
            reader = clients.enter_context(urlopen(f"{server.url}stream/front.mjpg", timeout=PATIENCE_S))
            mute = clients.enter_context(MuteClient(port, "front"))
            clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            if writes_meanwhile:
                writer.start()
                clients.callback(writer.join)
                clients.callback(over.set)
            for seq in range(60):
                sink.write(web_view(seq, size=(240, 320), noise=True))
                mute.say("shown", camera="front", seq=seq)
            eventually(lambda: sink.counts()["viewers"] == 5)
        assert web_threads() == []
        assert sink.counts()["viewers"] == 0
        for page in pages:
            with pytest.raises(ConnectionClosed):
                page.hear("nothing")
        with suppress(IncompleteRead, ConnectionError):  # it has not read for a while, and may be cut off
            reader.read()
    sink.write(view)  # the pipeline goes on without it


def test_viewers_are_notified_of_the_end(web_view) -> None:
    """A page gets the close code 1001, and a Motion JPEG stream ends regularly."""
    settings = WebSettings(address="127.0.0.1:0")
    sink = WebSink(["front"])
    app = build_app(Services(sink, ViewControls(), lambda: NO_STATS, (), None, settings))
    with ExitStack() as clients:
        with WebServer(app, settings) as server:
            page = clients.enter_context(WebClient(f"{server.url.replace('http', 'ws')}ws"))
            page.hear("hello")
            reader = clients.enter_context(urlopen(f"{server.url}stream/front.mjpg", timeout=PATIENCE_S))
            sink.write(web_view())
            eventually(lambda: sink.encodes == 1)
        assert reader.read().count(b"Content-Type: image/jpeg") == 1
        with pytest.raises(ConnectionClosed) as closed:
            page.hear("nothing")
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the server ends")


@pytest.mark.slow
def test_a_request_without_an_end_is_cut_off(caplog) -> None:
    """A handler that does not return is cancelled, and its client sees the connection end."""
    begun, cancelled = threading.Event(), threading.Event()

    async def never(request: Request) -> PlainTextResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return PlainTextResponse("")

    settings = WebSettings(address="127.0.0.1:0")
    with WebServer(Starlette(routes=[Route("/", never)]), settings) as server:
        client = socket.create_connection(("127.0.0.1", int(server.url.split(":")[2].strip("/"))), PATIENCE_S)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(PATIENCE_S)
    assert cancelled.is_set()
    assert web_threads() == []
    assert has_ended(client)
    assert "ERROR" not in [record.levelname for record in caplog.records]


def test_a_taken_port_is_reported_in_one_line(serve) -> None:
    """The error names the address, the reason and a remedy; the other server goes on."""
    served = serve()
    address = f"127.0.0.1:{served.port}"
    settings = WebSettings(address=address)
    with pytest.raises(SinkError, match=f"cannot listen on {address}: another program listens there") as error:
        WebServer(Starlette(), settings).__enter__()
    assert "\n" not in str(error.value)
    assert web_threads().count("web") == 1
    with urlopen(served.server.url, timeout=PATIENCE_S) as page:
        assert page.status == 200


def test_a_port_is_free_again_at_once() -> None:
    """Even with connections in TIME_WAIT; the same application can be served again."""
    settings = WebSettings(address="127.0.0.1:0")
    app = build_app(Services(WebSink(), ViewControls(), lambda: NO_STATS, (), None, settings))
    port = 0
    for _ in range(3):
        with WebServer(app, WebSettings(address=f"127.0.0.1:{port}")) as server:
            port = int(server.url.split(":")[2].strip("/"))
            with WebClient(f"ws://127.0.0.1:{port}/ws") as viewer:
                viewer.hear("stats")


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("8080", SettingsError, "write HOST:PORT"),
        ("127.0.0.1:http", SettingsError, "write HOST:PORT"),
        ("127.0.0.1:65536", SettingsError, "write HOST:PORT"),
        ("::1:8080", SettingsError, "write HOST:PORT"),
        (":8080", SettingsError, "write HOST:PORT"),
        ("http://127.0.0.1:8080", SettingsError, "write HOST:PORT"),
        ("192.0.2.1:0", SinkError, "no network card of this machine has this address"),
        ("no-such-host.invalid:0", SinkError, "no machine has this name"),
    ],
)
def test_an_unusable_address_is_an_error(address: str, error: type[Exception], words: str) -> None:
    """The error is one line, and no thread was started."""
    with pytest.raises(error, match=words) as raised:
        WebServer(Starlette(), WebSettings(address=address, open=True)).__enter__()
    assert address in str(raised.value)
    assert "\n" not in str(raised.value)
    assert web_threads() == []


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6(serve, web_view) -> None:
    """The loopback address in brackets, and [::] for both IPv6 and IPv4 clients."""
    served = serve(address="[::1]:0")
    assert served.server.url.startswith("http://[::1]:")
    with urlopen(served.server.url, timeout=PATIENCE_S) as page:
        assert page.status == 200
    with WebClient(served.ws, origin=served.server.url.rstrip("/")) as viewer:
        viewer.watch(front="depth")
        served.sink.write(web_view(1))
        assert viewer.image().head["seq"] == 1
    everywhere = serve(address="[::]:0", open=True)
    for host in ("[::1]", "127.0.0.1", "localhost"):
        with urlopen(f"http://{host}:{everywhere.port}/", timeout=PATIENCE_S) as page:
            assert page.status == 200


def test_the_printed_address_is_one_to_open() -> None:
    """For "every network card", it is the address that other machines can reach, never 0.0.0.0."""
    host, port = Address("0.0.0.0", 80).reachable
    assert host not in ("0.0.0.0", "")
    socket.create_server((host, 0)).close()  # it is one of this machine's
    assert port == 80
    assert Address("127.0.0.1", 80).reachable == ("127.0.0.1", 80)
    assert Address("depth.example", 80).reachable == ("depth.example", 80)


def test_a_server_that_cannot_start_says_so(caplog) -> None:
    """The log contains the application's exception, and no thread stays."""

    @asynccontextmanager
    async def fail(app: Starlette) -> AsyncIterator[None]:
        raise OSError("no room for rtsp://admin:s3cr3t@10.0.0.7/")
        yield

    with pytest.raises(SinkError, match="did not start; the log says why"):
        WebServer(Starlette(lifespan=fail), WebSettings(address="127.0.0.1:0")).__enter__()
    assert web_threads() == []
    assert any("no room for" in record.getMessage() for record in caplog.records)


@pytest.mark.slow
def test_silent_connections_give_up_their_place(serve, monkeypatch) -> None:
    """A client that sends nothing and one that never finishes its headers are cut off; one with a request stays."""
    monkeypatch.setattr(server_module, "FIRST_REQUEST_S", 1.5)
    served = serve()
    with (
        socket.create_connection(("127.0.0.1", served.port), PATIENCE_S) as silent,
        socket.create_connection(("127.0.0.1", served.port), PATIENCE_S) as slow,
        WebClient(served.ws) as viewer,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        for client in (silent, slow):
            assert has_ended(client)
        for _ in range(2):
            viewer.hear("stats")


def test_strangers_mistakes_are_not_shouted_into_the_log(serve, caplog) -> None:
    """A request that is not HTTP is logged at debug level only; uvicorn's loggers are left unchanged."""
    caplog.set_level(logging.DEBUG)
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE_S) as client:
        client.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 400"
    records = [record for record in caplog.records if "Invalid HTTP" in record.getMessage()]
    assert [(record.name, record.levelno) for record in records] == [("stream.web.server", logging.DEBUG)]
    served.server.__exit__()
    assert logging.getLogger("uvicorn").handlers == []
    assert logging.getLogger("uvicorn").propagate
