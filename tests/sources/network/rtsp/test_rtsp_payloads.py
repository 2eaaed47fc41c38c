"""Payload formats on the level of bytes: aggregates, numbers, tables, and whatever a network may bring."""

from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.drill.camera.encode import encode, numbered_images
from pipelines.drill.camera.payload import jpeg_payloads
from stream.frames import Size
from stream.sources.network.rtsp.assembly import Payloads
from stream.sources.network.rtsp.payloads.h264 import H264Payloads, recovery_point
from stream.sources.network.rtsp.payloads.h265 import H265Payloads
from stream.sources.network.rtsp.payloads.jpeg import JpegPayloads
from stream.sources.network.rtsp.payloads.jpeg_tables import quantisation_tables

START = b"\0\0\0\1"
SPS, PPS, IDR = b"\x67\x42\0\x1e", b"\x68\xce", b"\x65\x88abc"
VPS, SPS_5, IDR_5 = b"\x40\x01\x0c", b"\x42\x01\x01", b"\x26\x01\xafabc"


def sized(unit: bytes) -> bytes:
    return struct.pack("!H", len(unit)) + unit


def add(payloads: Payloads, *packets: bytes) -> Payloads:
    for packet in packets:
        payloads.add(memoryview(packet))
    return payloads


def test_h264_aggregates_are_taken_apart() -> None:
    """STAP-A: RFC 6184, section 5.7.1."""
    payloads = add(H264Payloads(), b"\x78" + sized(SPS) + sized(PPS) + sized(IDR))
    assert (payloads.has_image, payloads.keyframe, payloads.is_broken) == (True, True, False)
    assert payloads.finished() == START + SPS + START + PPS + START + IDR


@pytest.mark.parametrize("cut", [1, 2, 3, 6, 8, 14])
def test_a_cut_aggregate_is_broken(cut: int) -> None:
    whole = b"\x78" + sized(SPS) + sized(IDR)
    assert add(H264Payloads(), whole[:-cut]).is_broken


@pytest.mark.parametrize("kind", [0, 25, 26, 27, 29, 30, 31])
def test_packets_of_the_interleaved_mode_are_left_out(kind: int) -> None:
    payloads = add(H264Payloads(), bytes([0x60 | kind]) + b"12345678")
    assert (payloads.is_broken, payloads.has_image, payloads.finished()) == (True, False, b"")


def test_h265_aggregates_are_taken_apart() -> None:
    """RFC 7798, section 4.4.2."""
    payloads = add(H265Payloads(), b"\x60\x01" + sized(VPS) + sized(SPS_5) + sized(IDR_5))
    assert (payloads.has_image, payloads.keyframe, payloads.is_broken) == (True, True, False)
    assert payloads.finished() == START + VPS + START + SPS_5 + START + IDR_5


def test_h265_decoding_order_numbers_are_skipped() -> None:
    """In single units, aggregates (two bytes, then one), and the first fragment (section 4.4)."""
    payloads = add(
        H265Payloads(numbered=True),
        VPS[:2] + b"\0\1" + VPS[2:],
        b"\x60\x01" + b"\0\2" + sized(SPS_5) + b"\0" + sized(SPS_5),
        b"\x62\x01\x93" + b"\0\3" + b"\xafab",
        b"\x62\x01\x53" + b"c",
    )
    assert not payloads.is_broken
    assert payloads.finished() == START + VPS + START + SPS_5 + START + SPS_5 + START + IDR_5


@pytest.mark.parametrize(
    ("kind", "payload", "begins"),
    [
        (H264Payloads, b"\x65\x88ab", "image"),
        (H264Payloads, b"\x65\x48ab", "rest"),
        (H264Payloads, b"\x67\x42ab", "image"),
        (H264Payloads, b"\x7c\x85\x88a", "image"),
        (H264Payloads, b"\x7c\x05\x88a", "rest"),
        (H264Payloads, b"\x78" + sized(SPS), "image"),
        (H264Payloads, b"\x6c\xffab", "other"),
        (H264Payloads, b"", "other"),
        (H265Payloads, IDR_5 + b"12", "image"),
        (H265Payloads, b"\x26\x01\x2f12345", "rest"),
        (H265Payloads, b"\x62\x01\x93\xaf1234", "image"),
        (H265Payloads, b"\x62\x01\x13\xaf1234", "rest"),
        (H265Payloads, b"\x60\x01" + sized(IDR_5), "image"),
        (JpegPayloads, b"\0\0\0\0\1\xff\1\1", "image"),
        (JpegPayloads, b"\0\0\0\1\1\xff\1\1", "rest"),
    ],
)
def test_beginnings(kind: Callable[[], Payloads], payload: bytes, begins: str) -> None:
    assert kind().beginning(memoryview(payload)) == begins


