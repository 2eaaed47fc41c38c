"""Access control over real sockets: host names, origins, tokens, and details that no response reveals."""

from __future__ import annotations

import json
import logging
import socket
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import InvalidStatus

from stream.core.log import RedactingFormatter
from stream.runtime.stats import PipelineStats
from stream.settings import WebSettings
from stream.web.access.guard import GuardedApp
from stream.web.access.origin import is_own_host, is_same_origin
from stream.web.access.token import token_for, without_token
from stream.web.address import Address
from stream.web.server import REFUSED_HANDSHAKE, WebServer
from tests.web.web_client import PATIENCE_S, WebClient

TOKEN = "a-long-token-of-mine"
COOKIE = "depthstream-{port}"
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
EVERYWHERE = "0.0.0.0:0"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


def ask(port: int, target: str = "/", method: str = "GET", host: str | None = None, **headers: str) -> Answer:
    """Send one request; ``host=""`` sends none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.putrequest(method, target, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{port}")
    for name, value in headers.items():
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders()
    with connection.getresponse() as response:
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
    connection.close()
    return answer


def status_of_handshake(url: str, **options: Any) -> int:
    """101, or the status that the server sends in its place."""
    try:
        with WebClient(url, **options) as viewer:
            viewer.hear("hello")
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),  # through a tunnel
        ("localhost:{port}", 200),
        ("LocalHost", 200),
        ("localhost.", 200),
        ("[::1]:{port}", 200),
        ("depth.example:{port}", 200),
        ("Depth.Example", 200),
        ("evil.example:{port}", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("10.0.0.7:{port}", 421),
        ("[::2]", 421),
        ("127.0.0.1@evil.example", 421),
        ("evil.example/127.0.0.1", 421),
        ("127.0.0.1:port", 421),
        ("[::1", 421),
        (" ", 421),
    ],
)
def test_the_server_answers_to_its_own_names(serve, host: str, status: int) -> None:
    """A foreign name that resolves to this server is rejected: that is how DNS rebinding looks from here."""
    served = serve(hosts=("depth.example",))
    answer = ask(served.port, "/healthz", host=host.format(port=served.port))
    assert answer.status == status
    if status != 200:
        assert answer.body.count("\n") == 1
        assert status_of_handshake(served.ws, additional_headers={"Host": host}) in (400, 421)


def test_the_response_to_an_unknown_name_contains_the_setting_to_add(serve) -> None:
    """The response has the line for the settings; an invalid name is not repeated."""
    port = serve().port
    assert ask(port, host="Depth.Example:80").body.rstrip().endswith('[web] hosts = ["depth.example"]')
    assert ask(port, host=f"{'x' * 300}.example").body.rstrip().endswith("[web] hosts")
    assert "<b>" not in ask(port, host="<b>").body


@pytest.mark.parametrize(("address", "status"), [(EVERYWHERE, 200), ("127.0.0.1:0", 421)])
@pytest.mark.parametrize("name", ["Robot7.lan:{port}", "robot7", "robot7.local:{port}"])
def test_the_machines_own_name_is_known_to_its_network(
    serve, monkeypatch, address: str, status: int, name: str
) -> None:
    """On a loopback address the machine's name is not used legitimately, and could be DNS rebinding."""
    monkeypatch.setattr(socket, "gethostname", lambda: "Robot7.lan")
    port = serve(address=address).port
    assert ask(port, "/healthz", host=name.format(port=port)).status == status
    assert ask(port, "/healthz", host=f"robot8.local:{port}").status == 421


def test_a_request_without_a_host_is_refused(serve) -> None:
    """HTTP/1.1 requires one."""
    assert ask(serve().port, "/", host="").status == 400


@pytest.mark.parametrize(
    ("origin", "handshake", "post"),
    [
        ("http://127.0.0.1:{port}", 101, 405),
        (None, 101, 405),
        ("http://localhost:{port}", 403, 403),  # ours, but this request was sent to 127.0.0.1
        ("http://127.0.0.1", 403, 403),
        ("http://127.0.0.1:1", 403, 403),
        ("https://127.0.0.1:{port}", 101, 405),  # behind a proxy that speaks TLS
        ("http://evil.example", 403, 403),
        ("http://127.0.0.1:{port}.evil.example", 403, 403),
        ("null", 403, 403),
        ("", 403, 403),
        ("ftp://127.0.0.1:{port}", 403, 403),
    ],
)
def test_other_sites_pages_are_kept_out(serve, origin: str | None, handshake: int, post: int) -> None:
    """From WebSockets, which know no other protection, and from POST, which a form of any site may send."""
    served = serve()
    headers = {} if origin is None else {"Origin": origin.format(port=served.port)}
    assert status_of_handshake(served.ws, additional_headers=headers) == handshake
    assert ask(served.port, "/", "POST", **headers).status == post


