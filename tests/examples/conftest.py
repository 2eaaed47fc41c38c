"""Depth messages as the publisher sends them, and a C++ compiler."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.frames import DepthMap, Frame, Intrinsics, Kind, Size
from stream.wire.header import Compression, Encoding
from stream.wire.message import Sender, largest_message, pack_depth

CPP = Path(__file__).resolve().parents[2] / "examples" / "cpp"
SERVER_ID = 77
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

MakeMessage = Callable[..., bytes]
Build = Callable[..., Path]


@pytest.fixture
def make_message() -> MakeMessage:
    """``make_message("F32", depth, seq=3)``: a message by ``pack_depth``, with the given name and compression."""

    def make(
        encoding: str,
        depth: np.ndarray,
        *,
        kind: Kind = "metric",
        seq: int = 0,
        camera: str = "front",
        compression: str = "RAW",
        stamp: Stamp | None = None,
        intrinsics: bool = True,
    ) -> bytes:
        size = Size(*depth.shape)
        optics = Intrinsics(50.0, 51.0, 3.5, 2.5, size) if intrinsics else None
        frame = Frame(np.zeros((*size, 3), np.uint8), camera, seq, stamp or Stamp.now(), optics)
        sender = Sender(SERVER_ID, Encoding[encoding], Compression[compression])
        into = bytearray(largest_message(size, sender))
        used = pack_depth(DepthMap(depth, kind, frame, "m"), sender, frame.stamp.unix_ns + 1, memoryview(into))
        return bytes(into[:used])

    return make


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """``build(source, "-lzmq")``: the program, with address and undefined behaviour sanitizers where there are some."""
    if shutil.which("g++") is None:
        pytest.skip("no g++: apt-get install g++")
    folder = tmp_path_factory.mktemp("cpp")

    def compiled(source: Path, *libraries: str) -> Path:
        program = folder / source.stem
        if not program.exists():
            _compile(["-std=c++17", "-O1", "-g", *WARNINGS, f"-I{CPP}", str(source)], program, libraries)
        return program

    return compiled


def _compile(arguments: list[str], program: Path, libraries: tuple[str, ...]) -> None:
    for more in (SANITIZERS, []):
        command = ["g++", *arguments, *more, *libraries, "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if "asan" not in done.stderr:
            break
    pytest.fail(done.stderr)
