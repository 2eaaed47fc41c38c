"""The RTSP camera's parts without a network: numbers in images, payload formats, messages, passwords, RTCP."""

from __future__ import annotations

import struct
from hashlib import md5
from typing import get_args

import cv2
import numpy as np
import pytest

from pipelines.drill.camera.auth import REALM, Access, Guard
from pipelines.drill.camera.encode import Codec
from pipelines.drill.camera.messages import BadRequest, Request, RequestReader
from pipelines.drill.camera.numbered import NUMBERS, write_number
from pipelines.drill.camera.payload import LARGEST_BYTES, h264_payloads, h265_payloads, nal_units
from pipelines.drill.camera.rtp import NTP_EPOCH_S, RtpStream
from pipelines.drill.camera.sdp import describe
from tests.rigs.rtsp_camera import Clip, read_number


@pytest.mark.parametrize("width", [80, 160, 333, 1920])
def test_every_number_can_be_read_again(width: int) -> None:
    image = np.full((48, width, 3), 90, np.uint8)
    for number in range(0, NUMBERS, 7):
        write_number(image, number)
        assert read_number(image) == number


def test_an_image_without_a_number_has_none() -> None:
    """Examples are one colour, noise, and numbers with one wrong or one grey block."""
    image = np.zeros((48, 320, 3), np.uint8)
    assert read_number(image) is None
    assert read_number(image + 255) is None
    assert read_number(np.random.default_rng(1).integers(0, 256, image.shape, np.uint8)) is None
    for number in (0, 5, NUMBERS - 1):
        for block in range(20):
            write_number(image, number)
            columns = slice(block * 16, block * 16 + 16)
            image[:16, columns] = 255 - image[:16, columns]
            assert read_number(image) is None
            image[:16, columns] = 128
            assert read_number(image) is None


def test_a_number_survives_being_resized() -> None:
    """cv2.VideoCapture resizes images after a change of size."""
    image = np.zeros((360, 640, 3), np.uint8)
    write_number(image, 1234)
    for size in ((320, 240), (1280, 720), (427, 240)):
        assert read_number(cv2.resize(image, size)) == 1234


@pytest.mark.parametrize("codec", get_args(Codec))
def test_a_clip_has_the_requested_key_frames(codec: Codec) -> None:
    """Its payloads fit into network packets."""
    clip = Clip.test_pattern(codec, 320, 240, fps=25, seconds=1, keyframe_every=10)
    expected = range(25) if codec == "mjpeg" else (0, 10, 20)
    assert [number for number, unit in enumerate(clip.units) if unit.keyframe] == list(expected)
    assert max(len(payload) for unit in clip.units for payload in unit.payloads) <= LARGEST_BYTES
    assert clip.next_keyframe(24) == (24 if codec == "mjpeg" else 0)
    assert describe(clip).startswith(b"v=0\r\n")


def test_a_clip_of_nothing_or_of_what_rtp_cannot_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        Clip.from_images([])
    with pytest.raises(ValueError, match="multiples of 8"):
        Clip.from_images([np.zeros((100, 100, 3), np.uint8)], "mjpeg")
    with pytest.raises(ValueError, match="0 to 4095"):
        write_number(np.zeros((48, 320, 3), np.uint8), NUMBERS)


