"""GstreamerSource on real pipelines: test patterns, RTSP cameras, SRT, a webcam driver; faults of each."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic
from typing import Any

import numpy as np
import pytest

from pipelines.components.cameras import check_connections
from stream.errors import AccessDenied, SettingsError, SourceBehind, SourceError, SourceStalled
from stream.frames import Dropped, Frame, Size
from stream.settings import GstreamerCamera
from stream.sources.gstreamer.parsing import load
from stream.sources.gstreamer.source import GstreamerSource
from stream.sources.health import Health
from stream.sources.reconnect import Reconnecting
from tests.rigs import vivid
from tests.rigs.gst_camera import GstCamera, age_ms
from tests.rigs.gst_camera import missing as packages_missing
from tests.rigs.rtsp_camera import Clip, RtspCamera, read_number

MISSING = packages_missing() or ("" if find_spec("gi") else "make test-rigs, which installs PyGObject")
pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

PATTERN = "videotestsrc is-live=true"
ENCODED = (
    f"{PATTERN} ! video/x-raw,width=320,height=240 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
    " ! mpegtsmux"
)
STALL_S = 1.0
SECRET = "p@ss:w%rd9"
LATE_S = 0.1
"""How much younger than the truth an age may be."""


def source(pipeline: str, **settings: Any) -> GstreamerSource:
    values: dict[str, Any] = {"stall_s": STALL_S, "open_s": 15, **settings}
    return GstreamerSource(GstreamerCamera(source="gstreamer", name="rig", pipeline=pipeline, **values))


def rtsp(url: str, more: str = "", decoder: str = "rtph264depay ! avdec_h264") -> str:
    return f"rtspsrc location={url} latency=0 protocols=tcp {more} ! {decoder}"


def read_until(reader: GstreamerSource, done: Callable[[Frame], bool]) -> list[Frame]:
    """Frames up to the first for which ``done`` is true; fail after a thousand."""
    frames: list[Frame] = []
    stopping = threading.Event()
    for frame in reader.frames(stopping):
        if isinstance(frame, Dropped):
            continue
        frames.append(frame)
        assert len(frames) < 1000, "what the test waits for did not come"
        if done(frame):
            stopping.set()
    return frames


def read(pipeline: str, count: int, **settings: Any) -> list[Frame]:
    with source(pipeline, **settings) as reader:
        seen = iter(range(1, count + 1))
        return read_until(reader, lambda frame: next(seen) == count)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.test_pattern("h264", 320, 240, 50, 2, 25)


def test_rows_with_padding_and_colours_are_right() -> None:
    """At 321 pixels a row has a byte of padding."""
    frames = read(f"{PATTERN} ! video/x-raw,width=321,height=240", 5)
    image = frames[-1].image
    assert {frame.stamp.source for frame in frames} == {"device"}
    assert (image.shape, image.flags.c_contiguous, image.flags.writeable) == ((240, 321, 3), True, False)
    bars = [image[80, 23 + 46 * bar].astype(int) for bar in range(7)]
    expected = [(255 * (n & 1), 255 * (n >> 2), 255 * (n >> 1 & 1)) for n in (7, 6, 5, 4, 3, 2, 1)]
    assert np.abs(np.array(bars) - expected).max() <= 16


def test_every_image_of_a_camera_comes_in_order(clip: Clip) -> None:
    with RtspCamera({"/cam": clip}) as camera:
        frames = read(rtsp(camera.url("/cam")), 60)
    numbers = [number for number in (read_number(frame.image) for frame in frames) if number is not None]
    assert len(numbers) == 60
    # A busy machine may show fewer, never others or twice.
    assert all(0 < (after - before) % len(clip) < 50 for before, after in pairwise(numbers))
    assert {(frame.size, frame.integrity) for frame in frames} == {(Size(240, 320), "clean")}


def test_a_new_size_comes_through(clip: Clip) -> None:
    large = Clip.test_pattern("h264", 480, 360, 50, 1, 25)
    with RtspCamera({"/cam": clip}) as camera, source(rtsp(camera.url("/cam"))) as reader:

        def is_large(frame: Frame) -> bool:
            if frame.seq == 5:
                camera.switch("/cam", large)
            return frame.size == Size(360, 480)

        frames = read_until(reader, is_large)
        assert "480x360" in reader.describe()
    assert {frame.size for frame in frames} == {Size(240, 320), Size(360, 480)}


@pytest.mark.parametrize(("holding_s", "element"), [(0.0, ""), (0.3, "! queue name=q min-threshold-time=300000000")])
def test_ages_agree_with_the_time_in_the_image(holding_s: float, element: str) -> None:
    """The images carry the time of their creation; what the pipeline holds back is part of the age."""
    ages_s: list[float] = []

    def note(frame: Frame) -> bool:
        ages_s.append(frame.stamp.age_s())
        return len(ages_s) == 60

    with GstCamera() as camera:
        pipeline = f"rtspsrc location={camera.url} latency=200 protocols=udp ! rtph264depay ! avdec_h264 {element}"
        with source(pipeline) as reader:
            frames = read_until(reader, note)
    errors_ms = [age_ms(frame.image, frame.stamp.mono_ns) for frame in frames]
    assert abs(median(errors_ms)) < 50
    assert min(ages_s) >= 0
    assert median(ages_s) >= 0.9 * holding_s


@pytest.fixture
def sender() -> Iterator[Callable[[str], None]]:
    """Starts pipelines that send, and stops them after the test."""
    gst = load().Gst
    running: list[Any] = []

    def send(pipeline: str) -> None:
        running.append(gst.parse_launch(pipeline))
        running[-1].set_state(gst.State.PLAYING)

    yield send
    for pipeline in running:
        pipeline.set_state(gst.State.NULL)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def reader_process(pipeline: str, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.rigs.gst_reader_program", pipeline, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_of(process: subprocess.Popen[str], until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    assert process.stdout is not None
    lines = []
    for text in process.stdout:
        lines.append(json.loads(text))
        if until(lines[-1]):
            return lines
    raise AssertionError(f"it ended with {process.wait()} after {lines[-1:]}")


def stopped_for(process: subprocess.Popen[str], seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    threading.Event().wait(seconds)
    process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("transport", "reports"), [("tcp", True), ("tcp", False), ("udp", False)])
def test_a_stopped_reader_is_never_young(transport: str, reports: bool) -> None:
    """3 s of images wait meanwhile. GStreamer dates them as new; the camera's clock tells their age."""
    long = Clip.test_pattern("h264", 320, 240, 25, 40, 25)
    with RtspCamera({"/cam": long}, sender_reports=reports, report_every_s=0.2) as camera:
        pipeline = rtsp(camera.url("/cam")).replace("protocols=tcp", f"protocols={transport}")
        with reader_process(pipeline, 10_000) as process:
            seen = iter(range(100))
            before = lines_of(
                process, lambda line: next(seen) > 20 and line["stamp"] == ("rtcp" if reports else "arrival")
            )
            stopped_for(process, 3.0)
            after_s = monotonic()
            lines = lines_of(
                process, lambda line: "error" in line or (line["now_s"] > after_s + 1 and line["age_s"] < 1)
            )
        sent_s = {sent.number: sent.mono_s for sent in camera.log("/cam")}

    def true_and_told(lines: list[dict[str, Any]]) -> list[tuple[float, float]]:
        dated = [line for line in lines if line.get("number") in sent_s]
        return [(line["now_s"] - sent_s[line["number"]], line["age_s"]) for line in dated]

    # What a busy machine needs for sending counts before and after.
    usual_s = max(0.0, *(true_s - told_s for true_s, told_s in true_and_told(before)))
    after = true_and_told(lines)
    assert max(true_s for true_s, _ in after) > 1.0, "no image had waited"
    assert max(true_s - told_s for true_s, told_s in after) < LATE_S + usual_s


