"""The header: packed headers are parsed again, and both directions refuse inconsistent fields."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import WireError
from stream.wire.codes import BYTES_PER_PIXEL
from stream.wire.header import HEADER_BYTES, Compression, Encoding, Flags, Header, WireIntegrity, WireKind
from stream.wire.message import subscription, topic_bytes
from stream.wire.names import shortened

HEADER = Header("depth/cam0", 7, 1, 2, 4, 3, 16, 48, Encoding.F32, Compression.RAW, WireKind.METRIC, scale=1.0)
NAMES = st.text(st.characters(exclude_categories=["C"]), max_size=15).filter(lambda name: len(name.encode()) < 31)
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Headers of raw images that make sense, with all fields in use."""
    kind = draw(st.sampled_from(WireKind))
    encoding = (
        Encoding.U8X3 if kind == WireKind.COLOUR else draw(st.sampled_from([Encoding.F32, Encoding.U16, Encoding.F16]))
    )
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    step = width * BYTES_PER_PIXEL[encoding] + draw(st.integers(0, 9))
    z_min, z_max = sorted((draw(FLOATS), draw(FLOATS)))
    optics = draw(st.one_of(st.just((0.0,) * 4), st.tuples(*[st.floats(1e-3, 1e9)] * 4)))
    u32, u64, i64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)
    return Header(
        "depth/" + draw(NAMES),
        *(draw(u64), draw(i64), draw(i64), width, height, step, step * height, encoding, Compression.RAW, kind),
        flags=Flags(draw(st.integers(0, 255))),
        scale=draw(st.floats(2**-20, 1000, width=32)) if kind == WireKind.METRIC else 0.0,
        z_min=z_min,
        z_max=z_max,
        **dict(zip(("fx", "fy", "cx", "cy"), optics, strict=True)),
        frame_id=draw(NAMES),
        ros_encoding=draw(st.sampled_from(["", "32FC1", "bgr8"])),
        calibration_id=draw(u32),
        crc32=draw(u32),
        server_id=draw(u64),
        model_id=draw(u32),
        integrity=draw(st.sampled_from(WireIntegrity)),
        header_bytes=draw(st.sampled_from([256, 320, 65535])),
    )


@pytest.mark.slow
@given(headers())
def test_every_header_comes_back(header: Header) -> None:
    """All fields, also those that no message of today uses."""
    message = header.pack() + bytes(header.header_bytes - HEADER_BYTES + header.payload_bytes)
    assert Header.parse(message) == header
    assert header.stream == header.topic[6:]


def test_the_layout_is_the_documented_one() -> None:
    """Each field at its offset, little endian, by its own reading of the bytes."""
    raw = replace(HEADER, z_max=2.5, fx=600.0, fy=601.0, frame_id="é", crc32=9, server_id=2**63, model_id=5).pack()
    assert len(raw) == 256
    assert raw[:11] == b"depth/cam0\0"
    assert (raw[64:68], *struct.unpack_from("<HH", raw, 68)) == (b"VDF1", 1, 256)
    assert struct.unpack_from("<Qqq", raw, 72) == (7, 1, 2)
    assert struct.unpack_from("<IIII", raw, 96) == (4, 3, 16, 48)
    assert raw[112:116] == bytes([1, 0, 1, 0])
    assert struct.unpack_from("<fff", raw, 116) == (1.0, 0.0, 2.5)
    assert struct.unpack_from("<dd", raw, 128) == (600.0, 601.0)
    assert raw[160:163] == "é".encode() + b"\0"
    assert struct.unpack_from("<IIQIB", raw, 208) == (0, 9, 2**63, 5, 0)
    assert raw[229:] == bytes(27)


NONSENSE: dict[str, dict[str, Any]] = {
    "no topic": {"topic": ""},
    "a topic of 64 bytes": {"topic": "depth/" + "x" * 58},
    "a topic with a NUL": {"topic": "depth/a\0b"},
    "a topic with an escape": {"topic": "depth/\x1b[2J"},
    "half a surrogate": {"topic": "depth/\ud800"},
    "a frame id of 32 bytes": {"frame_id": "f" * 32},
    "a ROS encoding that is not ASCII": {"ros_encoding": "é"},
    "no pixels": {"width": 0},
    "a side beyond 16384": {"width": 16385, "step": 65540, "payload_bytes": 3 * 65540},
    "rows that overlap": {"step": 15, "payload_bytes": 45},
    "a payload that is not step x height": {"payload_bytes": 49},
    "a header that is too short": {"header_bytes": 255},
    "delta of floats": {"compression": Compression.DELTA_ZSTD},
    "PNG of floats": {"compression": Compression.PNG16},
    "JPEG of depth": {"compression": Compression.JPEG},
    "colour in floats": {"kind": WireKind.COLOUR, "scale": 0.0},
    "depth in colour": {"encoding": Encoding.U8X3},
    "metric depth without a scale": {"scale": 0.0},
    "relative depth with a scale": {"kind": WireKind.RELATIVE},
    "a negative scale": {"scale": -1.0},
    "a scale that is NaN": {"scale": float("nan")},
    "an infinite range": {"z_max": float("inf")},
    "a range upside down": {"z_min": 2.0, "z_max": 1.0},
    "half of the intrinsics": {"fx": 600.0},
    "a focal length that is NaN": {"fx": float("nan"), "fy": 1.0},
    "a principal point at infinity": {"fx": 1.0, "fy": 1.0, "cx": float("inf")},
    "padding in a compressed image": {"compression": Compression.ZSTD, "step": 20},
}


