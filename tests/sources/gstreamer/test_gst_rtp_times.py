"""The camera's time of each image, from RTP's headers."""

from __future__ import annotations

import struct

from stream.core.clock import NS_PER_S
from stream.sources.gstreamer.rtp_times import REMEMBERED, RtpTimes

HZ = 90_000


def header(ticks: int) -> bytes:
    return struct.pack(">BBHII", 0x80, 96, 7, ticks % (1 << 32), 1234)


def test_an_image_is_found_by_gstreamers_time() -> None:
    times = RtpTimes()
    for number in range(5):
        times.packet(1000 + number, header(9000 * number), HZ)
    assert [times.media_ns(1000 + number) for number in range(5)] == [NS_PER_S // 10 * n for n in range(5)]
    assert times.media_ns(999) is None
    assert times.media_ns(None) is None


def test_of_images_with_one_time_the_oldest_counts() -> None:
    """So that none is young."""
    times = RtpTimes()
    for number in (1, 2, 3):
        times.packet(1000, header(HZ * number), HZ)
    assert times.media_ns(1000) == NS_PER_S


def test_the_time_goes_on_where_32_bits_end() -> None:
    times = RtpTimes()
    start = (1 << 32) - 45_000
    for second in range(3):
        times.packet(second, header(start + HZ * second), HZ)
    seen = [times.media_ns(second) or 0 for second in range(3)]
    assert [later - seen[0] for later in seen] == [0, NS_PER_S, 2 * NS_PER_S]


def test_what_is_no_rtp_is_ignored_and_memory_is_bounded() -> None:
    times = RtpTimes()
    times.packet(1, b"short", HZ)
    times.packet(2, header(5), 0)
    assert (times.media_ns(1), times.media_ns(2)) == (None, None)
    for pts in range(2 * REMEMBERED):
        times.packet(pts, header(pts), HZ)
    assert times.media_ns(0) is None
    assert times.media_ns(REMEMBERED) is not None