def test_a_stopped_reader_of_mpeg_ts_connects_again(sender: Callable[[str], None]) -> None:
    """Nothing tells the age of what waited in the socket."""
    port = free_port()
    sender(f"{ENCODED} ! udpsink host=127.0.0.1 port={port}")
    with reader_process(f"udpsrc port={port} ! tsdemux ! h264parse ! avdec_h264", 10_000) as process:
        seen = iter(range(10))
        lines_of(process, lambda line: next(seen) == 9)
        stopped_for(process, 3.0)
        after_s = monotonic()
        lines = lines_of(process, lambda line: "error" in line)
    assert lines[-1]["error"].startswith("SourceBehind: ")
    assert "stood still" in lines[-1]["error"]
    assert not [line for line in lines[:-1] if line["now_s"] > after_s + 0.05]


def test_a_pipeline_that_is_too_slow_is_behind(clip: Clip) -> None:
    """It takes 30 ms for an image of 20 ms; what waits is in the jitter buffer, and its age is told meanwhile."""
    ages_s: list[float] = []

    def note(frame: Frame) -> bool:
        ages_s.append(frame.stamp.age_s())
        return False

    with RtspCamera({"/cam": clip}) as camera:
        pipeline = rtsp(camera.url("/cam"), decoder="rtph264depay ! avdec_h264 ! identity sleep-time=30000")
        with source(pipeline) as reader, pytest.raises(SourceBehind, match="slower than the camera"):
            read_until(reader, note)
    assert 0.9 < max(ages_s) < 4


