"""RTP packets in order, each once; RTCP reports; and the clocks behind them."""

from __future__ import annotations

import struct
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.drill.camera.rtp import CameraClock, RtpStream
from stream.sources.network.rtsp.media_clock import MediaClock
from stream.sources.network.rtsp.rtcp import NTP_EPOCH_S, Reception, SenderReport, receiver_report, sender_reports
from stream.sources.network.rtsp.rtp import HELD_NS, HELD_PACKETS, RtpReceiver

SSRC = 0x1234


def packet(number: int, payload: bytes | None = None, *, ssrc: int = SSRC, stamp: int = 0, kind: int = 96) -> bytes:
    payload = b"%d" % number if payload is None else payload
    return struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, stamp, ssrc) + payload


class Sink:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.ticks: list[int] = []
        self.losses: list[int] = []
        """Places in ``payloads`` before which something was lost."""
        self.restarts = 0
        self.arrived: list[int] = []

    def packet(self, payload: memoryview, ticks: int, marked: int, lost: bool, arrived_ns: int) -> None:
        if lost:
            self.losses.append(len(self.payloads))
        self.payloads.append(bytes(payload))
        self.ticks.append(ticks)
        self.arrived.append(arrived_ns)

    def restart(self) -> None:
        self.restarts += 1


def receiver(sink: Sink, *, reorders: bool = False) -> RtpReceiver:
    return RtpReceiver(96, MediaClock(90_000), sink, reorders=reorders)


def feed(numbers: list[int], *, reorders: bool = False) -> tuple[Sink, RtpReceiver]:
    sink = Sink()
    rtp = receiver(sink, reorders=reorders)
    for at, number in enumerate(numbers):
        rtp.packet(memoryview(packet(number)), at)
    return sink, rtp


def sent(numbers: list[int]) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@pytest.mark.parametrize("reorders", [False, True])
def test_numbers_wrap(reorders: bool) -> None:
    numbers = list(range(65_530, 65_536)) + list(range(5))
    sink, rtp = feed(numbers, reorders=reorders)
    assert (sink.payloads, sink.losses, rtp.lost) == (sent(numbers), [], 0)
    reception = rtp.reception(0)
    assert reception is not None
    assert reception.highest_sequence == 65_536 + 4


def test_a_gap_is_a_loss_over_tcp() -> None:
    sink, rtp = feed([1, 2, 5, 6])
    assert (sink.payloads, sink.losses, rtp.lost) == (sent([1, 2, 5, 6]), [2], 2)


def test_a_gap_is_a_loss_over_udp_when_its_time_is_over() -> None:
    sink, rtp = feed([1, 2, 5, 6], reorders=True)
    assert sink.payloads == sent([1, 2])
    assert rtp.held_until_ns == 2 + HELD_NS
    rtp.give_up(1 + HELD_NS)
    assert sink.payloads == sent([1, 2])
    rtp.give_up(2 + HELD_NS)
    assert (sink.payloads, sink.losses, rtp.lost) == (sent([1, 2, 5, 6]), [2], 2)
    assert rtp.held_until_ns is None


def test_a_gap_is_a_loss_over_udp_when_too_many_wait() -> None:
    numbers = list(range(2, 3 + HELD_PACKETS))
    sink, rtp = feed([0, *numbers], reorders=True)
    assert (sink.payloads, sink.losses, rtp.lost) == (sent([0, *numbers]), [1], 1)


@pytest.mark.parametrize("order", list(permutations([1, 2, 3, 4])))
def test_udp_packets_are_put_in_order(order: tuple[int, ...]) -> None:
    sink, rtp = feed([0, *order, 5], reorders=True)
    assert (sink.payloads, sink.losses, rtp.lost) == (sent(list(range(6))), [], 0)
    assert sink.arrived[1:5] == [1 + order.index(number) for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("reorders", [False, True])
def test_duplicates_and_late_packets_are_left_out(reorders: bool) -> None:
    sink, _ = feed([1, 2, 2, 1, 3, 65_535, 4], reorders=reorders)
    assert (sink.payloads, sink.losses) == (sent([1, 2, 3, 4]), [])


@pytest.mark.parametrize("reorders", [False, True])
def test_a_new_source_takes_over_with_its_second_packet(reorders: bool) -> None:
    """A single packet of another source, or one far away, changes nothing."""
    sink = Sink()
    rtp = receiver(sink, reorders=reorders)
    for data in (
        packet(1),
        packet(900, ssrc=7),
        packet(2),
        packet(40_000),
        packet(3),
        packet(500, ssrc=9),
        packet(501, ssrc=9),
        packet(502, ssrc=9),
    ):
        rtp.packet(memoryview(data), 0)
    assert (sink.payloads, sink.restarts) == (sent([1, 2, 3, 500, 501, 502]), 1)


def test_a_camera_that_counts_anew_is_followed() -> None:
    sink, _ = feed([1, 2, 3, 30_000, 30_001, 30_002])
    assert (sink.payloads, sink.restarts) == (sent([1, 2, 3, 30_000, 30_001, 30_002]), 1)


def test_padding_extensions_and_contributing_sources_are_removed() -> None:
    sink = Sink()
    rtp = receiver(sink)
    head = struct.pack("!HII", 1, 0, SSRC)
    rtp.packet(memoryview(bytes([0xB2, 96]) + head + bytes(8) + b"\xbe\xde\0\1abcd" + b"payload" + b"\0\0\3"), 0)
    assert sink.payloads == [b"payload"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(12),
        bytes([0x90, 96]) + struct.pack("!HII", 2, 0, SSRC) + b"\0\0\0\xff",
        bytes([0xA0, 96]) + struct.pack("!HII", 2, 0, SSRC) + b"abc\0",
        bytes([0x8F, 96]) + struct.pack("!HII", 2, 0, SSRC),
    ],
)
def test_broken_packets_are_losses(data: bytes) -> None:
    """Those whose header is right; others are no RTP at all."""
    sink = Sink()
    rtp = receiver(sink)
    for entry in (packet(1), data, packet(3)):
        rtp.packet(memoryview(entry), 0)
    assert (sink.payloads, sink.losses) == (sent([1, 3]), [1])


