"""Damaged and hostile messages: an array of the stated size, or WireError; nothing else, whatever the bytes are."""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import WireError
from stream.wire.header import LAYOUT, Header
from stream.wire.message import parse
from tests.wire.golden import GOLDEN, golden

MESSAGES = [golden(name) for name in GOLDEN if name != "info"]
ROUNDS = 100_000
SEED = 5
EXTREMES = [0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-45, 3.4e38, -3.4e38, float("nan"), float("inf"), float("-inf")]


def fields() -> list[tuple[int, str]]:
    """(offset, type) of every field of the header."""
    codes = [code for part in LAYOUT.format[1:].replace("s", "s ").split() for code in split(part)]
    offsets = [struct.calcsize("<" + "".join(codes[:place])) for place in range(len(codes))]
    return list(zip(offsets, codes, strict=True))


def split(part: str) -> list[str]:
    """As in "HHQ64s": H, H, Q, 64s."""
    letters = part.rstrip("0123456789s")
    return [*letters, *([part[len(letters) :]] if len(letters) < len(part) else [])]


FIELDS = fields()


def flip(message: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        message[dice.randrange(len(message))] ^= 1 << dice.randrange(8)


def cut(message: bytearray, dice: random.Random) -> None:
    del message[dice.randrange(len(message)) :]


def insert(message: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(message) + 1)
    message[at:at] = dice.randbytes(dice.choice((1, 4, 64)))


def set_field(message: bytearray, dice: random.Random) -> None:
    """One header field to an extreme; twice, so that two wrong ones may agree."""
    for _ in range(dice.choice((1, 2))):
        offset, code = dice.choice(FIELDS)
        size = struct.calcsize("<" + code)
        if code in "fd":
            message[offset : offset + size] = struct.pack("<" + code, dice.choice(FLOATS))
        elif "s" in code:
            message[offset : offset + size] = dice.randbytes(size)
        else:
            message[offset : offset + size] = dice.choice(EXTREMES).to_bytes(8, "little")[:size]


def damage_payload(message: bytearray, dice: random.Random) -> None:
    """The header agrees with it, so that the damage reaches the decoder."""
    payload = message[256:]
    dice.choice((flip, cut, insert))(payload, dice)
    message[256:] = payload
    repair(message, dice)


def swap_payload(message: bytearray, dice: random.Random) -> None:
    message[256:] = dice.choice(MESSAGES)[256:]
    repair(message, dice)


def repair(message: bytearray, dice: random.Random) -> None:
    """Payload bytes and CRC-32 as the header should say, and sometimes the CRCs of PNG chunks."""
    payload = message[256:]
    if payload[:4] == b"\x89PNG" and dice.random() < 0.5:
        repair_chunks(payload)
    message[256:] = payload
    message[108:112] = len(payload).to_bytes(4, "little")
    message[212:216] = zlib.crc32(payload).to_bytes(4, "little")


def repair_chunks(file: bytearray) -> None:
    at = 8
    while at + 12 <= len(file):
        end = at + 12 + int.from_bytes(file[at : at + 4], "big")
        if end <= len(file):
            file[end - 4 : end] = zlib.crc32(file[at + 4 : end - 4]).to_bytes(4, "big")
        at = end


MUTATIONS = [flip, cut, insert, set_field, set_field, damage_payload, damage_payload, swap_payload]


def verdict(message: bytes) -> str:
    """ "read" or "refused"; any other exception, and any warning, ends the test."""
    try:
        parsed = parse(message)
        array = parsed.array()
        assert array.shape[:2] == (parsed.header.height, parsed.header.width)
        if array.ndim == 2:
            assert parsed.depth().shape == array.shape
        assert isinstance(parsed.age_at_publish_s, float)
        assert parsed.intrinsics is None or parsed.intrinsics.fx_px > 0
    except WireError:
        return "refused"
    return "read"


@pytest.mark.slow
def test_mutated_messages_raise_our_error_only() -> None:
    """100,000 of them, of every encoding and compression; enough of each mutation are still read to have gone deep."""
    dice = random.Random(SEED)
    verdicts: Counter[tuple[str, str]] = Counter()
    for _ in range(ROUNDS):
        message = bytearray(dice.choice(MESSAGES))
        mutate = dice.choice(MUTATIONS)
        mutate(message, dice)
        verdicts[mutate.__name__, verdict(bytes(message))] += 1
    assert verdicts.total() >= 60_000
    for mutate in {flip, set_field, damage_payload, swap_payload}:
        assert verdicts[mutate.__name__, "read"] > 100, verdicts
    for mutate in set(MUTATIONS):
        assert verdicts[mutate.__name__, "refused"] > 1000, verdicts


@given(st.binary(max_size=700))
def test_random_bytes_raise_our_error_only(raw: bytes) -> None:
    assert verdict(raw) == "refused"


@given(data=st.data())
def test_a_right_header_before_random_bytes(data: st.DataObject) -> None:
    """Arbitrary payloads, with a header that agrees with their length."""
    message = bytearray(data.draw(st.sampled_from(MESSAGES)))
    payload = data.draw(st.binary(max_size=200))
    message[256:] = payload
    message[108:112], message[212:216] = len(payload).to_bytes(4, "little"), bytes(4)
    assert verdict(bytes(message)) in ("read", "refused")


def test_the_fields_are_those_of_the_layout() -> None:
    """The mutations know where each field is."""
    assert [offset for offset, _ in FIELDS] == [
        *(0, 64, 68, 70, 72, 80, 88, 96, 100, 104, 108, 112, 113, 114, 115, 116, 120, 124),
        *(128, 136, 144, 152, 160, 192, 208, 212, 216, 224, 228, 229),
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read_and_none_is_written(kind: type) -> None:
    """As bytes, as a bytearray, as a view of either; the array cannot be used to change the message."""
    parsed = parse(kind(golden("metric-f32-raw")))
    assert parsed.header == Header.parse(golden("metric-f32-raw"))
    assert not parsed.array().flags.writeable
    assert parsed.payload.readonly


def test_a_view_with_steps_is_refused() -> None:
    with pytest.raises(WireError, match="one block"):
        parse(memoryview(golden("metric-f32-raw") * 2)[::2])
