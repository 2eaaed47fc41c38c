"""The RTSP reader over real sockets, against the test camera."""

from __future__ import annotations

import threading
import time
from itertools import islice, pairwise
from typing import get_args

import pytest

from pipelines.drill.camera.encode import Codec
from pipelines.drill.camera.sdp import Side
from stream.errors import SourceError
from stream.frames import Size
from stream.sources.network.access_unit import AccessUnit, CameraReport
from stream.sources.network.errors import TransportRefused
from stream.sources.network.rtsp import UnsupportedCodec
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.sources.network.rtsp.rtsp_reading import (
    FPS,
    IMAGES,
    clip,
    numbers,
    open_reader,
    reading,
    take,
    turning,
    wait_until,
)

PERIOD_NS = 1_000_000_000 // FPS


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", get_args(Codec))
def test_every_image_comes_in_order(codec: Codec, transport: str) -> None:
    """Each once, whole, with key frames where they are, and no access unit is dated after its delivery."""
    with RtspCamera({"/cam": clip(codec)}) as camera, reading(camera.url("/cam"), transport=transport) as reader:
        coded = []
        for item in reader.items():
            if isinstance(item, AccessUnit):
                coded.append(item)
                assert item.first_ns <= item.complete_ns <= time.monotonic_ns()
            if len(coded) == IMAGES + 10:
                break
        assert reader.codec == {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}[codec]
        assert (reader.size, reader.stated_fps, reader.time_line, reader.is_recording) == (
            (128, 160),
            FPS,
            "rtp",
            False,
        )
    assert numbers(reader, coded) == turning(IMAGES + 10)
    assert {unit.damage for unit in coded} == {""}
    keys = [number for number, unit in enumerate(coded) if unit.keyframe]
    assert keys == (list(range(len(coded))) if codec == "mjpeg" else [0, 20, 40, 60])
    steps = [after.media_s - before.media_s for before, after in pairwise(coded)]  # type: ignore[operator]
    assert max(abs(step - 1 / FPS) for step in steps) < 1e-4


def test_an_image_is_complete_before_the_next_one_begins() -> None:
    """The camera sends one image and then no more: it comes nevertheless, by its marker."""
    sent = 30
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        passed: list[int] = []

        def gate(number: int) -> bool:
            passed.append(number)
            return len(passed) <= sent

        camera.set_gate(gate)
        assert len(take(reader, sent)) == sent


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_sender_reports_say_what_the_cameras_clock_showed(transport: str) -> None:
    offset_s = 3600.5
    with (
        RtspCamera({"/cam": clip()}, clock_offset_s=offset_s) as camera,
        reading(camera.url("/cam"), transport=transport) as reader,
    ):
        items = list(islice(reader.items(), 20))
        sent = {entry.number: entry for entry in camera.log("/cam")}
    report = next(item for item in items if isinstance(item, CameraReport))
    assert abs(report.camera_ns / 1e9 - offset_s - sent[0].unix_s) < 1
    coded = [item for item in items if isinstance(item, AccessUnit)]
    for number, unit in enumerate(coded[1:], 1):
        assert unit.camera_ns is not None
        assert unit.media_s is not None
        expected_ns = report.camera_ns + (unit.media_s - report.media_s) * 1e9
        assert abs(unit.camera_ns - expected_ns) < 1e5
        assert unit.camera_ns / 1e9 - offset_s <= sent[number].unix_s + 0.001


def test_without_sender_reports_the_cameras_clock_is_unknown() -> None:
    with RtspCamera({"/cam": clip()}, sender_reports=False) as camera, reading(camera.url("/cam")) as reader:
        items = list(islice(reader.items(), 10))
    assert all(isinstance(item, AccessUnit) and item.camera_ns is None for item in items)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_lost_packet_damages_the_image_that_it_was_in(transport: str) -> None:
    """A P image of this clip is one packet, so that it is missing as a whole: the damage is before the next one."""
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam"), transport=transport) as reader:
        coded = []
        for unit in reader.items():
            if isinstance(unit, AccessUnit):
                coded.append(unit)
                if len(coded) == 5:
                    camera.lose()
                if len(coded) == 40:
                    break
        (lost,) = camera.damaged
    assert [number for number, unit in enumerate(coded) if unit.damage] == [lost]
    assert coded[lost].damage == "before"


def test_images_left_out_without_a_gap_are_no_damage_here() -> None:
    """Only the bit stream tells; see h264/continuity.py."""
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        camera.set_gate(lambda number: number % 10 != 5)
        coded = take(reader, 40)
    assert {unit.damage for unit in coded} == {""}


def test_bytes_that_waited_are_dated_by_their_arrival() -> None:
    """The reader sleeps while images come; their times are spread as they were sent, none is that of the reading."""
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        items = (item for item in reader.items() if isinstance(item, AccessUnit))
        early = list(islice(items, 20))
        before = camera.sent("/cam")
        while camera.sent("/cam") < before + 40:
            threading.Event().wait(0.01)
        woke_ns = time.monotonic_ns()
        late = list(islice(items, 40))
    sent_ns = [int(entry.mono_s * 1e9) for entry in camera.log("/cam")][: len(early) + len(late)]
    young = [unit.first_ns - sent for unit, sent in zip(early + late, sent_ns, strict=False)]
    assert max(young) < 100e6 + PERIOD_NS
    assert late[0].first_ns < woke_ns - 10 * PERIOD_NS


