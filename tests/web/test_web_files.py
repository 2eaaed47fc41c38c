"""The page's files over a real server: exactly these, unchanged, and nothing loaded from other hosts."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from importlib.resources import files

import pytest
import uvicorn
from starlette.applications import Starlette

from stream.core.view_controls import COLORMAPS
from stream.render.colormap import lut
from stream.web.files import PAGE_FILES, page_routes

FOLDER = files("stream.web") / "page"
TEXTS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in PAGE_FILES.values()}
STOPS = 9
"""Colours of a map that the legend names."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server with these routes alone."""
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=page_routes()), log_config=None, lifespan="off"))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web")
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10.0)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response, response.read()


@pytest.mark.parametrize(("address", "name"), PAGE_FILES.items())
def test_a_file_comes_as_it_is_in_the_package(port: int, address: str, name: str) -> None:
    """With the media type that a browser requires when nosniff is set."""
    response, body = ask(port, address)
    types = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert response.status == 200
    assert body == (FOLDER / name).read_bytes()
    assert response.headers.get_content_type() == types[name.split(".")[1]]


def test_every_file_of_the_page_is_served() -> None:
    """The folder and ``PAGE_FILES`` list the same files."""
    assert sorted(entry.name for entry in FOLDER.iterdir()) == sorted(PAGE_FILES.values())


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/../files.py",
        "/..%2ffiles.py",
        "/%2e%2e/files.py",
        "/page/../page.js",
        "//etc/passwd",
        "/page.js%00",
        "/PAGE.JS",
        "/stream/web/page/page.js",
    ],
)
def test_anything_else_is_not_there(port: int, path: str) -> None:
    """No path from a request reaches the file system."""
    response, body = ask(port, path)
    assert (response.status, body) == (404, b"Not Found")


def test_a_browser_that_has_the_file_is_not_sent_it_again(port: int) -> None:
    """It revalidates each time, so it never mixes the files of two versions."""
    first, _ = ask(port, "/page.js")
    again, body = ask(port, "/page.js", If_None_Match=first.headers["ETag"])
    assert (again.status, body) == (304, b"")
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-cache"
    assert ask(port, "/page.js", If_None_Match='"other"')[0].status == 200


def test_the_page_only_reads(port: int) -> None:
    """HEAD as GET without a body; anything that would write is refused."""
    response, body = ask(port, "/", "HEAD")
    assert (response.status, body) == (200, b"")
    assert ask(port, "/", "POST")[0].status == 405


def test_the_page_needs_nothing_but_its_own_files() -> None:
    """Every address in it is one of PAGE_FILES; no other host appears anywhere (a namespace's name is no address)."""
    for name, text in TEXTS.items():
        named = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", text)
        assert set(named) <= set(PAGE_FILES), name
        modules = re.findall(r"""from "\./([^"]+)";""", text)
        assert {f"/{module}" for module in modules} <= set(PAGE_FILES), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|[\"'`]//", text), name


def test_the_page_lives_with_a_strict_content_security_policy() -> None:
    """No script or style inside of the page, no event attributes, nothing evaluated, no markup made from text."""
    page = TEXTS["index.html"]
    assert re.findall(r"<script\b[^>]*>(?!</script>)", page) == []
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    for name, text in TEXTS.items():
        assert not re.search(r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write", text), (
            name
        )


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_legend_has_the_colours_that_depth_is_painted_with(colormap: str) -> None:
    """Nine of the 256, first to last."""
    table = lut(colormap)
    stops = [table[round(stop * 255 / (STOPS - 1))][::-1] for stop in range(STOPS)]
    ramp = ", ".join("#" + bytes(stop.tolist()).hex() for stop in stops)
    assert f':root[data-colormap="{colormap}"] {{ --ramp: {ramp}; }}' in TEXTS["page.css"]