@pytest.mark.parametrize(
    ("headers", "is_in"),
    [
        ({}, False),
        ({"Authorization": f"Bearer {TOKEN}"}, True),
        ({"Authorization": f"bearer  {TOKEN}"}, True),
        ({"Authorization": TOKEN}, False),
        ({"Authorization": f"Basic {TOKEN}"}, False),
        ({"Authorization": "Bearer "}, False),
        ({"Authorization": f"Bearer {TOKEN}x"}, False),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, False),
        ({"Authorization": "Bearer t\u00f6ken"}, False),
        ({"Cookie": f"{COOKIE}={TOKEN}"}, True),
        ({"Cookie": f"theme=dark; {COOKIE}={TOKEN}; a=b"}, True),
        ({"Cookie": f"foo[1]=a; {COOKIE}={TOKEN}"}, True),
        ({"Cookie": f'x={{"json": 1}}; {COOKIE}={TOKEN}'}, True),
        ({"Cookie": f"sess=\u00e9; {COOKIE}={TOKEN}; ;=;alone"}, True),
        ({"Cookie": f"depthstream={TOKEN}"}, False),
        ({"Cookie": f"depthstream-1={TOKEN}"}, False),
        ({"Cookie": f"other={TOKEN}"}, False),
        ({"Cookie": f"{COOKIE}="}, False),
        ({"Cookie": COOKIE}, False),
    ],
)
def test_from_another_machine_a_token_is_needed(serve, headers: dict[str, str], is_in: bool) -> None:
    """For every address, existing or not; the error says how to send the token, and nothing else."""
    served = serve(address=EVERYWHERE, token=TOKEN)
    headers = {name: value.replace("{port}", str(served.port)) for name, value in headers.items()}
    for target in ("/", "/stream/front.mjpg", "/api/stats", "/metrics", "/nothing", "/healthzz", "/healthz/x"):
        assert (ask(served.port, target, "HEAD", **headers).status != 401) == is_in
    if not is_in:
        answer = ask(served.port, "/", **headers)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.body.count("\n") == 1


def test_a_viewer_brings_the_token_as_it_can(serve) -> None:
    """In the address, as a header, or as the cookie that the page has set."""
    served = serve(address=EVERYWHERE, token=TOKEN)
    bare = f"ws://127.0.0.1:{served.port}/ws"
    assert status_of_handshake(bare) == 401
    assert status_of_handshake(f"{bare}?token=wrong") == 401
    assert status_of_handshake(f"{bare}?token={TOKEN}") == 101
    assert status_of_handshake(bare, additional_headers={"Authorization": f"Bearer {TOKEN}"}) == 101
    assert status_of_handshake(bare, additional_headers={"Cookie": f"depthstream-{served.port}={TOKEN}"}) == 101


def test_the_address_that_is_printed_opens_the_page(serve) -> None:
    """Its token moves into a cookie that scripts cannot read, and out of the address bar."""
    served = serve(address=EVERYWHERE)
    target = served.server.url.partition("/")[2].partition("/")[2].partition("/")[2]
    assert target.startswith("?token=")
    answer = ask(served.port, f"/{target}&show=all")
    assert (answer.status, answer.headers["location"]) == (303, "/?show=all")
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == f"depthstream-{served.port}"
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert ask(served.port, "/", Cookie=f"{cookie.key}={cookie.coded_value}").status == 200
    assert ask(served.port, "/?token=wrong").status == 401


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:{port}", "depthstream-{port}"),
        ("localhost:9000", "depthstream-9000"),  # through a tunnel: two of them may end at port 8080 of two machines
        ("depth.example", "depthstream-{port}"),  # a proxy: two servers behind it have two ports
        ("depth.example:443", "depthstream-443"),
        ("[::1]:9000", "depthstream-9000"),
    ],
)
def test_two_servers_at_one_name_keep_a_cookie_each(serve, host: str, name: str) -> None:
    """A browser sends both cookies to both servers: it distinguishes hosts but not ports."""
    port = serve(address=EVERYWHERE, token=TOKEN, hosts=("depth.example",)).port
    host, name = host.format(port=port), name.format(port=port)
    answer = ask(port, f"/?token={TOKEN}", host=host)
    assert answer.headers["set-cookie"].startswith(f"{name}={TOKEN}; ")
    other = "depthstream-1=the-other-servers-token"
    assert ask(port, host=host, Cookie=f"{other}; {name}={TOKEN}; {other}").status == 200


