"""docs/reference/wire.md matches the code: its tables are compared, its reader is run."""

from __future__ import annotations

import re
import struct
import threading
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.wire.codes import ENCODINGS_OF, Compression, Encoding, Flags, WireIntegrity, WireKind
from stream.wire.header import HEADER_BYTES
from tests.wire.golden import golden
from tests.wire.samples import SIZE, depth_of
from tests.wire.test_wire_mutations import FIELDS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "wire.md").read_text()
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "f32": "f", "f64": "d"}


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose header row begins with ``heading``, cell by cell."""
    lines = DOCUMENT.split(f"\n| {heading} |", 1)[1].splitlines()[2:]
    end = next(number for number, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:end]]


def test_the_layout_is_the_documented_one() -> None:
    """Offsets and types, row by row."""
    rows = [(int(offset), re.sub(r"char\[(\d+)\]", r"\1s", kind)) for offset, kind, *_ in table("offset")]
    assert [(offset, CODES.get(kind, kind)) for offset, kind in rows] == FIELDS
    assert rows[-1][0] + 27 == HEADER_BYTES


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("encoding", Encoding),
        ("compression", Compression),
        ("kind", WireKind),
        ("integrity", WireIntegrity),
        ("flag", Flags),
    ],
)
def test_the_numbers_are_the_documented_ones(heading: str, codes: type[IntEnum] | type[IntFlag]) -> None:
    documented = {name: int(number) for number, name, *_ in table(heading)}
    assert documented == {code.name: code.value for code in codes if code.value or codes is not Flags}


def test_compressions_take_the_documented_encodings() -> None:
    for _, name, encodings in table("compression"):
        expected = set(Encoding) if encodings == "any" else {Encoding[encodings]}
        assert ENCODINGS_OF[Compression[name]] == expected


def test_the_documents_reader_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """The program as it is printed, but for the port, against a real socket."""
    import zmq

    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(program.splitlines()) <= 25
    names: dict[str, Any] = {}
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger, socket.rcvtimeo = 0, 10_000
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        def publish() -> None:
            assert socket.recv() == b"\x01depth/cam0\0"
            socket.send(golden("metric-f32-raw"))

        thread = threading.Thread(target=publish, name="publisher of the document's test")
        thread.start()
        exec(program.replace("5560", str(port)), names)
        thread.join()
    expected = depth_of()
    np.testing.assert_array_equal(names["depth"], expected)
    assert names["depth"].shape == SIZE
    assert capsys.readouterr().out == "42: -inf to inf m, 8 ms old when sent\n"


@pytest.mark.parametrize("flag", [Flags.RANDOM_WEIGHTS, Flags.SCALE_GUESSED])
def test_the_documents_reader_refuses_made_up_metres(flag: Flags) -> None:
    """The part of the program after the message has arrived."""
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    judge = program.partition("message = socket.recv()\n")[2]
    message = bytearray(golden("metric-f32-raw"))
    exec(judge, {"struct": struct, "np": np, "message": bytes(message)})
    message[115] |= flag
    with pytest.raises(ValueError, match="made up"):
        exec(judge, {"struct": struct, "np": np, "message": bytes(message)})


def test_the_documents_example_of_delta_is_right() -> None:
    """The four steps in plain Python."""
    assert "The row 5, 4, 65534 has the steps 5, -1, -6 (modulo 65536), the zigzag 10, 1, 11" in DOCUMENT
    split = bytes([10, 1, 11, 0, 0, 0])
    pixels, pixel = [], 0
    for low, high in zip(split[:3], split[3:], strict=True):
        u = low + 256 * high
        pixel = (pixel + ((u >> 1) ^ -(u & 1))) % 65536
        pixels.append(pixel)
    assert pixels == [5, 4, 65534]


def test_a_reader_by_the_document_undoes_delta_of_a_golden_message() -> None:
    """The four steps once more, on a message with everything in it, without our code."""
    import zstandard

    message = golden("metric-u16-delta-zstd")
    width, height = struct.unpack_from("<II", message, 96)
    split = zstandard.ZstdDecompressor().decompress(message[256:])
    n, pixel, pixels = width * height, 0, []
    for low, high in zip(split[:n], split[n:], strict=True):
        u = low + 256 * high
        pixel = (pixel + ((u >> 1) ^ -(u & 1))) % 65536
        pixels.append(pixel)
    raw = np.frombuffer(golden("metric-u16-raw"), "<u2", offset=256)
    assert pixels == raw.tolist()
