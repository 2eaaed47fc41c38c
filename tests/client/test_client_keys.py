"""CURVE: with the right keys a robot reads, without them it gets an error with the reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from stream.client.client_keys import ClientKeys
from stream.client.subscriber import Subscriber
from stream.errors import StaleFrame, UsageError
from tests.client.sending import depth_map, packed

LONG_S = 15.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `depthstream keys new robot` creates it."""
    (tmp_path / "clients").mkdir()
    zmq.auth.create_certificates(tmp_path, "server")
    make(tmp_path, "robot")
    return tmp_path


def make(folder: Path, name: str) -> Path:
    _, secret = zmq.auth.create_certificates(folder / "clients", name)
    Path(secret).chmod(0o600)
    return Path(secret)


class Guarded:
    """A PUB socket that asks for keys, and a set of those it knows."""

    def __init__(self, folder: Path, known: set[bytes]) -> None:
        self._context = zmq.Context()
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self.known = known
        self._authenticator.configure_curve_callback(domain="depth", credentials_provider=self)
        self.socket = self._context.socket(zmq.XPUB)
        self.socket.linger, self.socket.zap_domain, self.socket.curve_server = 0, b"depth", True
        self.socket.curve_publickey, secret = zmq.auth.load_certificate(folder / "server.key_secret")
        assert secret is not None
        self.socket.curve_secretkey = secret
        self.socket.bind("tcp://127.0.0.1:*")
        self.endpoint = self.socket.last_endpoint.decode()

    def callback(self, domain: str, key: bytes) -> bool:
        return key in self.known

    def close(self) -> None:
        self.socket.close(0)
        self._authenticator.stop()
        self._context.term()


@pytest.fixture
def guarded(folder: Path) -> Iterator[Guarded]:
    robot, _ = zmq.auth.load_certificate(folder / "clients" / "robot.key")
    guarded = Guarded(folder, {robot})
    yield guarded
    guarded.close()


def read(guarded: Guarded, reader: Subscriber) -> int:
    """Send until it is read."""
    message = packed(depth_map(3))
    for _ in range(round(LONG_S / 0.1)):
        guarded.socket.send(message)
        try:
            return reader.read(0.1).header.seq
        except StaleFrame:
            continue
    raise AssertionError(f"nothing comes: {reader.health}")


def until_link(reader: Subscriber, state: str) -> None:
    end = time.monotonic() + LONG_S
    while reader.health.link != state:
        assert time.monotonic() < end, reader.health.link
        time.sleep(0.01)


def test_with_its_keys_a_robot_reads(guarded: Guarded, folder: Path) -> None:
    """The secret appears in no text."""
    keys = ClientKeys.load(folder / "server.key", folder / "clients" / "robot.key_secret")
    assert keys == ClientKeys.from_folder(folder)
    assert keys.client_secret.decode() not in repr(keys)
    with Subscriber(guarded.endpoint, "front", keys=keys) as reader:
        assert read(guarded, reader) == 3


@pytest.mark.slow
def test_an_unknown_reader_is_refused_until_its_key_is_known(guarded: Guarded, folder: Path) -> None:
    """ZeroMQ never tries again after a refusal; the reader does."""
    stranger = ClientKeys.load(folder / "server.key", make(folder, "stranger"))
    with Subscriber(guarded.endpoint, "front", keys=stranger) as reader:
        until_link(reader, "refused")
        with pytest.raises(StaleFrame, match="none has come yet; the publisher does not know our key"):
            reader.read(0.1)
        guarded.known.add(stranger.client_public)
        assert read(guarded, reader) == 3
        assert reader.health.link == "connected"


def test_no_keys_or_another_servers_keys_are_reported(guarded: Guarded, folder: Path) -> None:
    """Both fail before a key is looked at."""
    other, _ = zmq.curve_keypair()
    robot = ClientKeys.from_folder(folder)
    for keys in (None, ClientKeys(other, robot.client_public, robot.client_secret)):
        with Subscriber(guarded.endpoint, "front", keys=keys) as reader:
            until_link(reader, "handshake failed")
            with pytest.raises(StaleFrame, match="keys on one side only, or the wrong ones"):
                reader.read(0.1)


def test_a_secret_that_others_may_read_is_refused(folder: Path) -> None:
    """With the command to type."""
    secret = folder / "clients" / "robot.key_secret"
    secret.chmod(0o640)
    with pytest.raises(UsageError, match=rf"may be read by other users; type: chmod 600 {secret}"):
        ClientKeys.load(folder / "server.key", secret)


def test_files_that_are_not_keys_give_one_line(folder: Path) -> None:
    """Missing, empty, damaged, or the public half only."""
    good, secret = folder / "server.key", folder / "clients" / "robot.key_secret"
    with pytest.raises(UsageError, match=r"absent\.key cannot be read as a key"):
        ClientKeys.load(folder / "absent.key", secret)
    (folder / "empty.key").write_text("nothing")
    with pytest.raises(UsageError, match=r"empty\.key cannot be read as a key"):
        ClientKeys.load(folder / "empty.key", secret)
    (folder / "cut.key").write_text("curve\n    public-key\n")
    with pytest.raises(UsageError, match=r"cut\.key cannot be read as a key"):
        ClientKeys.load(folder / "cut.key", secret)
    (folder / "short.key").write_text('curve\n    public-key = "abc"\n')
    with pytest.raises(UsageError, match="not a key of 40 characters"):
        ClientKeys.load(folder / "short.key", secret)
    with pytest.raises(UsageError, match="holds no secret key"):
        ClientKeys.load(good, folder / "clients" / "robot.key")


def test_a_folder_with_several_clients_does_not_say_who_we_are(folder: Path) -> None:
    """Nor does one with none."""
    make(folder, "arm")
    with pytest.raises(UsageError, match=r"there is arm\.key_secret, robot\.key_secret; name the two files"):
        ClientKeys.from_folder(folder)
    with pytest.raises(UsageError, match="there is none"):
        ClientKeys.from_folder(_empty(folder))
    with pytest.raises(UsageError, match="there is no folder"):
        ClientKeys.from_folder(folder / "absent")


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