def test_tcp_is_preferred_and_udp_is_the_fallback() -> None:
    with RtspCamera({"/cam": clip()}, transports={"udp"}) as camera:
        with reading(camera.url("/cam")) as reader:
            assert numbers(reader, take(reader, 20)) == turning(20)
        with pytest.raises(TransportRefused, match="does not offer the transport"):
            open_reader(camera.url("/cam"), transport="tcp")
        wait_until(lambda: camera.sessions == 0)
    with (
        RtspCamera({"/cam": clip()}, transports={"tcp"}) as camera,
        pytest.raises(TransportRefused),
    ):
        open_reader(camera.url("/cam"), transport="udp")


def test_interrupt_ends_a_reader_that_waits() -> None:
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        camera.stall()
        ended = threading.Event()

        def read() -> None:
            list(reader.items())
            ended.set()

        thread = threading.Thread(target=read, name="reader")
        thread.start()
        reader.interrupt()
        assert ended.wait(10)
        thread.join()


def test_close_ends_the_session_at_the_camera() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        with reading(camera.url("/cam")) as reader:
            take(reader, 3)
            assert camera.sessions == 1
        assert camera.sessions == 0
        assert camera.requests[-1][0] == "TEARDOWN"


def test_a_camera_that_hangs_up_ends_the_items() -> None:
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        items = reader.items()
        next(items)
        camera.cut("fin")
        assert all(isinstance(item, AccessUnit) for item in items)


def test_a_camera_that_crashes_is_an_error() -> None:
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        items = reader.items()
        next(items)
        camera.cut("rst")
        with pytest.raises(SourceError, match="the camera cut the connection"):
            list(items)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_session_is_kept_alive(transport: str) -> None:
    """A camera ends it after a second without a request."""
    with (
        RtspCamera({"/cam": clip()}, session_timeout_s=2) as camera,
        reading(camera.url("/cam"), transport=transport) as reader,
    ):
        assert len(take(reader, 3 * FPS)) == 3 * FPS
        methods = [method for method, _ in camera.requests]
    assert methods.count("GET_PARAMETER") >= 2


@pytest.mark.slow
def test_a_nonce_that_ended_is_replaced_while_images_come() -> None:
    with (
        RtspCamera({"/cam": clip()}, user="u", password="p", auth="sha256", session_timeout_s=1) as camera,
        reading(camera.url("/cam", credentials=True)) as reader,
    ):
        items = (item for item in reader.items() if isinstance(item, AccessUnit))
        list(islice(items, 10))
        camera.end_nonces()
        assert len(list(islice(items, 2 * FPS))) == 2 * FPS


@pytest.mark.parametrize("fault", ["constant", "slow rate", "steps back"])
def test_a_broken_rtp_clock_loses_no_image(fault: str) -> None:
    """The marker and the bit stream part images of one time stamp."""
    with RtspCamera({"/cam": clip()}) as camera, reading(camera.url("/cam")) as reader:
        camera.break_rtp_clock(fault)  # type: ignore[arg-type]
        coded = take(reader, IMAGES)
    assert numbers(reader, coded) == turning(IMAGES)
    assert {unit.damage for unit in coded} == {""}


TRACKS: tuple[Clip | Side, ...] = ("audio", clip("h264", 320, 240), "metadata", clip("h264", 160, 128), "backchannel")


@pytest.mark.parametrize(
    ("wish", "size"),
    [
        ("first", Size(240, 320)),
        ("0", Size(240, 320)),
        ("1", Size(128, 160)),
        ("largest", Size(240, 320)),
        ("smallest", Size(128, 160)),
        ("160x128", Size(128, 160)),
    ],
)
def test_a_track_is_chosen(wish: str, size: Size) -> None:
    """Among sound, metadata and two video tracks; only the chosen one is set up."""
    with RtspCamera({"/cam": TRACKS}) as camera, reading(camera.url("/cam"), track=wish) as reader:
        assert reader.size == size
        assert len(take(reader, 5)) == 5
        assert [method for method, _ in camera.requests].count("SETUP") == 1


@pytest.mark.parametrize(("wish", "words"), [("2", "there are 2, from 0 on"), ("640x480", "320x240, 160x128")])
def test_a_track_that_is_not_there_is_named(wish: str, words: str) -> None:
    with RtspCamera({"/cam": TRACKS}) as camera, pytest.raises(SourceError, match=words):
        open_reader(camera.url("/cam"), track=wish)


def test_sizes_come_from_the_parameter_sets_too() -> None:
    with RtspCamera({"/cam": TRACKS}) as camera:
        camera.rewrite_sdp(lambda text: text.replace("x-dimensions", "x-nothing"))
        with reading(camera.url("/cam"), track="smallest") as reader:
            assert reader.size == Size(128, 160)


def test_other_codecs_are_for_ffmpeg() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.rewrite_sdp(lambda text: text.replace("H264/90000", "AV1/90000"))
        with pytest.raises(UnsupportedCodec, match="AV1"):
            open_reader(camera.url("/cam"))
        camera.rewrite_sdp(lambda text: text.replace("mode=1", "mode=2"))
        with pytest.raises(UnsupportedCodec, match="interleaved mode"):
            open_reader(camera.url("/cam"))
        wait_until(lambda: camera.sessions == 0)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ipv6(transport: str) -> None:
    with (
        RtspCamera({"/cam": clip()}, host="::1", user="u", password="") as camera,
        reading(camera.url("/cam", credentials=True), transport=transport) as reader,
    ):
        assert numbers(reader, take(reader, 20)) == turning(20)
