"""depth_frame.h against our own reader: what one refuses, the other refuses, and both see the same metres."""

from __future__ import annotations

import math
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stream.client.metres import metres_fault
from stream.errors import WireError
from stream.wire.header import Header, WireKind
from stream.wire.message import parse
from tests.examples.conftest import Build, MakeMessage
from tests.wire.golden import golden

pytestmark = pytest.mark.slow

DEPTH = np.linspace(0.5, 9.0, 6 * 8, dtype=np.float32).reshape(6, 8)
MUTATIONS = 20_000
NUMBERS = [0, 1, 2, 4, 5, 6, 0x7F, 0x80, 0xFE, 0xFF]
FIELD_WIDTHS = [1, 2, 4, 8]


@pytest.fixture(scope="session")
def judge(build: Build) -> Path:
    return build(Path(__file__).with_name("judge.cpp"))


def verdicts(judge: Path, messages: list[bytes]) -> list[str]:
    """One line a message; a sanitizer's complaint would be an exit status and a word on standard error."""
    told = b"".join(struct.pack("<I", len(message)) + message for message in messages)
    done = subprocess.run([judge], input=told, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode(errors="replace").splitlines()


@pytest.mark.parametrize("encoding", ["F32", "U16"])
def test_metres_are_those_of_our_own_reader(judge: Path, make_message: MakeMessage, encoding: str) -> None:
    """Every known pixel, unknown ones as NaN, nothing outside the image."""
    depth = DEPTH.copy()
    depth[0, :3] = [np.nan, np.inf, 70.0]
    (line,) = verdicts(judge, [make_message(encoding, depth, seq=2**40)])
    read = parse(make_message(encoding, depth)).depth()
    words = line.split()
    assert words[:4] == ["seq", str(2**40), "kind", "1"]
    assert float(words[5]) == pytest.approx(float(read[np.isfinite(read)].sum(dtype=np.float64)), rel=1e-5)
    assert (words[7], float(words[9])) == ("nan", read[-1, -1])
    assert line.endswith(" readable; act: yes")


def test_other_kinds_have_no_metres(judge: Path, make_message: MakeMessage) -> None:
    """Relative depth is NaN when asked for metres, whatever its encoding."""
    messages = [make_message(e, DEPTH, kind=k) for e in ("F32", "U16") for k in ("relative", "relative_inverse")]
    for line in verdicts(judge, messages):
        assert "sum 0 beyond nan corner nan readable" in line


def test_what_it_cannot_read_is_named(judge: Path, make_message: MakeMessage) -> None:
    """Sound messages, but compressed or 16-bit floats: no metres from them, and the setting to change."""
    told = [("F16", "RAW"), ("F32", "ZSTD"), ("U16", "DELTA_ZSTD"), ("U16", "PNG16")]
    lines = verdicts(judge, [make_message(encoding, DEPTH, compression=c) for encoding, c in told])
    assert "corner nan f16: this reader takes f32 and u16" in lines[0]
    assert all("corner nan compressed: this reader takes raw only" in line for line in lines[1:])


@pytest.mark.parametrize("name", ["metric-f32-raw-checksum", "metric-u16-raw"])
def test_a_damaged_payload_is_noticed_where_it_has_a_checksum(judge: Path, name: str) -> None:
    """Any damaged byte, as in Python; without a checksum damage goes unnoticed."""
    message = golden(name)
    flipped = [message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :] for at in range(256, len(message))]
    whole, *lines = verdicts(judge, [message, *flipped])
    assert "readable;" in whole
    assert {"readable, damaged;" in line for line in lines} == {"checksum" in name}


def test_made_up_metres_are_not_to_be_acted_on(judge: Path, make_message: MakeMessage) -> None:
    """Flags, kinds and images, as in stream.client.metres."""
    sound = [make_message("F32", DEPTH, kind=k) for k in ("metric", "relative")]
    messages = [
        message[:115] + bytes([flags]) + message[116:228] + bytes([integrity]) + message[229:]
        for message in sound
        for flags in (0, 1, 32, 64, 96, 128)
        for integrity in range(4)
    ]
    words = {"not metres": "not metres", "random weights": "random", "guess": "guess", "image": "image"}
    for message, line in zip(messages, verdicts(judge, messages), strict=True):
        expected, said = metres_fault(parse(message).header), line.partition("; act: ")[2]
        assert (said == "yes") == (expected is None)
        assert [word in said for word in words.values()] == [word in str(expected) for word in words]