def test_programs_may_leave_the_token_in_the_address(serve) -> None:
    """Only the page redirects with a cookie: a program would follow without it."""
    served = serve(address=EVERYWHERE, token=TOKEN)
    for path in ("/stream/front.mjpg", "/api/cameras", "/api/stats", "/metrics", "/healthz", "/page.js"):
        assert ask(served.port, f"{path}?token={TOKEN}", "HEAD").status == 200
        assert path == "/healthz" or ask(served.port, f"{path}?token=wrong", "HEAD").status == 401
    assert json.loads(ask(served.port, f"/api/cameras?token={TOKEN}").body)["cameras"]
    assert ask(served.port, f"/api/depth?token={TOKEN}", "POST").status == 404


def test_strangers_write_nothing_into_the_log(serve, caplog) -> None:
    """A forgotten tab retries every few seconds for ever: a refused WebSocket is logged at debug level only."""
    caplog.set_level(logging.DEBUG)
    served = serve(address=EVERYWHERE, token=TOKEN)
    for target, host, origin, status in (
        ("/ws", None, {}, 401),
        (f"/ws?token={TOKEN}", None, {"Origin": "http://evil.example"}, 403),
        ("/ws", "evil.example", {}, 421),
        (f"/nothing?token={TOKEN}", None, {}, 403),
    ):
        assert ask(served.port, target, host=host, **HANDSHAKE, **origin).status == status
    served.server.__exit__()
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert [record.getMessage() for record in caplog.records].count(REFUSED_HANDSHAKE) == 3, "uvicorn still says so"


def test_unknown_addresses_and_methods_get_one_line(serve) -> None:
    """It lists the existing addresses or the allowed methods; there is no redirection."""
    port = serve().port
    for path in ("/nothing", "/api/cameras/", "/index.html", "/healthz/"):
        answer = ask(port, path)
        assert (answer.status, answer.body.count("\n")) == (404, 1)
        assert "/api/cameras" in answer.body
        assert "location" not in answer.headers
    answer = ask(port, "/api/cameras", "DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.body == "DELETE is not allowed at this address: use GET or HEAD\n"


def test_tokens_differ_and_are_long(serve) -> None:
    """Made anew at each start where the settings name none."""
    tokens = {token_for(WebSettings(address=EVERYWHERE)) for _ in range(10)}
    assert len(tokens) == 10
    assert all(token and len(token) == 32 for token in tokens)


@pytest.mark.parametrize(
    ("settings", "is_needed"),
    [
        ({"address": "127.0.0.1:1"}, False),
        ({"address": "127.9.9.9:1"}, False),
        ({"address": "localhost:1"}, False),
        ({"address": "[::1]:1"}, False),
        ({"address": "0.0.0.0:1"}, True),
        ({"address": "[::]:1"}, True),
        ({"address": "192.168.1.5:1"}, True),
        ({"address": "myhost:1"}, True),
        ({"address": "0.0.0.0:1", "open": True}, False),
        ({"address": "127.0.0.1:1", "token": TOKEN}, True),  # behind a proxy: a token in the settings always counts
        ({"address": "127.0.0.1:1", "token": TOKEN, "open": True}, False),
    ],
)
def test_where_a_token_is_needed(settings: dict[str, Any], is_needed: bool) -> None:
    """On every address that other machines may reach, unless the settings open it."""
    assert (token_for(WebSettings(**settings)) is not None) == is_needed


def test_health_needs_no_token_and_then_reveals_little(serve) -> None:
    """Every client may see whether the pipeline works; the reasons need the token."""
    served = serve(address=EVERYWHERE, token=TOKEN)
    stranger = ask(served.port, "/healthz")
    assert stranger.status == 200
    assert list(json.loads(stranger.body)) == ["status"]


def test_whether_a_request_is_trusted_reaches_the_routes() -> None:
    """In ``scope["state"]``: with a token where one is needed, and always where none is."""

    async def show_trust(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.scope["state"]["trusted"]))

    for settings, target, expected in (
        (WebSettings(address=EVERYWHERE, token=TOKEN), "/healthz", "False"),
        (WebSettings(address=EVERYWHERE, token=TOKEN), f"/stream/x?token={TOKEN}", "True"),
        (WebSettings(address="127.0.0.1:0"), "/healthz", "True"),
    ):
        app = GuardedApp(settings, routes=[Route("/healthz", show_trust), Route("/stream/x", show_trust)])
        with WebServer(app, settings) as server:
            port = int(server.url.split(":")[2].split("/")[0])
            assert ask(port, target).body == expected


