"""Authentication over real sockets: only a client with a key of the folder is admitted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
import zmq.auth

from stream.core.clock import Deadline
from stream.errors import SinkError
from stream.publisher.curve_keys import create, load_server
from stream.publisher.publisher import Publisher
from stream.settings import PublishSettings

PATIENCE_S = 20.0
REFUSED_MS = 400
"""Long enough for a reader that is let in: it gets the stream's info in a few milliseconds."""
Pair = tuple[bytes, bytes]
Connect = Callable[..., zmq.Socket[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of keys with one client, "robot"."""
    create(tmp_path / "keys", "robot")
    return tmp_path / "keys"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """``connect(publisher, keys, server_public)``: a reader of everything; without keys one that knows no CURVE."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        context.linger = 0

        def make(publisher: Publisher, keys: Pair | None = None, server: bytes = b"") -> zmq.Socket[bytes]:
            socket = stack.enter_context(context.socket(zmq.SUB))
            if keys:
                socket.curve_publickey, socket.curve_secretkey = keys
                socket.curve_serverkey = server
            socket.reconnect_ivl = 50
            socket.subscribe(b"")
            socket.connect(publisher.endpoints[0])
            return socket

        yield make


def guarded(folder: Path) -> Publisher:
    """A publisher that has declared a stream, so that an admitted reader gets its info."""
    publisher = Publisher(PublishSettings(endpoints=("tcp://127.0.0.1:*",), keys=str(folder)))
    publisher.declare("cam0", {})
    return publisher


def pair(folder: Path, name: str) -> Pair:
    public, secret = zmq.auth.load_certificate(folder / "clients" / f"{name}.key_secret")
    assert secret is not None
    return public, secret


def reads(socket: zmq.Socket[bytes]) -> bool:
    return bool(socket.poll(1000 * PATIENCE_S)) and socket.recv().startswith(b"info/cam0\0")


def until(condition: Callable[[], bool]) -> None:
    deadline = Deadline.after(PATIENCE_S)
    while not condition():
        assert not deadline.passed, "it did not happen"
        threading.Event().wait(0.002)


def test_a_client_of_the_folder_reads(folder: Path, connect: Connect) -> None:
    """No key was refused."""
    with guarded(folder) as publisher:
        assert reads(connect(publisher, pair(folder, "robot"), load_server(folder).public))
        assert publisher.statistics()["refused keys"] == 0


def test_a_stranger_reads_nothing_and_is_counted(
    folder: Path, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """It knows the server's public key and has a valid pair of its own; the log names its public key, no secret."""
    stranger, server = zmq.curve_keypair(), load_server(folder)
    with guarded(folder) as publisher, caplog.at_level(logging.WARNING, "stream"):
        socket = connect(publisher, stranger, server.public)
        until(lambda: publisher.statistics()["refused keys"] >= 1)
        assert not socket.poll(REFUSED_MS)
        assert publisher.statistics()["readers"] == 0
        assert reads(connect(publisher, pair(folder, "robot"), server.public)), "others are not disturbed"
    assert stranger[0].decode() in caplog.text
    assert all(secret.decode() not in caplog.text for secret in (stranger[1], server.secret))
    assert publisher.statistics()["refused keys"] >= 1, "also after the end"


def test_a_client_without_curve_or_of_another_server_reads_nothing(folder: Path, connect: Connect) -> None:
    """Both fail before they can subscribe."""
    other_server, _ = zmq.curve_keypair()
    with guarded(folder) as publisher:
        plain = connect(publisher)
        misled = connect(publisher, pair(folder, "robot"), other_server)
        assert not plain.poll(REFUSED_MS)
        assert not misled.poll(REFUSED_MS)
        assert publisher.statistics()["readers"] == 0


def test_keys_come_and_go_while_it_runs(folder: Path, connect: Connect) -> None:
    """A new client gets in; one whose file is deleted does not come back."""
    server = load_server(folder).public
    with guarded(folder) as publisher:
        assert reads(connect(publisher, pair(folder, "robot"), server))
        create(folder, "late")
        assert reads(connect(publisher, pair(folder, "late"), server))
        (folder / "clients" / "late.key").unlink()
        again = connect(publisher, pair(folder, "late"), server)
        until(lambda: publisher.statistics()["refused keys"] >= 1)
        assert not again.poll(REFUSED_MS)


def test_a_file_that_is_damaged_while_it_runs_shuts_no_client_out(
    folder: Path, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A robot that is refused once gives up; so the keys from before stay valid, and the log says why."""
    server, robot = load_server(folder).public, pair(folder, "robot")
    with guarded(folder) as publisher, caplog.at_level(logging.WARNING, "stream"):
        (folder / "clients" / "robot.key").write_text("half a file")
        assert reads(connect(publisher, robot, server))
    assert "the keys from before stay valid" in caplog.text


def test_two_guarded_publishers_in_one_process(tmp_path: Path, connect: Connect) -> None:
    """Each with its own folder; a client of one is a stranger to the other."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        create(folder, "robot")
    with guarded(folders[0]) as first, guarded(folders[1]) as second:
        keys = pair(folders[0], "robot")
        assert reads(connect(first, keys, load_server(folders[0]).public))
        assert not connect(second, keys, load_server(folders[1]).public).poll(REFUSED_MS)
        assert (first.statistics()["refused keys"], second.statistics()["refused keys"] > 0) == (0, True)


def test_a_folder_that_others_may_read_is_refused_and_nothing_stays_behind(folder: Path) -> None:
    """No thread, no socket."""
    (folder / "server.key_secret").chmod(0o644)
    before = set(threading.enumerate())
    with pytest.raises(SinkError, match="chmod 600"), guarded(folder):
        pass
    assert set(threading.enumerate()) == before


def test_with_keys_other_machines_may_be_served(folder: Path, connect: Connect) -> None:
    """No flag is needed, and nothing is warned about."""
    settings = PublishSettings(endpoints=("tcp://0.0.0.0:*",), keys=str(folder))
    with Publisher(settings) as publisher:
        publisher.declare("cam0", {})
        assert not connect(publisher).poll(REFUSED_MS)


def test_its_threads_have_names_and_end(folder: Path) -> None:
    """Twenty times, also right after the start."""
    before = set(threading.enumerate())
    for _ in range(20):
        with guarded(folder):
            assert {thread.name for thread in set(threading.enumerate()) - before} == {"publisher", "publisher gate"}
    assert set(threading.enumerate()) == before