@pytest.mark.parametrize("fields", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_not_packed(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        replace(HEADER, **fields).pack()


@pytest.mark.parametrize(
    "fields", [{"seq": -1}, {"seq": 2**64}, {"capture_ns": 2**63}, {"z_max": 1e39}, {"crc32": 2**32}], ids=str
)
def test_a_number_out_of_its_range_is_an_error_of_ours(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="depth/cam0"):
        replace(HEADER, **fields).pack()


PATCHES: dict[str, tuple[int, bytes]] = {
    "magic": (64, b"VDF2"),
    "version 0": (68, b"\0\0"),
    "a header of 255 bytes": (70, b"\xff\0"),
    "a header longer than the message": (70, b"\xff\xff"),
    "no width": (96, bytes(4)),
    "a width of 4 billion": (96, b"\xff" * 4),
    "no height": (100, bytes(4)),
    "a step of 4 billion": (104, b"\xff" * 4),
    "more payload than there is": (108, b"\xff" * 4),
    "encoding 0": (112, b"\0"),
    "encoding 9": (112, b"\x09"),
    "reserved compression 4": (113, b"\x04"),
    "kind 0": (114, b"\0"),
    "relative with a scale": (114, b"\x03"),
    "infinite scale": (116, struct.pack("<f", float("inf"))),
    "NaN range": (120, struct.pack("<f", float("nan"))),
    "infinite fx": (128, struct.pack("<d", float("inf"))),
    "a topic of 64 bytes": (0, b"x" * 64),
    "no topic": (0, bytes(64)),
    "a topic that goes on after its NUL": (20, b"x"),
    "a topic that is not UTF-8": (0, b"\xff"),
    "a line feed in the topic": (0, b"\n"),
    "a frame id without NUL": (160, b"f" * 32),
    "a ROS encoding in UTF-8": (192, "é".encode()),
    "integrity 4": (228, b"\x04"),
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES.keys())
def test_nonsense_is_not_read(patch: tuple[int, bytes]) -> None:
    offset, value = patch
    message = bytearray(HEADER.pack() + bytes(48))
    Header.parse(bytes(message))
    message[offset : offset + len(value)] = value
    with pytest.raises(WireError):
        Header.parse(bytes(message))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 303, 305])
def test_a_message_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(WireError, match="bytes"):
        Header.parse((HEADER.pack() + bytes(49))[:size])


def test_what_later_versions_may_change_is_left_alone() -> None:
    """A higher version, a longer header, other flags, something in the reserved bytes."""
    message = bytearray(replace(HEADER, header_bytes=300).pack() + bytes(44 + 48))
    message[68:70], message[115], message[229:256] = b"\x07\0", 0xC0, b"x" * 27
    header = Header.parse(bytes(message))
    assert header.flags == Flags(0xC0)
    assert replace(header, flags=Flags.NONE) == replace(HEADER, header_bytes=300)


@given(st.binary(max_size=600))
def test_random_bytes_are_no_message(raw: bytes) -> None:
    with pytest.raises(WireError):
        Header.parse(raw)


def test_a_subscription_matches_one_topic_only() -> None:
    """ZeroMQ matches by the first bytes."""
    assert subscription("depth/cam1") == b"depth/cam1\0"
    assert topic_bytes("depth/cam1").startswith(subscription("depth/cam1"))
    assert not topic_bytes("depth/cam10").startswith(subscription("depth/cam1"))
    assert len(topic_bytes("depth/" + "é" * 28)) == 64
    with pytest.raises(WireError, match="64 bytes"):
        topic_bytes("depth/" + "é" * 29)


@given(st.text(max_size=60), st.integers(2, 40))
def test_a_shortened_name_always_fits(text: str, length: int) -> None:
    """It never ends within a character."""
    short = shortened(text, length)
    assert len(short.encode()) < length
    assert text.encode(errors="replace").startswith(short.encode())
