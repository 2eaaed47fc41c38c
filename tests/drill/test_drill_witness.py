"""Witnesses of the true age: painted numbers, RTP times, and the pixels of JPEG images."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.drill.camera.clip import Clip
from pipelines.drill.camera.encode import encode, numbered_images
from pipelines.drill.camera.feed import Sent
from pipelines.drill.keyframes import KeyFrames
from pipelines.drill.observation import Shown
from pipelines.drill.subject import through
from pipelines.drill.witness import FirstOf, JpegImages, PaintedNumbers, RtpTimes, digests

S = 1_000_000_000
SHOWN = Shown("camera", 100 * S, 0, 0, "arrival", None, "clean", 7, 1)
CLEAN = SHOWN.digest


def test_a_repeated_number_means_its_newest_sending() -> None:
    """The one before the arrival at the consumer."""
    witness = PaintedNumbers({CLEAN})
    witness.add([Sent(7, 20.0, 0.0), Sent(8, 20.5, 0.0)])
    witness.add([Sent(8, 20.5, 0.0), Sent(7, 60.0, 0.0), Sent(7, 102.0, 0.0)])
    assert witness.sent_ns(SHOWN) == 60 * S
    assert witness.sent_ns(replace(SHOWN, at_ns=30 * S)) == 20 * S
    assert witness.sent_ns(replace(SHOWN, at_ns=10 * S)) is None
    assert witness.sent_ns(replace(SHOWN, number=None)) is None
    assert witness.sent_ns(replace(SHOWN, number=9)) is None
    assert witness.sent_ns(replace(SHOWN, digest=CLEAN + 1)) is None, "a damaged image's number is no number"


def test_a_sending_may_be_recorded_a_moment_after_the_arrival() -> None:
    """The camera had to wait for a core before it wrote its record."""
    witness = PaintedNumbers({CLEAN})
    witness.add([Sent(7, 60.0, 0.0), Sent(7, 100.01, 0.0)])
    assert witness.sent_ns(SHOWN) == 100.01 * S


def test_the_first_witness_that_knows_is_believed() -> None:
    """A damaged image is known by its RTP time."""
    numbers, times = PaintedNumbers({CLEAN}), RtpTimes()
    numbers.add([Sent(7, 60.0, 0.0)])
    times.note(90_000, 90_000, 61 * S)
    both = FirstOf(numbers, times)
    assert both.sent_ns(replace(SHOWN, media_s=1.0)) == 60 * S
    assert both.sent_ns(replace(SHOWN, media_s=1.0, digest=0)) == 61 * S


def test_an_rtp_time_means_its_first_arrival() -> None:
    """Several packets have it; 32 bits wrap; a time that a stopped clock gave to many images means nothing."""
    witness = RtpTimes()
    for camera, sent, at_ns in [(90_000, 90_000, 1), (90_000, 90_000, 2), (5, 5, 3), (10, 5, 4)]:
        witness.note(camera, sent, at_ns)
    assert witness.sent_ns(replace(SHOWN, media_s=1.0)) == 1
    assert witness.sent_ns(replace(SHOWN, media_s=1.0 + 2**32 / 90_000)) == 1
    assert witness.sent_ns(replace(SHOWN, media_s=5 / 90_000)) is None
    assert witness.sent_ns(replace(SHOWN, media_s=2.0)) is None
    assert witness.sent_ns(SHOWN) is None


@cache
def jpegs() -> tuple[bytes, ...]:
    """Four images; no fixture, whose value Hypothesis would print."""
    return tuple(each.data for each in encode(numbered_images(160, 120, 25, 4), "mjpeg", 25, 1))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 4000), min_size=1, max_size=20))
def test_jpeg_images_are_known_again_by_their_pixels(sizes: list[int]) -> None:
    """Whatever stands between them, and wherever the stream is cut; the time is that of an image's first byte."""
    parts = [b"--b\r\nContent-Length: 1\r\n\r\n" + each + b"\r\n" for each in jpegs()]
    data, witness, at, step = b"HTTP/1.0 200 OK\r\n\r\n" + b"".join(parts), JpegImages(), 0, 0
    begins = [data.find(each) for each in jpegs()]
    expected = {}
    while at < len(data):
        size = sizes[step % len(sizes)]
        witness.feed(data[at : at + size], step)
        # an image begins when the three bytes of its marker are there
        expected |= {number: step for number, begin in enumerate(begins) if at <= begin + 2 < at + size}
        at, step = at + size, step + 1
    found = [witness.sent_ns(replace(SHOWN, digest=digest)) for digest in digests("mjpeg", jpegs())]
    assert found == [expected[number] for number in range(4)]
    assert witness.sent_ns(replace(SHOWN, digest=-1)) is None


@pytest.mark.parametrize(("codec", "expected_s"), [("h264", 0.4), ("h265", 0.4), ("mjpeg", 0.0)])
def test_the_interval_of_key_frames_is_seen_in_the_packets(codec: str, expected_s: float) -> None:
    """Of the test camera's packets, large images in fragments."""
    from pipelines.drill.camera.rtp import RtpStream
    from pipelines.drill.camera.sdp import describe

    clip = Clip.test_pattern(codec, 160, 120, 25, 1.2, 10)  # type: ignore[arg-type]
    keys, stream = KeyFrames(), RtpStream(96)
    keys.describe(b"RTSP/1.0 200 OK\r\n\r\n" + describe(clip))
    for number, unit in enumerate(clip.units):
        for payload in unit.payloads:
            keys.packet(stream.packet(payload, number / 25, last=False))
    assert keys.longest_s == pytest.approx(expected_s, abs=1e-3)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://10.0.0.7/live", "rtsp://127.0.0.1:99/live"),
        ("rtsp://u:p%40ss@10.0.0.7:8554/a?b=c@d", "rtsp://u:p%40ss@127.0.0.1:99/a?b=c@d"),
        ("http://u:p@ss@cam.local", "http://u:p@ss@127.0.0.1:99"),
        ("rtsp://[fe80::1]:554/x", "rtsp://127.0.0.1:99/x"),
    ],
)
def test_only_the_host_of_an_address_changes(url: str, expected: str) -> None:
    """User, password, path and query are the camera's."""
    assert through(url, 99) == expected
