"""What the faults make of packets, and how a byte stream is taken apart."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.drill.faults import (
    Corruption,
    Fault,
    Loss,
    Reorder,
    SilentLoss,
    WrongClock,
    of_rate,
    stands_still,
    steps_back,
)
from pipelines.drill.wire import LONGEST_MESSAGE_BYTES, Piece, Splitter, rtp_seq, rtp_time


def packet(seq: int, ticks: int = 0, payload: bytes = b"0123456789" * 10) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, seq, ticks & 0xFFFFFFFF, 7) + payload


def through(fault: Fault, packets: list[bytes]) -> list[bytes]:
    return [sent for each in packets for sent in fault.packet(each)]


def test_loss_takes_every_nth_packet() -> None:
    """And tells whose it was."""
    hits: list[int] = []
    sent = through(Loss(hits.append, 4), [packet(n, 10 * n) for n in range(8)])
    assert [rtp_seq(each) for each in sent] == [0, 1, 2, 4, 5, 6]
    assert hits == [30, 70]


def test_silent_loss_leaves_no_gap_in_the_numbers() -> None:
    """Whole access units of two packets are missing; sequence numbers wrap."""
    hits: list[int] = []
    packets = [packet(65_532 + n & 0xFFFF, 3600 * (n // 2)) for n in range(12)]
    sent = through(SilentLoss(hits.append, 3), packets)
    assert [rtp_seq(each) for each in sent] == [65_532, 65_533, 65_534, 65_535, 0, 1, 2, 3]
    assert [rtp_time(each) for each in sent] == [0, 0, 3600, 3600, 10_800, 10_800, 14_400, 14_400]
    assert set(hits) == {7200, 18_000}


def test_reorder_swaps_neighbours_and_loses_none() -> None:
    """The third and the fourth, the sixth and the seventh."""
    sent = through(Reorder(print, 3), [packet(n) for n in range(1, 8)])
    assert [rtp_seq(each) for each in sent] == [1, 2, 4, 3, 5, 7, 6]


def test_corruption_spares_headers_and_keeps_the_length() -> None:
    """A packet that is too short to have more than headers stays as it is."""
    hits: list[int] = []
    before = [packet(1), packet(2, 90), packet(3), packet(4, 180, b"short")]
    after = through(Corruption(hits.append, 2), before)
    assert [after[0], after[2], after[3]] == [before[0], before[2], before[3]]
    assert after[1][: 12 + 33] == before[1][: 12 + 33]
    assert after[1] != before[1]
    assert len(after[1]) == len(before[1])
    assert hits == [90]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (WrongClock(stands_still), [0, 0, 0, 0]),
        (WrongClock(of_rate(8 / 90)), [0, 320, 640, 8000]),
        (WrongClock(steps_back(0.3, 1.0)), [0, 3600, 7200, 63_000]),
    ],
)
@pytest.mark.parametrize("zero", [0, 2**32 - 5000])
def test_a_wrong_clock_begins_right_and_goes_wrong(fault: WrongClock, expected: list[int], zero: int) -> None:
    """Times count from the first packet, over the wrap of 32 bits; sender reports follow."""
    fault = WrongClock(fault._ticks)  # the parametrised one is shared
    times = [rtp_time(each) - zero & 0xFFFFFFFF for each in through(fault, [packet(1, zero + t) for t in
                                                                            (0, 3600, 7200, 90_000)])]  # fmt: skip
    assert times == expected
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, 1, 2, zero + 90_000 & 0xFFFFFFFF, 0, 0)
    changed = fault.report(report)
    assert struct.unpack_from("!I", changed, 16)[0] == zero + expected[-1] & 0xFFFFFFFF
    assert changed[:16] + changed[20:] == report[:16] + report[20:]


def test_a_report_that_is_none_passes() -> None:
    """Receiver reports, and packets that are too short."""
    fault = WrongClock(stands_still)
    for other in (b"", b"\x80\xc9" + bytes(30), b"\x80\xc8\0"):
        assert fault.report(other) == other


PIECES = [
    Piece(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"),
    Piece(b"RTSP/1.0 200 OK\r\ncontent-length:  7\r\n\r\n$\0\0\1abc"),
    Piece(packet(1), 0),
    Piece(b"\x80\xc8" + bytes(26), 1),
    Piece(b"", 2),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_a_stream_comes_apart_the_same_wherever_it_is_cut(pieces: list[Piece], cuts: list[int]) -> None:
    """Messages with bodies that look like packets included."""
    data = b"".join(piece.bytes for piece in pieces)
    splitter, found = Splitter(is_rtsp=True), []
    while data:
        size = cuts[len(found) % len(cuts)]
        found += splitter.feed(data[:size])
        data = data[size:]
    assert found == pieces


def test_garbage_passes_after_a_while() -> None:
    """A proxy must not swallow what it does not understand, nor keep it for ever."""
    garbage = b"x" * (LONGEST_MESSAGE_BYTES + 1)
    assert b"".join(piece.bytes for piece in Splitter(is_rtsp=True).feed(garbage)) == garbage