@pytest.mark.parametrize(
    ("codec", "decoder"), [("h264", "rtph264depay ! avdec_h264"), ("h265", "rtph265depay ! avdec_h265")]
)
def test_lost_packets_taint_exactly_the_wrong_images(codec: Any, decoder: str) -> None:
    """Until the next key frame, which is clean."""
    lossy = Clip.test_pattern(codec, 320, 240, 50, 2, 25)
    with RtspCamera({"/cam": lossy}) as camera:
        pipeline = rtsp(camera.url("/cam"), decoder=decoder)
        right: dict[int | None, Any] = {}

        def is_complete(frame: Frame) -> bool:
            right[read_number(frame.image)] = frame.image
            return len(right) == len(lossy)

        with source(pipeline) as reader:
            read_until(reader, is_complete)

        def lose(frame: Frame) -> bool:
            if frame.seq in (8, 60, 110):
                camera.lose(1)
            return frame.seq >= 160

        with source(pipeline) as reader:
            frames = read_until(reader, lose)
        assert len(camera.damaged) == 3
    wrong = [frame.seq for frame in frames if not same(frame, right)]
    tainted = [frame.seq for frame in frames if frame.integrity == "tainted"]
    assert wrong
    assert set(wrong) <= set(tainted)
    assert len(tainted) <= 3 * 25


def same(frame: Frame, right: dict[int | None, Any]) -> bool:
    number = read_number(frame.image)
    return number in right and np.array_equal(frame.image, right[number])


def test_a_password_is_accepted_or_denied(clip: Clip) -> None:
    """A wrong one is AccessDenied, which is not tried again soon; no message has it."""
    with RtspCamera({"/cam": clip}, user="operator", password=SECRET) as camera:
        url = camera.url("/cam")
        assert read(rtsp(url, f"user-id=operator user-pw={SECRET}"), 3)
        assert read(rtsp(camera.url("/cam", credentials=True)), 3)
        for pipeline in (
            rtsp(url, "user-id=operator user-pw=wr0ng-one"),
            rtsp(url.replace("//", "//operator:wr0ng-one@")),
            rtsp(url),
        ):
            with pytest.raises(AccessDenied) as denied, source(pipeline) as reader:
                read_until(reader, lambda frame: True)
            said = f"{denied.value} {reader.log_lines} {reader.describe()}"
            assert "wr0ng" not in said
            assert "401" in said