def test_lengths_are_checked_before_anything_is_read(judge: Path, make_message: MakeMessage) -> None:
    """Every prefix of a message, and one with a byte too many."""
    message = make_message("U16", DEPTH)
    lines = verdicts(judge, [message[:length] for length in range(len(message))] + [message + b"x"])
    assert all(line.startswith("refused: ") for line in lines)


def test_later_versions_may_append_to_the_header(judge: Path, make_message: MakeMessage) -> None:
    """The payload begins where the header says it ends; a header that is shorter than ours is none."""
    message = make_message("F32", DEPTH)
    longer = with_header(message, version=2, header_bytes=264)[:256] + b"8 bytes." + message[256:]
    compressed = make_message("F32", DEPTH, compression="ZSTD")
    shorter = with_header(compressed, header_bytes=252, payload_bytes=len(compressed) - 252)
    usual, appended, cut = verdicts(judge, [message, longer, shorter])
    assert usual == appended
    assert cut == "refused: impossible header size"


def with_header(message: bytes, version: int = 1, header_bytes: int = 256, payload_bytes: int | None = None) -> bytes:
    changed = bytearray(message)
    struct.pack_into("<HH", changed, 68, version, header_bytes)
    if payload_bytes is not None:
        struct.pack_into("<I", changed, 108, payload_bytes)
    return bytes(changed)


def test_names_end_with_nul(judge: Path, make_message: MakeMessage) -> None:
    """A reader may print them: full fields, bytes after the NUL and control characters are refused."""
    message = make_message("F32", DEPTH)
    spoiled = []
    for start, end in ((0, 64), (160, 192), (192, 208)):
        spoiled += [message[:start] + b"a" * (end - start) + message[end:]]
        spoiled += [message[: end - 1] + b"a" + message[end:], message[: start + 1] + b"\x1b" + message[start + 2 :]]
    assert set(verdicts(judge, spoiled)) == {"refused: a name is not padded with NUL"}


def mutated(message: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes of the header changed: one field after another, bits, telling numbers, lengths."""
    changed = bytearray(message)
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice(FIELD_WIDTHS))
        place = int(rng.integers(0, 229 // width)) * width
        if rng.random() < 0.5:
            changed[place : place + width] = bytes([int(rng.choice(NUMBERS))]) * width
        else:
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed[: rng.integers(len(changed))] if rng.random() < 0.05 else changed)


def in_python(message: bytes) -> Header | str:
    """The header, or the fault in it."""
    try:
        return parse(message).header
    except WireError as error:
        return str(error)


def test_damaged_headers_get_the_same_verdict_as_in_python(judge: Path, make_message: MakeMessage) -> None:
    """20,000 of them, under sanitizers. Only text may differ: whether it is UTF-8 is not looked at in C++."""
    rng = np.random.default_rng(5)
    sound = [make_message(e, DEPTH, kind=k) for e in ("F32", "U16", "F16") for k in ("metric", "relative_inverse")]
    sound += [make_message("U16", DEPTH, compression="DELTA_ZSTD"), make_message("F32", DEPTH, intrinsics=False)]
    messages = [mutated(sound[number % len(sound)], rng) for number in range(MUTATIONS)]
    accepted = 0
    for message, line in zip(messages, verdicts(judge, messages), strict=True):
        expected = in_python(message)
        if isinstance(expected, str):
            about_text = any(word in expected for word in ("UTF-8", "control character", "ASCII"))
            assert line.startswith("refused: ") or about_text, (expected, line)
            continue
        accepted += 1
        assert line.startswith(f"seq {expected.seq} kind {int(expected.kind)} "), line
        assert expected.kind == WireKind.METRIC or math.isnan(float(line.split()[9]))
    assert MUTATIONS / 20 < accepted < MUTATIONS
