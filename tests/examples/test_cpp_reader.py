"""examples/cpp built with Debian's libzmq, reading real messages over real sockets."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq

from stream.core.clock import Stamp
from tests.examples.conftest import CPP, Build, MakeMessage
from tests.wire.golden import golden

HEADER = Path("/usr/include/zmq.h")
NEEDED = "" if HEADER.exists() and shutil.which("g++") else "apt-get install g++ libzmq3-dev (make test-rigs)"
pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(NEEDED), reason=NEEDED)]

PATIENCE_MS = 20_000
DEPTH = np.linspace(0.5, 9.0, 6 * 8, dtype=np.float32).reshape(6, 8)
LINE = re.compile(r"seq (\d+)  (\d+x\d+)  ([a-z ]+?)  age (-?[\d.]+) ms  centre (.+?)  (\w+)$")


class Reader:
    """The program, one line at a time."""

    def __init__(self, program: Path, endpoint: str, *arguments: str) -> None:
        command = [str(program), endpoint, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)

    def line(self) -> str:
        """The next one; that nothing comes for a while may be said in between."""
        assert self.process.stdout is not None
        while True:
            assert select.select([self.process.stdout], [], [], PATIENCE_MS / 1000)[0], "the reader says nothing"
            line = self.process.stdout.readline().decode().rstrip("\n")
            assert line, f"the reader has ended: {self.process.wait()}"
            if not line.startswith("nothing from"):
                return line

    def parts(self) -> tuple[str, ...]:
        found = LINE.match(line := self.line())
        assert found, line
        return found.groups()


@pytest.fixture
def publisher() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.rcvtimeo = PATIENCE_MS
        yield socket


@contextmanager
def reading(build: Build, publisher: zmq.Socket[bytes], *arguments: str, endpoint: str = "") -> Iterator[Reader]:
    """A reader that has subscribed."""
    program = build(CPP / "depth_reader.cpp", "-lzmq")
    publisher.bind(endpoint or "tcp://127.0.0.1:*")
    reader = Reader(program, publisher.last_endpoint.decode().rstrip("\0"), *arguments)
    try:
        assert publisher.recv() == b"\1depth/" + arguments[0].encode() + b"\0"
        yield reader
    finally:
        reader.process.kill()
        reader.process.wait()
        assert reader.process.stdout is not None
        reader.process.stdout.close()


@pytest.mark.parametrize("encoding", ["F32", "U16"])
def test_it_reads_metres(build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage, encoding: str) -> None:
    """Sequence, size, kind, age, the centre's distance, integrity; ends after COUNT frames."""
    with reading(build, publisher, "front", "3") as reader:
        for seq in (7, 8, 2**40):
            publisher.send(make_message(encoding, DEPTH, seq=seq))
            number, size, kind, age_ms, centre, integrity = reader.parts()
            assert (int(number), size, kind, integrity) == (seq, "8x6", "metric", "clean")
            assert centre == f"{DEPTH[3, 4]:.3f} m"
            assert 0 <= float(age_ms) < PATIENCE_MS
        assert reader.process.wait(PATIENCE_MS / 1000) == 0


def test_unknown_is_no_distance(build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage) -> None:
    """NaN as a float, 0 as millimetres."""
    depth = DEPTH.copy()
    depth[3, 4] = np.nan
    with reading(build, publisher, "front") as reader:
        for encoding in ("F32", "U16"):
            publisher.send(make_message(encoding, depth))
            assert reader.parts()[4] == "unknown"


@pytest.mark.parametrize("encoding", ["F32", "U16"])
@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
def test_relative_depth_is_not_called_metres(
    build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage, encoding: str, kind: str
) -> None:
    """Whatever its encoding."""
    with reading(build, publisher, "front") as reader:
        publisher.send(make_message(encoding, DEPTH, kind=kind))
        _, _, said, _, centre, _ = reader.parts()
    assert (said, centre) == (kind.replace("_", " "), "relative")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (32, "meaningless (random weights)"),
        (96, "meaningless (random weights)"),
        (64, f"{DEPTH[3, 4]:.3f} m (a guess)"),
    ],
)
def test_made_up_metres_are_not_shown_as_measured(
    build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage, flags: int, said: str
) -> None:
    """By the flags of the message."""
    message = make_message("F32", DEPTH)
    with reading(build, publisher, "front") as reader:
        publisher.send(message[:115] + bytes([flags]) + message[116:])
        assert reader.parts()[4] == said