def test_a_wrong_path_is_not_a_password_error(clip: Clip) -> None:
    with RtspCamera({"/cam": clip}) as camera, pytest.raises(SourceError, match="404") as error:
        read(rtsp(camera.url("/other")), 1)
    assert not isinstance(error.value, AccessDenied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        ("nvarguscamerasrc", "nvidia-l4t-gstreamer"),
        ("nosuchsrc ! videoconvert", 'no element "nosuchsrc"'),
        (f"{PATTERN} nosuch=1", 'no property "nosuch"'),
        (f"{PATTERN} ! ! videoconvert", "syntax error"),
        (f"{PATTERN} ! fakesink", "leave out the sink"),
        (f"{PATTERN} pattern=blue-moon", "gst-inspect-1.0"),
        ("audiotestsrc", "end in raw video"),
        ("rtspsrc user-pw=hunter22 nosuch=1", "no property"),
    ],
)
def test_a_description_that_cannot_be_is_a_settings_error(pipeline: str, says: str) -> None:
    """Before anything runs, with the camera's name and without secrets."""
    with pytest.raises(SettingsError) as error:
        check_connections([GstreamerCamera(source="gstreamer", name="front", pipeline=pipeline)])
    assert says in str(error.value)
    assert 'camera "front"' in str(error.value)
    assert "hunter" not in str(error.value)


def test_an_appsink_of_ones_own_must_give_bgr() -> None:
    assert read(f"{PATTERN} ! videoconvert ! video/x-raw,format=BGR ! appsink name=mine", 2)
    with pytest.raises(SourceError, match="format I420"):
        read(f"{PATTERN} ! video/x-raw,format=I420 ! appsink", 1)


def test_a_source_can_be_opened_again_and_leaves_no_file_open(clip: Clip) -> None:
    counts: list[int] = []
    with RtspCamera({"/cam": clip}) as camera:
        reader = source(rtsp(camera.url("/cam")))
        for _ in range(8):
            with reader:
                assert read_until(reader, lambda frame: True)[0].seq == 0
            counts.append(len(os.listdir("/proc/self/fd")))
    assert max(counts[2:]) <= counts[1] + 2  # connections that the camera has not closed yet


def test_the_end_of_a_stream_is_an_error() -> None:
    with pytest.raises(SourceError, match="ended"):
        read(f"{PATTERN} num-buffers=5", 100)


def test_an_element_that_fails_is_named() -> None:
    with pytest.raises(SourceError, match="v4l2src0: Cannot identify device '/dev/video77'"):
        read("v4l2src device=/dev/video77", 1)


def test_a_stall_is_noticed_and_closing_is_quick(clip: Clip) -> None:
    def stall(frame: Frame) -> bool:
        if frame.seq == 5:
            camera.stall()
        return False

    with RtspCamera({"/cam": clip}) as camera:
        with source(rtsp(camera.url("/cam"))) as reader:
            with pytest.raises(SourceStalled, match="no image for 1 s"):
                read_until(reader, stall)
            began_s = monotonic()
        assert monotonic() - began_s < 2


def test_stopping_does_not_wait_for_a_mute_camera(clip: Clip) -> None:
    with RtspCamera({"/cam": clip}) as camera:
        camera.mute()
        stopping = threading.Event()
        threading.Timer(0.3, stopping.set).start()
        began_s = monotonic()
        with source(rtsp(camera.url("/cam"))) as reader:
            assert list(reader.frames(stopping)) == []
        assert monotonic() - began_s < 2 + 0.3


def test_an_element_that_hangs_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """It holds its thread for 3 s; closing takes 1.5 s and says so."""
    stopping = threading.Event()
    threading.Timer(0.3, stopping.set).start()
    with source(f"{PATTERN} ! identity sleep-time=3000000") as reader:
        assert list(reader.frames(stopping)) == []
        began_s = monotonic()
    assert monotonic() - began_s < 2
    assert "does not stop" in caplog.text


