"""LiveDecoder marks exactly the damaged images, with real streams and a real decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stream.sources.network.decoder import CheckedFrame, LiveDecoder
from stream.sources.network.ffmpeg_log import FfmpegLog, LogLine

MISSED = LogLine(24, "rtsp", "RTP: missed 1 packets")
KEY_EVERY, IMAGES = 20, 50
FRAGMENT = 1400
ENCODERS = {
    "h264": (
        "libx264",
        {"x264-params": f"keyint={KEY_EVERY}:scenecut=0:bframes=0:slices=1:sliced-threads=0:qp=28"},
    ),
    "hevc": (
        "libx265",
        {"x265-params": f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:bframes=0:log-level=none:qp=30"},
    ),
}
Packets = list[av.Packet]
Lose = Callable[[Packets], Iterator[tuple[av.Packet, list[LogLine]]]]


@pytest.fixture(scope="module", params=ENCODERS)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MPEG-TS file, whose packets resemble those from RTP; noise makes every image several fragments long."""
    encoder, options = ENCODERS[request.param]
    path = tmp_path_factory.mktemp("recording") / f"{request.param}.ts"
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(0, 255, (40, 60, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(IMAGES):
            view = np.ascontiguousarray(scene[index : index + 240, 2 * index : 2 * index + 320])
            frame = av.VideoFrame.from_ndarray(view ^ rng.integers(0, 64, view.shape, np.uint8), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path, lose: Lose) -> list[CheckedFrame]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert min(packet.size for packet in packets) > 2 * FRAGMENT
        decoder = LiveDecoder(stream, FfmpegLog(str))
        checked = [image for packet, log_lines in lose(packets) for image in decoder.decode(packet, log_lines)]
        return checked + decoder.decode(None)


def pixels(checked: CheckedFrame) -> np.ndarray:
    return checked.frame.to_ndarray(format="gray")


def check(path: Path, lose: Lose) -> list[CheckedFrame]:
    """An image is tainted if and only if it differs from what was encoded."""
    whole = {
        checked.frame.pts: pixels(checked) for checked in decoded(path, lambda packets: ((p, []) for p in packets))
    }
    assert len(whole) == IMAGES
    result = decoded(path, lose)
    spoilt = [not np.array_equal(pixels(checked), whole[checked.frame.pts]) for checked in result]
    assert [checked.integrity == "tainted" for checked in result] == spoilt
    return result


def with_hole(packet: av.Packet) -> av.Packet:
    """The packet without its second RTP fragment."""
    data = bytes(packet)
    broken = av.Packet(data[:FRAGMENT] + data[2 * FRAGMENT :])
    broken.pts, broken.dts, broken.time_base, broken.stream = packet.pts, packet.dts, packet.time_base, packet.stream
    broken.is_keyframe = packet.is_keyframe
    return broken


@pytest.mark.slow
@pytest.mark.parametrize("hit", [0, 5, KEY_EVERY, KEY_EVERY + 1, 2 * KEY_EVERY - 1])
def test_a_hole_taints_its_own_image_and_those_after(recording: Path, hit: int) -> None:
    """They are tainted up to the next key frame, though H.265 logs nothing; images not shown need no mark."""

    def lose(packets: Packets) -> Iterator[tuple[av.Packet, list[LogLine]]]:
        for index, packet in enumerate(packets):
            yield (with_hole(packet), [MISSED]) if index == hit else (packet, [])

    result = check(recording, lose)
    assert len(result) < IMAGES or any(checked.integrity == "tainted" for checked in result)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [5, KEY_EVERY, KEY_EVERY + 1, 2 * KEY_EVERY - 1])
def test_a_lost_image_spares_the_one_before(recording: Path, lost: int) -> None:
    """FFmpeg logs the loss while it reads the previous image, which is whole."""

    def lose(packets: Packets) -> Iterator[tuple[av.Packet, list[LogLine]]]:
        for index, packet in enumerate(packets):
            if index != lost:
                yield packet, [MISSED] if index == lost - 1 else []

    check(recording, lose)


def test_garbage_does_not_end_the_stream(recording: Path) -> None:
    """After a packet of noise the next key frame is clean."""

    def lose(packets: Packets) -> Iterator[tuple[av.Packet, list[LogLine]]]:
        for index, packet in enumerate(packets):
            if index == 7:
                noise = av.Packet(np.random.default_rng(1).integers(0, 255, 3000, np.uint8).tobytes())
                noise.pts, noise.stream, noise.time_base = packet.pts, packet.stream, packet.time_base
                yield noise, []
            yield packet, []

    result = decoded(recording, lose)
    assert [checked.integrity for checked in result[-(IMAGES - KEY_EVERY) :]] == ["clean"] * (IMAGES - KEY_EVERY)


def test_a_stream_without_damage_is_clean(recording: Path) -> None:
    """Every image is clean from the first on."""
    result = decoded(recording, lambda packets: ((packet, []) for packet in packets))
    assert [checked.integrity for checked in result] == ["clean"] * IMAGES


def test_joining_midway_is_no_damage(recording: Path) -> None:
    """Nothing is shown until the first key frame, which is clean."""
    result = decoded(recording, lambda packets: ((packet, []) for packet in packets[7:]))
    assert result[0].frame.key_frame
    assert {checked.integrity for checked in result} == {"clean"}


LATER = 10_000_000
"""Ticks of MPEG-TS's 90 kHz clock: almost two minutes."""


def set_back(packets: Packets, begin: int) -> Iterator[tuple[av.Packet, list[LogLine]]]:
    """Packets two minutes late with a hole in image 5; from ``begin`` on, they repeat on a time line from 0."""
    for index, packet in enumerate(packets):
        late = with_hole(packet) if index == 5 else copy_of(packet)
        late.pts, late.dts = packet.pts + LATER, packet.dts + LATER
        yield late, [MISSED] if index == 5 else []
        if index == KEY_EVERY - 1:
            break
    yield from ((packet, []) for packet in packets[begin:])


def copy_of(packet: av.Packet) -> av.Packet:
    copy = av.Packet(bytes(packet))
    copy.time_base, copy.stream, copy.is_keyframe = packet.time_base, packet.stream, packet.is_keyframe
    return copy


@pytest.mark.parametrize(("begin", "healed"), [(0, 0), (7, KEY_EVERY)])
def test_a_time_line_that_jumps_back_heals_at_the_next_key_frame(recording: Path, begin: int, healed: int) -> None:
    """The damage is on the old time line, whether the key frame is the first image after the jump or a later one."""
    result = decoded(recording, lambda packets: set_back(packets, begin))
    with av.open(str(recording)) as container:
        pts = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.size]
    anew = [checked for checked in result if checked.frame.pts < LATER]
    clean = {checked.frame.pts for checked in anew if checked.integrity == "clean"}
    assert clean == set(pts[healed:])
    old = [checked.integrity for checked in result if checked.frame.pts >= LATER]
    assert old[:5] == ["clean"] * 5
    assert set(old[5:]) <= {"tainted"}


def test_a_little_back_is_no_new_time_line(recording: Path) -> None:
    """Damage half a second ahead of the others' time is still ahead of the key frame before it."""
    half = 45_000

    def lose(packets: Packets) -> Iterator[tuple[av.Packet, list[LogLine]]]:
        for index, packet in enumerate(packets):
            if index == KEY_EVERY - 1:
                ahead = with_hole(packet)
                ahead.pts, ahead.dts = packet.pts + half, packet.dts + half
                yield ahead, [MISSED]
            else:
                yield packet, []

    result = decoded(recording, lose)
    keys = [checked.integrity for checked in result if checked.frame.key_frame]
    assert keys == ["clean", "tainted", "clean"]