def test_every_answer_keeps_the_page_to_itself(serve) -> None:
    """Pages and errors alike: no foreign script, no frame around it, no type sniffing, no CORS."""
    served = serve(hosts=("depth.example",))
    for answer in (
        ask(served.port, "/"),
        ask(served.port, "/", "HEAD"),
        ask(served.port, "/nothing"),
        ask(served.port, "/", host="evil.example"),
        ask(served.port, "/", "POST", Origin="http://evil.example"),
        ask(served.port, "/", Origin="http://depth.example"),
    ):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' blob: data:; connect-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in answer.headers
        assert not any(name.startswith("access-control") for name in answer.headers)
    assert "cross-origin-resource-policy" not in ask(served.port, "/stream/front.mjpg", "HEAD").headers


def test_an_internal_error_reveals_nothing(caplog) -> None:
    """The response has no path or traceback and the usual headers; the log has both, without the password."""

    async def fail(request: Request) -> PlainTextResponse:
        raise OSError("cannot open rtsp://admin:s3cr3t@10.0.0.7/main")

    settings = WebSettings(address="127.0.0.1:0")
    with WebServer(GuardedApp(settings, routes=[Route("/", fail)]), settings) as server:
        answer = ask(int(server.url.split(":")[2].strip("/")))
    assert (answer.status, answer.body) == (500, "Internal Server Error")
    assert "content-security-policy" in answer.headers
    (record,) = (record for record in caplog.records if record.name == "stream.web.server")
    line = RedactingFormatter().format(record)
    assert "rtsp://admin:***@10.0.0.7/main" in line
    assert "s3cr3t" not in line


def test_an_internal_error_is_one_line(serve, caplog) -> None:
    """Like every other error; the log has the details."""

    def fail() -> PipelineStats:
        raise OSError("cannot read /home/anna/x")

    served = serve(stats=fail)
    answer = ask(served.port, "/api/stats")
    assert (answer.status, answer.body) == (500, "the server failed to answer this request; its log says why\n")
    served.server.__exit__()  # it answers first, and then writes
    assert "/home/anna/x" in caplog.text


@pytest.mark.parametrize(
    ("query", "location"),
    [("token=x", "/"), ("a=1&token=x&b=", "/?a=1&b="), ("token=x&token=y&a=%0D%0Ab", "/?a=%0D%0Ab")],
)
def test_a_redirection_stays_on_this_server(query: str, location: str) -> None:
    """It contains no token, and cannot inject a line into the response's headers."""
    assert without_token(query) == location


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("my-host.lan:65535", ("my-host.lan", 65535)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    """And formatted as it was parsed."""
    assert Address.parse(text) == address
    assert str(Address.parse(text)) == text


def test_the_connections_own_address_is_a_name_of_ours() -> None:
    """When listening on every network card: the IP that the request came to, also for IPv4 over an IPv6 socket."""
    assert is_own_host("192.168.1.5:8080", (), "192.168.1.5")
    assert is_own_host("192.168.1.5:8080", (), "::ffff:192.168.1.5")
    assert is_own_host("[fd00:0:0::5]", (), "fd00::5")
    assert not is_own_host("192.168.1.6:8080", (), "192.168.1.5")


def test_default_ports_are_the_same_origin() -> None:
    """A browser leaves them out."""
    assert is_same_origin("http://depth.example", "depth.example")
    assert is_same_origin("http://depth.example", "depth.example:80")
    assert is_same_origin("https://depth.example", "depth.example")
    assert not is_same_origin("http://depth.example", "depth.example:8080")


def test_a_plain_application_is_not_guarded() -> None:
    """The guard belongs to the application; the server serves any application."""
    settings = WebSettings(address="127.0.0.1:0")
    with WebServer(Starlette(), settings) as server:
        answer = ask(int(server.url.split(":")[2].strip("/")), host="evil.example")
    assert answer.status == 404