def test_a_slow_reader_gets_the_newest_image_and_a_count() -> None:
    items: list[Frame | Dropped] = []
    stopping = threading.Event()
    with source(PATTERN) as reader:
        for item in reader.frames(stopping):
            items.append(item)
            if isinstance(item, Frame):
                threading.Event().wait(0.3)  # as a slow stage would
                if item.seq > 30:
                    stopping.set()
    seqs = [each.seq for item in items for each in item.frames]
    assert seqs == list(range(len(seqs)))
    assert {item.reason for item in items if isinstance(item, Dropped)} == {"behind"}
    frames = [item for item in items if isinstance(item, Frame)]
    assert len(frames) < len(items) / 2


def test_a_camera_that_is_cut_comes_back(clip: Clip) -> None:
    """Through Reconnecting, with numbers that go on."""
    health, stopping = Health("rig"), threading.Event()
    with RtspCamera({"/cam": clip}) as camera:
        pipeline = rtsp(camera.url("/cam"))
        seqs: list[int] = []
        with Reconnecting(lambda: source(pipeline), health, rng=Random(1)) as live:
            for item in live.frames(stopping):
                seqs += [each.seq for each in item.frames]
                if len(seqs) == 5:
                    camera.cut("rst")
                if health.snapshot().reconnects and isinstance(item, Frame):
                    stopping.set()
    assert seqs == sorted(set(seqs))
    assert health.snapshot().reconnects == 1


def test_srt_is_read(sender: Callable[[str], None]) -> None:
    """FFmpeg's build here has no SRT."""
    tail = "tsdemux ! h264parse ! avdec_h264"
    url = f"srt://127.0.0.1:{free_port()}"
    sender(f'{ENCODED} ! srtsink uri="{url}?mode=listener" wait-for-connection=false passphrase=topsecret123')
    frames = read(f"srtsrc uri={url} latency=50 passphrase=topsecret123 ! {tail}", 5, stall_s=5)
    assert {frame.size for frame in frames} == {Size(240, 320)}
    with pytest.raises(SourceError, match="passphrase") as error:
        read(f'srtsrc uri="{url}?passphrase=wrongpass99" ! {tail}', 1)
    assert "wrongpass" not in str(error.value)


def test_stopping_srt_while_it_connects_does_not_crash() -> None:
    """libsrt throws a C++ exception then, which needs one stack unwinder for the whole process."""
    pipeline = f"srtsrc uri=srt://127.0.0.1:{free_port()} ! tsdemux ! h264parse ! avdec_h264"
    program = (
        "import threading, numpy\n"
        "from tests.rigs.test_gst_source_rig import source\n"
        "stopping = threading.Event()\n"
        "threading.Timer(0.5, stopping.set).start()\n"
        f"with source({pipeline!r}) as reader:\n"
        "    assert not list(reader.frames(stopping))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif(bool(vivid.missing()), reason=vivid.missing())
def test_v4l2src_reads_a_webcam_with_the_drivers_times(tmp_path: Path) -> None:
    """In the virtual machine of the webcam rig, on the kernel's vivid driver."""
    pipeline = "v4l2src device=/dev/video0 ! video/x-raw,width=640,height=360"
    python = ["env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", sys.executable]
    program = [*python, "-m", "tests.rigs.gst_reader_program", pipeline, "20", "/mnt/lines.json"]
    ran = vivid.run_beside_camera(program, tmp_path)
    assert ran.status == 0, ran.console[-3000:]
    lines = [json.loads(line) for line in (tmp_path / "lines.json").read_text().splitlines()]
    assert lines[-1] == {"end": True}
    frames = lines[:-1]
    assert len(frames) == 20
    assert {(line["size"], line["integrity"], line["stamp"]) for line in frames} == {("640x360", "clean", "device")}
    assert all(0 <= line["age_s"] < 5 for line in frames)
    assert min(line["mean"] for line in frames) > 50