def test_a_damaged_payload_is_refused(build: Build, publisher: zmq.Socket[bytes]) -> None:
    """Where the publisher sends checksums."""
    message = golden("metric-f32-raw-checksum")
    with reading(build, publisher, "cam0", "1") as reader:
        publisher.send(message[:-1] + bytes([message[-1] ^ 1]))
        assert "the payload is damaged, its CRC-32 is another" in reader.line()
        publisher.send(message)
        assert reader.parts()[0] == "42"


def test_what_it_cannot_read_it_names(build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage) -> None:
    """The reader goes on."""
    with reading(build, publisher, "front", "1") as reader:
        publisher.send(make_message("F16", DEPTH))
        assert "f16: this reader takes f32 and u16" in reader.line()
        publisher.send(make_message("U16", DEPTH, compression="DELTA_ZSTD"))
        assert "compressed: this reader takes raw only" in reader.line()
        publisher.send(make_message("U16", DEPTH, seq=3))
        assert reader.parts()[0] == "3"
        assert reader.process.wait(PATIENCE_MS / 1000) == 0


def test_a_stream_is_read_by_its_whole_name(
    build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage
) -> None:
    """front10 is another camera."""
    with reading(build, publisher, "front") as reader:
        publisher.send(make_message("F32", DEPTH, camera="front10", seq=1))
        publisher.send(make_message("F32", DEPTH, camera="front", seq=2))
        assert reader.parts()[0] == "2"


def test_damaged_messages_do_no_harm(build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage) -> None:
    """Hundreds of changed headers, built with sanitizers: each is shown or refused, the next good one is read."""
    rng, message = np.random.default_rng(3), make_message("U16", DEPTH)
    refused = 0
    with reading(build, publisher, "front") as reader:
        for _ in range(300):
            changed = bytearray(message)
            for place in rng.integers(64, 229, 2):
                changed[place] = rng.integers(256)
            publisher.send(bytes(changed[: rng.integers(64, len(changed))] if rng.random() < 0.2 else changed))
            line = reader.line()
            assert line.startswith("refused a message of ") or LINE.match(line), line
            refused += line.startswith("refused")
        publisher.send(make_message("U16", DEPTH, seq=1234))
        assert reader.parts()[0] == "1234"
    assert 50 < refused < 300


def test_a_restarted_publisher_is_read_again(
    build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage, tmp_path: Path
) -> None:
    """The same address, another process: the reader subscribes there by itself."""
    endpoint = f"ipc://{tmp_path}/depth"
    with reading(build, publisher, "front", endpoint=endpoint) as reader:
        publisher.send(make_message("F32", DEPTH, seq=5))
        assert reader.parts()[0] == "5"
        publisher.close()
        with zmq.Context() as context, context.socket(zmq.XPUB) as second:
            second.linger, second.rcvtimeo = 0, PATIENCE_MS
            second.bind(endpoint)
            assert second.recv() == b"\1depth/front\0"
            second.send(make_message("F32", DEPTH, seq=0))
            assert reader.parts()[0] == "0"


def test_the_age_is_counted_from_the_capture(
    build: Build, publisher: zmq.Socket[bytes], make_message: MakeMessage
) -> None:
    """An image of 1.5 s ago."""
    now = Stamp.now()
    with reading(build, publisher, "front") as reader:
        publisher.send(make_message("F32", DEPTH, stamp=Stamp(now.mono_ns, now.unix_ns - 1_500_000_000)))
        assert 1500 <= float(reader.parts()[3]) < 1500 + PATIENCE_MS


@pytest.mark.parametrize("arguments", [[], ["tcp://127.0.0.1:1"], ["a", "b", "0"], ["a", "b", "-3"], ["a", "b" * 58]])
def test_it_prints_its_usage(build: Build, arguments: list[str]) -> None:
    """Exit status 2."""
    program = build(CPP / "depth_reader.cpp", "-lzmq")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:7]) == (2, "usage: ")


def test_an_impossible_address_is_an_error(build: Build) -> None:
    """One line."""
    program = build(CPP / "depth_reader.cpp", "-lzmq")
    done = subprocess.run([program, "nowhere", "front"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "cannot connect to nowhere: Invalid argument\n")


@pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("pkg-config")), reason="no cmake or pkg-config")
def test_cmake_builds_it(tmp_path: Path) -> None:
    """The build of the README."""
    for command in (["cmake", "-S", str(CPP), "-B", str(tmp_path)], ["cmake", "--build", str(tmp_path)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert os.access(tmp_path / "depth_reader", os.X_OK)