@pytest.mark.parametrize(
    ("message", "images"),
    [
        (b"\x06\x06\x01\xc4\x80", 0),
        (b"\x06\x05\x02ab\x06\x01\x24\x80", 3),
        (b"\x06" + b"\x05\xff\x01" + bytes(256) + b"\x06\x01\x24", 3),
        (b"\x06\x05\x02ab\x80", None),
        (b"\x06\x06\x01\x00", None),
        (b"\x06", None),
    ],
)
def test_recovery_points_are_found(message: bytes, images: int | None) -> None:
    assert recovery_point(memoryview(message)) == images


def jpeg(quality: int = 50) -> bytes:
    """A JPEG file with the usual tables for ``quality``, 4:2:0."""
    image = np.kron(np.random.default_rng(1).integers(0, 256, (8, 10, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return bytes(cv2.imencode(".jpg", image, flags)[1])


def decoded(file: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = cv2.imdecode(np.frombuffer(file, np.uint8), 1)
    assert image is not None
    return image.astype(np.uint8)


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 99])
def test_jpeg_tables_are_made_from_a_quality(quality: int) -> None:
    """RFC 2435, section 4.2; the same formula as libjpeg's."""
    file = jpeg(quality)
    packets = [_with_quality(packet, quality) for packet in jpeg_payloads(file)]
    payloads = add(JpegPayloads(), *packets)
    assert not payloads.is_broken
    assert (decoded(payloads.finished()) == decoded(file)).all()


def _with_quality(packet: bytes, quality: int) -> bytes:
    """Without the tables of the first packet."""
    first = not any(packet[1:4])
    return packet[:5] + bytes([quality]) + packet[6:8] + packet[8 + (132 if first else 0) :]


def test_jpeg_tables_of_a_quality_are_remembered() -> None:
    """A length of 0 means those that came before; for quality 255 they come each time (section 3.1.8)."""
    packets = list(jpeg_payloads(jpeg()))
    for quality, remembered in ((200, True), (255, False)):
        payloads = JpegPayloads()
        named = [packet[:5] + bytes([quality]) + packet[6:] for packet in packets]
        whole = add(payloads, *named).finished()
        payloads.begin()
        without = named[0][:8] + bytes(4) + named[0][8 + 132 :]
        add(payloads, without, *named[1:])
        assert payloads.is_broken is not remembered
        assert (payloads.finished() == whole) is remembered


def test_jpeg_restart_intervals() -> None:
    """Types from 64 on have a header with the interval (section 3.1.7)."""
    image = next(iter(numbered_images(160, 128, 25, 1)))
    flags = [cv2.IMWRITE_JPEG_RST_INTERVAL, 4, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    file = bytes(cv2.imencode(".jpg", image, flags)[1])
    packets = [packet[:4] + bytes([65]) + packet[5:8] + b"\0\4\xff\xff" + packet[8:] for packet in jpeg_payloads(file)]
    payloads = add(JpegPayloads(), *packets)
    assert not payloads.is_broken
    assert (decoded(payloads.finished()) == decoded(file)).all()


def test_a_jpeg_with_a_hole_is_cut_off_there() -> None:
    """What is there is exact; nothing behind the hole is shown at a wrong place."""
    file = next(iter(encode(numbered_images(320, 240, 25, 1), "mjpeg", 25, 1))).data
    packets = list(jpeg_payloads(file))
    payloads = add(JpegPayloads(), *packets[:2], *packets[3:])
    whole = add(JpegPayloads(), *packets).finished()
    assert payloads.is_broken
    assert payloads.finished()[:-2] == whole[: len(payloads.finished()) - 2]


def test_a_jpeg_too_large_for_its_header_has_the_size_of_the_description() -> None:
    packet = next(iter(jpeg_payloads(jpeg())))
    nameless = packet[:6] + b"\0\0" + packet[8:]
    assert add(JpegPayloads(), nameless).is_broken
    file = add(JpegPayloads(Size(2160, 3840)), nameless).finished()
    assert struct.pack("!HH", 2160, 3840) in file


def test_quality_tables_stay_in_range() -> None:
    for quality in range(-5, 300):
        tables = quantisation_tables(quality)
        assert len(tables) == 128
        assert min(tables) > 0


KINDS = [H264Payloads, H265Payloads, lambda: H265Payloads(numbered=True), JpegPayloads]


@pytest.mark.parametrize("kind", KINDS)
@given(packets=st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"\x7c\x85", b"\x62\x01\x93"])), max_size=8))
def test_no_payload_is_an_exception(kind: Callable[[], Payloads], packets: list[bytes]) -> None:
    payloads = kind()
    for packet in packets:
        payloads.beginning(memoryview(packet))
        payloads.add(memoryview(packet))
        if packet.endswith(b"\0"):
            payloads.lost()
    payloads.finished()
    payloads.begin()
    assert not payloads.data
