"""LiveDecoder marks exactly the damaged images, with real streams and a real decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pytest

from stream.sources.network.access_unit import AccessUnit
from stream.sources.network.decoder import CheckedFrame, LiveDecoder, codec_context
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.receiver import Received

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
Units = list[AccessUnit]
Lose = Callable[[Units], Iterator[AccessUnit]]


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


@lru_cache
def units_of(path: Path) -> Units:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    assert min(packet.size for packet in packets) > 2 * FRAGMENT
    return [AccessUnit(bytes(p), p.is_keyframe, 0, 0, float(p.pts * p.time_base)) for p in packets]


def decoded(path: Path, lose: Lose) -> list[CheckedFrame]:
    decoder = LiveDecoder(codec_context(path.stem, b"", None), FfmpegLog(str))
    checked = [image for unit in lose(units_of(path)) for image in decoder.decode(Received(unit, 0, 0))]
    return checked + decoder.decode(None)


def media_s(checked: CheckedFrame) -> float:
    assert checked.received.unit.media_s is not None
    return checked.received.unit.media_s


def pixels(checked: CheckedFrame) -> np.ndarray:
    return checked.frame.to_ndarray(format="gray")


def check(path: Path, lose: Lose) -> list[CheckedFrame]:
    """An image is tainted if and only if it differs from what was encoded."""
    whole = {media_s(checked): pixels(checked) for checked in decoded(path, iter)}
    assert len(whole) == IMAGES
    result = decoded(path, lose)
    spoilt = [not np.array_equal(pixels(checked), whole[media_s(checked)]) for checked in result]
    assert [checked.integrity == "tainted" for checked in result] == spoilt
    return result


def with_hole(unit: AccessUnit) -> AccessUnit:
    """The access unit without its second RTP fragment."""
    return unit._replace(data=unit.data[:FRAGMENT] + unit.data[2 * FRAGMENT :], damage="inside")


@pytest.mark.slow
@pytest.mark.parametrize("hit", [0, 5, KEY_EVERY, KEY_EVERY + 1, 2 * KEY_EVERY - 1])
def test_a_hole_taints_its_own_image_and_those_after(recording: Path, hit: int) -> None:
    """They are tainted up to the next key frame, though H.265 logs nothing; images not shown need no mark."""

    def lose(units: Units) -> Iterator[AccessUnit]:
        return (with_hole(unit) if index == hit else unit for index, unit in enumerate(units))

    result = check(recording, lose)
    assert len(result) < IMAGES or any(checked.integrity == "tainted" for checked in result)


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("lost", [5, KEY_EVERY, KEY_EVERY + 1, 2 * KEY_EVERY - 1])
def test_a_lost_image_spares_the_one_before(recording: Path, lost: int, told: bool) -> None:
    """Also if the transport lost nothing: an encoder or a proxy has left the image out."""

    def lose(units: Units) -> Iterator[AccessUnit]:
        for index, unit in enumerate(units):
            if index != lost:
                yield unit._replace(damage="before") if told and index == lost + 1 else unit

    check(recording, lose)


def test_garbage_does_not_end_the_stream(recording: Path) -> None:
    """After an access unit of noise the next key frame is clean."""

    def lose(units: Units) -> Iterator[AccessUnit]:
        for index, unit in enumerate(units):
            if index == 7:
                noise = np.random.default_rng(1).integers(0, 255, 3000, np.uint8).tobytes()
                yield unit._replace(data=noise, keyframe=False)
            yield unit

    result = decoded(recording, lose)
    assert [checked.integrity for checked in result[-(IMAGES - KEY_EVERY) :]] == ["clean"] * (IMAGES - KEY_EVERY)


def test_a_stream_without_damage_is_clean(recording: Path) -> None:
    """Every image is clean from the first on, also where a camera's clock stands still."""
    for lose in (iter, lambda units: (unit._replace(media_s=1.0) for unit in units)):
        assert [checked.integrity for checked in decoded(recording, lose)] == ["clean"] * IMAGES


def test_joining_midway_is_no_damage(recording: Path) -> None:
    """Nothing is shown until the first key frame, which is clean."""
    result = decoded(recording, lambda units: iter(units[7:]))
    assert result[0].frame.key_frame
    assert {checked.integrity for checked in result} == {"clean"}


def test_a_unit_that_comes_twice_is_decoded_once(recording: Path) -> None:
    """FFmpeg would decode a P image twice, each on top of the other; H.265's decoder leaves the second out itself."""
    check(recording, lambda units: (unit for unit in units for _ in range(2 if recording.stem == "h264" else 1)))


LATER_S = 110.0


def set_back(units: Units, begin: int) -> Iterator[AccessUnit]:
    """Units two minutes late with a hole in image 5; from ``begin`` on, they repeat on a time line from 0."""
    for index, unit in enumerate(units[:KEY_EVERY]):
        late = with_hole(unit) if index == 5 else unit
        yield late._replace(media_s=(unit.media_s or 0.0) + LATER_S)
    yield from units[begin:]


@pytest.mark.parametrize(("begin", "healed"), [(0, 0), (7, KEY_EVERY)])
def test_a_time_line_that_jumps_back_heals_at_the_next_key_frame(recording: Path, begin: int, healed: int) -> None:
    """The damage is on the old time line, whether the key frame is the first image after the jump or a later one."""
    result = decoded(recording, lambda units: set_back(units, begin))
    times = [unit.media_s for unit in units_of(recording)]
    anew = [checked for checked in result if media_s(checked) < LATER_S]
    clean = {media_s(checked) for checked in anew if checked.integrity == "clean"}
    assert clean == set(times[healed:])
    old = [checked.integrity for checked in result if media_s(checked) >= LATER_S]
    assert old[:5] == ["clean"] * 5
    assert set(old[5:]) <= {"tainted"}