def test_other_payload_types_use_up_numbers_only() -> None:
    sink = Sink()
    rtp = receiver(sink)
    for entry in (packet(1), packet(2, kind=13), packet(3)):
        rtp.packet(memoryview(entry), 0)
    assert (sink.payloads, sink.losses) == (sent([1, 3]), [])


@given(st.lists(st.one_of(st.binary(max_size=60), st.builds(packet, st.integers(0, 40))), max_size=60), st.booleans())
def test_no_packet_is_an_exception(packets: list[bytes], reorders: bool) -> None:
    """And nothing is held for ever."""
    sink = Sink()
    rtp = receiver(sink, reorders=reorders)
    for at, data in enumerate(packets):
        rtp.packet(memoryview(data), at)
    rtp.give_up(len(packets) + HELD_NS)
    assert rtp.held_until_ns is None
    rtp.reception(0)


def test_time_stamps_are_unwrapped_in_both_directions() -> None:
    clock = MediaClock(90_000)
    stamps = [2**32 - 3600, 0, 3600, 2**32 - 3600, 7200]
    assert [clock.unwrap(stamp) for stamp in stamps] == [2**32 - 3600, 2**32, 2**32 + 3600, 2**32 - 3600, 2**32 + 7200]


def test_a_sender_report_maps_media_time_to_the_cameras_clock() -> None:
    """As the test camera writes it, also across the wrap of the RTP time and before the first packet."""
    stream, unix_s = RtpStream(96), CameraClock().unix_s(50.0)
    (report,) = sender_reports(memoryview(stream.report(50.0, unix_s)))
    assert abs(report.camera_ns / 1e9 - unix_s) < 1e-6
    clock = MediaClock(90_000)
    assert clock.take(report, 5) is None
    ticks = clock.unwrap(stream.ticks(51.0))
    item = clock.early()
    assert item is not None
    assert item.arrived_ns == 5
    assert abs(clock.media_s(ticks) - item.media_s - 1) < 1e-4
    assert abs((clock.camera_ns(ticks) or 0) - report.camera_ns - 1e9) < 1e5
    assert clock.early() is None


@pytest.mark.parametrize(("year", "seconds"), [(1970, 0), (2024, 1_704_067_200), (2040, 2_208_988_800)])
def test_ntp_counts_anew_in_2036(year: int, seconds: int) -> None:
    ntp = (seconds + NTP_EPOCH_S) % 2**32 << 32 | 1 << 31
    assert SenderReport(1, ntp, 0).camera_ns == seconds * 10**9 + 500_000_000


def test_reports_of_other_sources_and_without_a_clock_are_ignored() -> None:
    sink = Sink()
    rtp = receiver(sink)
    rtp.packet(memoryview(packet(1)), 0)
    assert rtp.reported(SenderReport(SSRC, 1 << 60, 0), 0)
    assert not rtp.reported(SenderReport(SSRC + 1, 1 << 60, 0), 0)
    assert list(sender_reports(memoryview(struct.pack("!BBHIQIII", 0x80, 200, 6, SSRC, 0, 0, 0, 0)))) == []


def test_receiver_reports_say_what_was_lost() -> None:
    """RFC 3550, section 6.4.2, with the time since the last sender report."""
    _, rtp = feed([1, 2, 5, 6])
    rtp.reported(SenderReport(SSRC, 0x1111_2222_3333_4444, 0), 1_000_000_000)
    reception = rtp.reception(3_000_000_000)
    assert reception == Reception(SSRC, 85, 2, 6, 0x2222_3333, 2 * 65_536)
    data = receiver_report(9, reception)
    assert struct.unpack_from("!BBHIIIIIII", data) == (
        0x81, 201, 7, 9, SSRC, 85 << 24 | 2, 6, 0, 0x2222_3333, 2 * 65_536,
    )  # fmt: skip
    assert len(data) % 4 == 0
    again = rtp.reception(3_000_000_000)
    assert again is not None
    assert again.fraction_lost == 0


@given(st.binary(max_size=120))
def test_no_report_is_an_exception(data: bytes) -> None:
    for report in sender_reports(memoryview(data)):
        assert report.camera_ns < 2**63
