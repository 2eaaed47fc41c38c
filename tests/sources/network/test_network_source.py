"""NetworkSource over real RTSP: fresh images, marked damage, correct stamps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from stream.errors import SourceStalled
from stream.frames import Frame, Image, Size
from tests.rigs.rtsp_camera import Clip, RtspCamera, read_number
from tests.sources.watching import STALL_S, network, number, read, read_until, same, undamaged

every_codec = pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
every_transport = pytest.mark.parametrize("transport", ["tcp", "udp"])


def lossy_clip(codec: str) -> Clip:
    """A clip with several RTP packets per image; key frames are 0, 25, 50 and 75."""
    return Clip.test_pattern(codec=codec, width=640, height=480, fps=50, seconds=2, keyframe_every=25)


@lru_cache
def reference(codec: str) -> dict[int, Image]:
    return undamaged(lossy_clip(codec))


@pytest.mark.slow
@every_codec
@every_transport
def test_a_camera_gives_every_image_in_order(codec: str, transport: str) -> None:
    """Images are BGR, read-only, numbered from 0, named and complete."""
    clip = Clip.test_pattern(codec=codec)
    with RtspCamera({"/cam": clip}) as camera, network(camera.url("/cam"), transport=transport) as source:
        frames = read(source, 30)
        about = source.describe()
    assert [frame.seq for frame in frames] == list(range(30))
    assert all((number(b) - number(a)) % len(clip) == 1 for a, b in pairwise(frames))
    assert {(frame.camera, frame.size, frame.integrity) for frame in frames} == {("door", Size(240, 320), "clean")}
    assert all(f.image.flags.c_contiguous and not f.image.flags.writeable for f in frames)
    assert "320x240" in about
    assert "\n" not in about


@pytest.mark.slow
@every_codec
def test_the_first_image_is_fresh(codec: str) -> None:
    """Twenty images are buffered between opening and reading; none that is older than 0.1 s is shown."""
    with RtspCamera({"/cam": Clip.test_pattern(codec=codec)}) as camera, network(camera.url("/cam")) as source:
        waiting = threading.Event()
        while camera.sent("/cam") < 20:
            waiting.wait(0.02)
        piled_up = camera.log("/cam")[-1].number
        first = read(source, 1)[0]
    assert number(first) >= piled_up - 3, "images are 40 ms apart"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "transport", "packets"),
    [
        ("h264", "tcp", 1),
        ("h264", "udp", 1),
        ("h264", "tcp", 6),
        ("h265", "tcp", 1),
        ("h265", "udp", 6),
        ("mjpeg", "udp", 1),
    ],
)
def test_loss_taints_exactly_the_spoilt_images(codec: str, transport: str, packets: int) -> None:
    """An image is tainted exactly if it differs by a bit from the one that was sent, until the next key frame."""
    whole = reference(codec)
    with RtspCamera({"/cam": lossy_clip(codec)}) as camera, network(camera.url("/cam"), transport=transport) as source:
        frames = read_until(source, Harm(camera, lambda: camera.lose(packets)))
        assert 1 <= len(camera.damaged) <= 2
        assert source.log_lines, "the health record shows why"
    assert [frame.integrity == "tainted" for frame in frames] == [spoilt(frame, whole) for frame in frames]
    after = -camera.damaged[-1] % 25 - 1
    if codec == "h264":  # H.265 and MJPEG show nothing of what is spoilt
        assert sum(frame.integrity == "tainted" for frame in frames) >= min(after, 3)
    assert not set(camera.damaged) & {read_number(frame.image) for frame in frames}


@pytest.mark.slow
def test_damaged_bytes_taint_until_the_next_key_frame() -> None:
    """No packet is lost, but the H.264 decoder notices."""
    whole = reference("h264")
    with RtspCamera({"/cam": lossy_clip("h264")}) as camera, network(camera.url("/cam")) as source:
        frames = read_until(source, Harm(camera, lambda: camera.corrupt(1)))
    tainted = [frame for frame in frames if frame.integrity == "tainted"]
    assert read_number(tainted[0].image) in (camera.damaged[0], None)
    assert [frame.integrity == "tainted" for frame in frames] == [spoilt(frame, whole) for frame in frames]


@pytest.mark.slow
def test_one_cameras_damage_is_not_anothers() -> None:
    """Two cameras run in two threads: FFmpeg has one log, but each camera gets only its own lines."""
    results: dict[str, list[Frame]] = {}
    clips = {"/good": lossy_clip("h264"), "/bad": lossy_clip("h264")}

    def watch(path: str, camera: RtspCamera) -> None:
        with network(camera.url(path)) as source:
            harm = Harm(camera, lambda: camera.lose(1, path="/bad"))
            results[path] = read_until(source, harm) if path == "/bad" else read(source, 100)

    with RtspCamera(clips) as camera:
        threads = [threading.Thread(target=watch, args=(path, camera)) for path in clips]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert {frame.integrity for frame in results["/good"]} == {"clean"}
    assert {frame.integrity for frame in results["/bad"]} == {"clean", "tainted"}


@pytest.mark.slow
@every_codec
def test_stamps_are_the_time_of_sending(codec: str) -> None:
    """The stamps are on our monotonic clock, at the moment of sending and never in the future."""
    ages_s: list[float] = []
    with RtspCamera({"/cam": Clip.test_pattern(codec=codec)}) as camera, network(camera.url("/cam")) as source:
        frames = read(source, 30, lambda frame: ages_s.append(frame.stamp.age_s()))
        sent = {entry.number: entry.mono_s for entry in camera.log("/cam")}
    errors_s = [frame.stamp.mono_ns / 1e9 - sent[number(frame)] for frame in frames]
    assert min(abs(error_s) for error_s in errors_s) < 0.015, "no part of a frame interval"
    assert min(ages_s) >= 0
    stamps = [frame.stamp for frame in frames]
    assert all(a.mono_ns <= b.mono_ns and a.media_s < b.media_s for a, b in pairwise(stamps))
    assert {stamp.source for stamp in stamps[1:]} == {"rtcp"}


@pytest.mark.slow
@pytest.mark.parametrize("offset_s", [0.0, 2.0, 3600.0])
def test_the_cameras_clock_labels_and_nothing_else(offset_s: float) -> None:
    """A clock two seconds off is used as the label, one an hour off is not, and ages are the same."""
    with (
        RtspCamera({"/cam": Clip.test_pattern()}, clock_offset_s=offset_s) as camera,
        network(camera.url("/cam")) as source,
    ):
        ages_s: list[float] = []
        frames = read(source, 20, lambda frame: ages_s.append(frame.stamp.age_s()))
        sent = {entry.number: entry.unix_s for entry in camera.log("/cam")}
    assert min(ages_s) < 1
    label = frames[-1].stamp.unix_ns / 1e9 - sent[number(frames[-1])]
    believed = offset_s < 5
    assert frames[-1].stamp.source == ("rtcp" if believed else "arrival")
    assert label == pytest.approx(offset_s if believed else 0, abs=0.9)


def test_without_sender_reports_the_stamp_is_the_arrival() -> None:
    """``stamp.source`` is "arrival"."""
    with (
        RtspCamera({"/cam": Clip.test_pattern()}, sender_reports=False) as camera,
        network(camera.url("/cam")) as source,
    ):
        frames = read(source, 10)
    assert {frame.stamp.source for frame in frames} == {"arrival"}


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_new_size_comes_through(codec: str) -> None:
    """The camera switches from 320x240 to 640x480, and frames and description follow."""
    small, large = (Clip.test_pattern(codec=codec, width=w, height=h, seconds=1) for w, h in ((320, 240), (640, 480)))
    with RtspCamera({"/cam": small}) as camera, network(camera.url("/cam")) as source:
        frames = read(source, 40, lambda frame: camera.switch("/cam", large) if frame.seq == 10 else None)
        about = source.describe()
    assert [str(frame.size) for frame in frames] == sorted(str(frame.size) for frame in frames)
    assert frames[-1].size == Size(480, 640)
    assert number(frames[-1]) < len(large)
    assert {frame.integrity for frame in frames} == {"clean"}
    assert "640x480" in about


def test_a_camera_that_only_takes_udp_is_asked_again() -> None:
    """With prefer_tcp, UDP is tried within the same ``with``."""
    with (
        RtspCamera({"/cam": Clip.test_pattern()}, transports=("udp",)) as camera,
        network(camera.url("/cam")) as source,
    ):
        assert len(read(source, 5)) == 5


def test_stopping_ends_a_silent_camera() -> None:
    """It ends without an error and without waiting for the camera."""
    stopping, ended = threading.Event(), threading.Event()

    def watch(url: str) -> None:
        with network(url, stall_s=2 * STALL_S) as source:
            for frame in source.frames(stopping):
                if frame.seq == 3:
                    camera.stall()
                    stopping.set()
        ended.set()

    with RtspCamera({"/cam": Clip.test_pattern()}) as camera:
        thread = threading.Thread(target=watch, args=(camera.url("/cam"),))
        thread.start()
        assert ended.wait(30)
        thread.join(30)


@pytest.mark.slow
def test_a_source_can_be_opened_again() -> None:
    """It works after a stall, and the numbers start at 0."""
    with RtspCamera({"/cam": Clip.test_pattern()}) as camera:
        source = network(camera.url("/cam"))
        with source, pytest.raises(SourceStalled):
            read(source, 100, lambda frame: camera.stall() if frame.seq == 3 else None)
        camera.resume()
        with source:
            assert [frame.seq for frame in read(source, 3)] == [0, 1, 2]


def test_frames_share_no_memory() -> None:
    """Frames share no memory with each other or with the running decoder."""
    with RtspCamera({"/cam": Clip.test_pattern()}) as camera, network(camera.url("/cam")) as source:
        copies: list[Image] = []
        frames = read(source, 12, lambda frame: copies.append(frame.image.copy()))
    assert all(same(frame.image, copy) for frame, copy in zip(frames, copies, strict=True))
    assert not any(np.shares_memory(a.image, b.image) for a, b in pairwise(frames))


class Harm:
    """Called with each frame; damages once, midway between key frames, and returns True after the next key frame."""

    def __init__(self, camera: RtspCamera, do: Callable[[], object]) -> None:
        self._camera, self._do = camera, do
        self._done = False

    def __call__(self, frame: Frame) -> bool:
        shown = read_number(frame.image)
        if not self._done and shown in range(28, 38):
            self._done = True
            self._do()
        if shown is None or not self._camera.damaged:
            return False
        healed = (self._camera.damaged[-1] // 25 + 1) * 25
        return (shown - healed) % 100 in range(3, 20)


def spoilt(frame: Frame, whole: dict[int, Image]) -> bool:
    """Whether the frame differs from the image that the camera sent."""
    shown = read_number(frame.image)
    return shown is None or not same(frame.image, whole[shown])
