"""Binding of a publisher's endpoints, and the errors when that fails."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq

from stream.errors import SinkError, UsageError
from stream.publisher import publisher as publishing
from stream.publisher.endpoints import is_open_to_others
from stream.publisher.publisher import Publisher
from stream.settings import PublishSettings

PATIENCE_MS = 20_000


@pytest.fixture
def reader() -> Iterator[zmq.Socket[bytes]]:
    """A reader of the info of every stream, not connected yet."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.subscribe(b"info/")
        yield sub


def publisher(*endpoints: str) -> Publisher:
    """A publisher that has declared a stream, so that every new reader gets its info."""
    made = Publisher(PublishSettings(endpoints=endpoints))
    made.declare("cam0", {})
    return made


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://*:5560", "tcp://0.0.0.0:*", "tcp://192.168.1.7:5560", "tcp://eth0:5560", "tcp://[::]:5560", "tcp://host:1"],
)
def test_other_machines_reach_it_only_with_permission(endpoint: str) -> None:
    """The error names both ways: keys, or anyone."""
    with pytest.raises(UsageError, match="depthstream keys new") as raised:
        Publisher(PublishSettings(endpoints=("tcp://127.0.0.1:*", endpoint)))
    assert "allow_anyone" in str(raised.value)
    assert is_open_to_others(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://127.0.0.1:5560", "tcp://127.3.2.1:*", "tcp://localhost:1", "tcp://[::1]:1", "tcp://lo:1", "ipc://x"],
)
def test_this_machine_needs_no_permission(endpoint: str) -> None:
    """Nothing is opened yet, and nothing is complained about."""
    Publisher(PublishSettings(endpoints=(endpoint,)))
    assert not is_open_to_others(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["udp://1.2.3.4:5", "127.0.0.1:5560", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "ipc://", "tcp://a b", ""],
)
def test_what_is_no_endpoint_is_a_usage_error(endpoint: str) -> None:
    """ZeroMQ would take port 99999 and listen on another one."""
    with pytest.raises(UsageError, match="no place to listen"):
        Publisher(PublishSettings(endpoints=(endpoint,)))


def test_letting_anyone_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """As a warning, at every start."""
    settings = PublishSettings(endpoints=("tcp://0.0.0.0:*",), allow_anyone=True)
    with caplog.at_level(logging.WARNING), Publisher(settings):
        assert "anyone who reaches tcp://0.0.0.0:*" in caplog.text


def test_tcp_and_ipc_at_once(tmp_path: Path, reader: zmq.Socket[bytes]) -> None:
    """Each reader takes its own way; the file is gone afterwards."""
    path = tmp_path / "depth.ipc"
    with publisher("tcp://127.0.0.1:*", f"ipc://{path}") as made:
        for endpoint in made.endpoints:
            reader.connect(endpoint)
            assert reader.poll(PATIENCE_MS)
            assert reader.recv().startswith(b"info/cam0\0")
            reader.disconnect(endpoint)
        assert made.endpoints[1] == f"ipc://{path}"
    assert not path.exists()


def test_the_file_of_a_publisher_that_died_is_replaced(tmp_path: Path, reader: zmq.Socket[bytes]) -> None:
    """A killed process leaves its socket file."""
    path = tmp_path / "depth.ipc"
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    with publisher(f"ipc://{path}"):
        reader.connect(f"ipc://{path}")
        assert reader.poll(PATIENCE_MS)


def test_a_living_publisher_is_not_robbed_of_its_file(tmp_path: Path, reader: zmq.Socket[bytes]) -> None:
    """ZeroMQ alone would take it over in silence."""
    endpoint = f"ipc://{tmp_path / 'depth.ipc'}"
    with publisher(endpoint):
        with pytest.raises(SinkError, match="another program listens there"), publisher(endpoint):
            pass
        reader.connect(endpoint)
        assert reader.poll(PATIENCE_MS)


def test_the_file_of_another_program_stays(tmp_path: Path) -> None:
    """ZeroMQ alone would delete it."""
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(SinkError, match="choose another name"), publisher(f"ipc://{path}"):
        pass
    assert path.read_text() == "mine"


def test_an_error_says_what_to_do(tmp_path: Path) -> None:
    """A missing folder, a name that is too long, an address of another machine."""
    for endpoint, advice in {
        f"ipc://{tmp_path}/none/depth.ipc": f"mkdir -p {tmp_path}/none",
        f"ipc://{tmp_path}/{'x' * 120}": "107 characters",
    }.items():
        with pytest.raises(SinkError, match=advice), publisher(endpoint):
            pass
    elsewhere = PublishSettings(endpoints=("tcp://192.0.2.1:5560",), allow_anyone=True)
    with pytest.raises(SinkError, match="ip addr lists them"), Publisher(elsewhere):
        pass


@pytest.mark.parametrize("broken", ["RequestWaiter", "threading"])
def test_an_opening_that_fails_half_way_leaves_nothing_behind(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more files, or no more threads: the port is free again, and later it can be opened."""

    def fails(*what: object, **how: object) -> None:
        raise OSError("too many open files")

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made, files = publisher(f"tcp://127.0.0.1:{port}"), _open_files()
    with monkeypatch.context() as patch:
        patch.setattr(publishing, broken, SimpleNamespace(Thread=fails) if broken == "threading" else fails)
        with pytest.raises(OSError, match="too many"), made:
            pass
    assert _open_files() == files
    assert "readers" not in made.statistics(), "not open"
    with made:
        pass


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_port_in_use_is_named_and_nothing_stays_behind(tmp_path: Path) -> None:
    """The endpoints that had been bound before are released too."""
    path, before = tmp_path / "depth.ipc", set(threading.enumerate())
    with publisher("tcp://127.0.0.1:*") as first:
        taken = first.endpoints[0]
        with pytest.raises(SinkError, match="stop it, or choose another port") as raised:
            publisher(f"ipc://{path}", taken).__enter__()
        assert taken in str(raised.value)
        assert not path.exists()
    with publisher(taken):
        pass
    assert set(threading.enumerate()) == before