def test_start_codes_of_either_length_part_the_nal_units() -> None:
    assert nal_units(b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0\1\x65d\0\0\3\1") == [b"\x67ab", b"\x68c", b"\x65d\0\0\3\1"]


@pytest.mark.parametrize("size", [10, LARGEST_BYTES, LARGEST_BYTES + 1, 5 * LARGEST_BYTES])
def test_h264_fragments_join_to_the_unit(size: int) -> None:
    """RFC 6184, section 5.8."""
    unit = b"\x65" + np.random.default_rng(size).bytes(size - 1)
    payloads = list(h264_payloads([unit]))
    if size <= LARGEST_BYTES:
        assert payloads == [unit]
        return
    assert {payload[0] for payload in payloads} == {0x60 | 28}
    assert [payload[1] for payload in payloads] == [0x85, *[0x05] * (len(payloads) - 2), 0x45]
    assert b"\x65" + b"".join(payload[2:] for payload in payloads) == unit


def test_h265_fragments_join_to_the_unit() -> None:
    """RFC 7798, section 4.4.3: the type moves to the third byte, layer and temporal ids stay."""
    unit = bytes([19 << 1, 1]) + np.random.default_rng(1).bytes(3000)
    payloads = list(h265_payloads([unit]))
    assert {payload[:2] for payload in payloads} == {bytes([49 << 1, 1])}
    assert [payload[2] for payload in payloads] == [0x80 | 19, 19, 0x40 | 19]
    assert unit[:2] + b"".join(payload[3:] for payload in payloads) == unit


def test_requests_are_found_however_they_arrive() -> None:
    """Requests may come byte by byte, with a body, and between a client's reports."""
    report = b"$\1\0\4abcd"
    first = b"OPTIONS rtsp://h:1/cam/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    second = b"GET_PARAMETER rtsp://h:1/cam?a=1 RTSP/1.0\r\ncseq:2\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
    stream = report + first + report + second + report + first
    for chunk in (1, 7, len(stream)):
        reader = RequestReader()
        requests = [r for at in range(0, len(stream), chunk) for r in reader.feed(stream[at : at + chunk])]
        assert [request.method for request in requests] == ["OPTIONS", "GET_PARAMETER", "OPTIONS"]
        assert [request.target for request in requests] == ["/cam", "/cam?a=1", "/cam"]
        assert requests[1].answer(454).startswith(b"RTSP/1.0 454 Session Not Found\r\nCSeq: 2\r\n")


@pytest.mark.parametrize(
    "nonsense",
    [b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PLAY x RTSP/1.0\r\nContent-Length: -1\r\n\r\n", b"x" * 70_000],
)
def test_what_is_no_request_is_said_to_be_none(nonsense: bytes) -> None:
    with pytest.raises(BadRequest):
        list(RequestReader().feed(nonsense))


def test_digest_with_and_without_qop() -> None:
    """RFC 2617, section 3.2.2; FFmpeg's clients use the older form, which the real-client tests cover."""
    access = Access("admin", "secret")
    guard = Guard(access)
    nonce = guard.challenges[0].split('nonce="')[1].rstrip('"')

    def digest(*parts: str) -> str:
        return md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

    def asks(password: str, **extra: str) -> Request:
        secret, request = digest("admin", REALM, password), digest("PLAY", "rtsp://h/cam")
        response = digest(secret, nonce, *extra.values(), request)
        fields = {"username": "admin", "nonce": nonce, "uri": "rtsp://h/cam", "response": response, **extra}
        proof = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        return Request("PLAY", "rtsp://h/cam", {"authorization": f"Digest {proof}"})

    qop = {"nc": "00000001", "cnonce": "abc", "qop": "auth"}
    assert not guard.admits(asks("wrong", **qop))
    assert not guard.admits(Request("PLAY", "rtsp://h/cam"))
    assert guard.admits(asks("secret"))
    assert guard.admits(asks("secret", **qop))
    access.password = "changed"
    assert guard.admits(asks("secret"))
    assert not Guard(access).admits(asks("secret"))
    assert "secret" not in repr(access)


def test_a_sender_report_says_which_rtp_time_is_which_time_of_day() -> None:
    """RFC 3550, section 6.4.1; it holds across the wrap of the sequence number and counts what was sent."""
    stream = RtpStream(96)
    stream.next_seq = 0xFFFF
    packets = [stream.packet(b"abc", 10.0, last=False), stream.packet(b"de", 10.0, last=True)]
    assert [struct.unpack_from("!BBH", packet) for packet in packets] == [(0x80, 96, 0xFFFF), (0x80, 0xE0, 0)]
    report = stream.report(11.0, 1_700_000_000.25)
    seconds, fraction, ticks, count, octets = struct.unpack_from("!IIIII", report, 8)
    assert (seconds, fraction) == (1_700_000_000 + NTP_EPOCH_S, 1 << 30)
    (packet_ticks,) = struct.unpack_from("!I", packets[0], 4)
    assert (ticks - packet_ticks) % 2**32 == 90_000
    assert (count, octets) == (2, 5)
    assert len(report) % 4 == 0
    assert struct.unpack_from("!H", report, 30) == (len(report[28:]) // 4 - 1,)
