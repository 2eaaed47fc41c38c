"""Recordings read back by other readers (mcap with mcap-ros2-support, rosbags), and the remains after a crash."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from stream.core.clock import Stamp
from stream.errors import MissingPackage, SinkError
from stream.frames import DepthMap, Frame, Intrinsics, Size
from stream.settings import McapSettings
from stream.sinks.mcap.recorder import McapRecorder

START_NS = 1_700_000_000_123_456_789
PERIOD_NS = 40_000_001
OPTICS = Intrinsics(60.0, 61.0, 31.5, 23.5, Size(48, 64))
DTYPES = {"32FC1": "<f4", "16UC1": "<u2"}


def depth_of(seq: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Metres with everything that depth may hold."""
    depth = np.random.default_rng(seq).uniform(0.3, 80.0, size).astype(np.float32)
    depth[0, :5] = [np.nan, np.inf, -np.inf, 0.0, -2.0]
    return depth


def depth_map(seq: int, camera: str = "front", intrinsics: Intrinsics | None = OPTICS, **changes: Any) -> DepthMap:
    depth = depth_of(seq, changes.pop("size", (48, 64)))
    image = np.zeros((48, 64, 3), np.uint8)
    frame = Frame(image, camera, seq, Stamp(seq * PERIOD_NS, START_NS + seq * PERIOD_NS, "rtcp"), intrinsics)
    return DepthMap(depth, changes.pop("kind", "metric"), frame, "metric3d-tiny", **changes)


def recorder(path: Path, **settings: Any) -> McapRecorder:
    return McapRecorder(McapSettings(path=str(path), **settings))


def record(path: Path, *maps: DepthMap, **settings: Any) -> None:
    with recorder(path, **settings) as sink:
        for item in maps:
            sink.write(item)


def read(path: Path, topic: str | None = None) -> list[tuple[str, Message, Any]]:
    """(topic, record, decoded message) by mcap's reader and mcap-ros2-support's decoder."""
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        return [(found[1].topic, found[2], found[3]) for found in reader.iter_decoded_messages(topic)]


def pixels(message: Any) -> np.ndarray:
    return np.frombuffer(bytes(message.data), DTYPES[message.encoding]).reshape(message.height, message.width)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_an_independent_reader_gets_what_was_written(tmp_path: Path, encoding: str, compression: str) -> None:
    """Topics, times, frame ids and every pixel."""
    path = tmp_path / "new" / "out.mcap"
    with recorder(path, encoding=encoding, compression=compression) as sink:
        for seq in range(7):
            sink.write(depth_map(seq))
        assert files(tmp_path) == ["out.part.mcap"]
    assert files(tmp_path) == ["out.mcap"]
    found = read(path, "/front/depth/image_rect_raw")
    assert len(found) == 7
    for seq, (_, written, image) in enumerate(found):
        time_ns = START_NS + seq * PERIOD_NS
        assert (written.log_time, written.publish_time, written.sequence) == (time_ns, time_ns, seq)
        assert (image.header.stamp.sec * 10**9 + image.header.stamp.nanosec) == time_ns
        assert (image.header.frame_id, image.encoding, image.is_bigendian) == ("front_optical_frame", encoding, 0)
        assert image.step == 64 * pixels(image).itemsize
        assert_same_depth(image, depth_of(seq))


def assert_same_depth(image: Any, depth: np.ndarray) -> None:
    """Stated apart from our own conversion: metres to the bit, millimetres to half a step (and float32's rounding)."""
    found, special = pixels(image), np.zeros(depth.shape, bool)
    special[0, :5] = True
    if image.encoding == "32FC1":
        np.testing.assert_array_equal(found[~special], depth[~special])
        np.testing.assert_array_equal(found[special], [np.nan, np.inf, -np.inf, np.nan, np.nan])
        return
    far = depth > 65.535
    assert 0.1 < far.mean() < 0.9
    assert (found[special | far] == 0).all()
    np.testing.assert_allclose(found[~(special | far)], 1000.0 * depth[~(special | far)], rtol=0, atol=0.505)


def test_camera_info_goes_with_every_image(tmp_path: Path) -> None:
    """The same stamp and frame id, the published size, its intrinsics: also where depth is smaller than the image."""
    path = tmp_path / "out.mcap"
    record(path, *(depth_map(seq, size=(24, 32)) for seq in range(3)))
    images, infos = (read(path, f"/front/depth/{name}") for name in ("image_rect_raw", "camera_info"))
    assert len(infos) == 3
    for (_, written, image), (_, beside, info) in zip(images, infos, strict=True):
        assert (info.header.stamp.sec, info.header.stamp.nanosec) == (
            image.header.stamp.sec,
            image.header.stamp.nanosec,
        )
        assert (info.header.frame_id, beside.log_time) == (image.header.frame_id, written.log_time)
        assert (info.height, info.width) == (image.height, image.width) == (24, 32)
        assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)
        assert list(info.k) == [30.0, 0.0, 15.5, 0.0, 30.5, 11.5, 0.0, 0.0, 1.0]
        assert list(info.p) == [30.0, 0.0, 15.5, 0.0, 0.0, 30.5, 11.5, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_rosbags_reads_it_too(tmp_path: Path) -> None:
    """With the message definitions in the file, not its own."""
    path = tmp_path / "out.mcap"
    record(path, *(depth_map(seq) for seq in range(4)))
    with AnyReader([path]) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == {
            "/front/depth/image_rect_raw": "sensor_msgs/msg/Image",
            "/front/depth/camera_info": "sensor_msgs/msg/CameraInfo",
        }
        images = [c for c in reader.connections if c.msgtype.endswith("Image")]
        messages = [(time, reader.deserialize(raw, c.msgtype)) for c, time, raw in reader.messages(images)]
    assert [time for time, _ in messages] == [START_NS + seq * PERIOD_NS for seq in range(4)]
    for seq, (_, image) in enumerate(messages):
        assert_same_depth(image, depth_of(seq))


def test_the_file_names_the_program_and_the_model(tmp_path: Path) -> None:
    """One metadata record a camera, found by its index; profile ros2."""
    path = tmp_path / "out.mcap"
    record(path, depth_map(0), depth_map(0, "rear", weights="random"), depth_map(1))
    with path.open("rb") as file:
        reader = make_reader(file)
        header, records = reader.get_header(), list(reader.iter_metadata())
    assert header.profile == "ros2"
    assert header.library.startswith("depthstream ")
    assert [found.name for found in records] == ["depthstream"] * 2
    front, rear = (found.metadata for found in records)
    assert (front["camera"], front["model"], front["weights"]) == ("front", "metric3d-tiny", "trained")
    assert (rear["camera"], rear["unit"], rear["weights"]) == ("rear", "m", "random")
    assert front["depthstream"] == header.library.split()[-1]


def test_cameras_share_a_file_or_have_their_own(tmp_path: Path) -> None:
    """{camera} in the path, also where a name has a slash."""
    maps = [depth_map(seq, camera) for seq in range(3) for camera in ("left", "yard/2")]
    record(tmp_path / "all.mcap", *maps)
    record(tmp_path / "{camera}-depth.mcap", *maps)
    assert files(tmp_path) == ["all.mcap", "left-depth.mcap", "yard_2-depth.mcap"]
    topics = [topic for topic, _, _ in read(tmp_path / "all.mcap")]
    for camera in ("left", "yard_2"):
        assert topics.count(f"/{camera}/depth/image_rect_raw") == 3
        assert {topic.split("/")[1] for topic, _, _ in read(tmp_path / f"{camera}-depth.mcap")} == {camera}
    assert read(tmp_path / "all.mcap", "/yard_2/depth/image_rect_raw")[0][2].header.frame_id == "yard/2_optical_frame"


def test_cameras_whose_topics_would_be_one_are_refused(tmp_path: Path) -> None:
    """The frames of the first one are kept."""
    with recorder(tmp_path / "out.mcap") as sink:
        sink.write(depth_map(0, "cam-1"))
        with pytest.raises(SinkError, match=r'"cam-1" and "cam_1" would share /cam_1/depth/[^\n]*rename one$'):
            sink.write(depth_map(0, "cam_1"))
        sink.write(depth_map(1, "cam-1"))
    assert len(read(tmp_path / "out.mcap", "/cam_1/depth/image_rect_raw")) == 2


def test_a_released_camera_has_a_finished_file_and_gets_another_one(tmp_path: Path) -> None:
    """Where each camera has its own; a file of all cameras goes on, and another camera may have the topics."""
    with recorder(tmp_path / "{camera}.mcap") as own, recorder(tmp_path / "all.mcap") as shared:
        for sink in (own, shared):
            sink.write(depth_map(0, "cam-1"))
            sink.release("cam-1")
        assert files(tmp_path) == ["all.part.mcap", "cam-1.mcap"]
        own.write(depth_map(1, "cam-1"))
        shared.write(depth_map(1, "cam_1"))
    assert files(tmp_path) == ["all.mcap", "cam-1-2.mcap", "cam-1.mcap"]
    assert [len(read(tmp_path / name, "/cam_1/depth/image_rect_raw")) for name in files(tmp_path)] == [2, 1, 1]


def test_without_intrinsics_there_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Images only: invented numbers would be taken for a calibration."""
    with caplog.at_level(logging.WARNING, "stream"):
        record(tmp_path / "out.mcap", *(depth_map(seq, intrinsics=None) for seq in range(5)))
    assert {topic for topic, _, _ in read(tmp_path / "out.mcap")} == {"/front/depth/image_rect_raw"}
    assert [r.getMessage().partition(": ")[2] for r in caplog.records] == [
        'camera "front" has no intrinsics: recording no camera_info'
    ]


@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
def test_relative_depth_is_refused(tmp_path: Path, kind: Any) -> None:
    """By the model's name, with what to do; no file appears."""
    with recorder(tmp_path / "out.mcap") as sink, pytest.raises(SinkError) as refused:
        sink.write(depth_map(0, kind=kind))
    assert f'"metric3d-tiny" gives {kind} depth' in str(refused.value)
    assert "record with a metric model" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert files(tmp_path) == []


def test_a_clock_that_ros_cannot_say_is_refused(tmp_path: Path) -> None:
    """A SinkError as for everything that cannot be written; the recording goes on."""
    late = depth_map(0)
    frame = Frame(late.frame.image, "front", 0, Stamp(0, 2**31 * 10**9), OPTICS)
    with recorder(tmp_path / "out.mcap") as sink:
        with pytest.raises(SinkError, match="does not fit into a ROS time"):
            sink.write(DepthMap(late.depth, "metric", frame, "m"))
        sink.write(depth_map(1))
    assert len(read(tmp_path / "out.mcap")) == 2


def test_nothing_written_leaves_no_file(tmp_path: Path) -> None:
    """Not even an empty one."""
    record(tmp_path / "out.mcap")
    assert files(tmp_path) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_an_interrupted_recording_is_whole(tmp_path: Path, interruption: type[BaseException]) -> None:
    """Ctrl-C or an error elsewhere: what was written is there under its final name."""

    def record_and_fail() -> None:
        with recorder(tmp_path / "out.mcap") as sink:
            for seq in range(10):
                sink.write(depth_map(seq))
            raise interruption

    with pytest.raises(interruption):
        record_and_fail()
    assert len(read(tmp_path / "out.mcap", "/front/depth/image_rect_raw")) == 10
    assert files(tmp_path) == ["out.mcap"]


def test_an_existing_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    """Until then the old one stays."""
    path = tmp_path / "out.mcap"
    path.write_bytes(b"old")
    with recorder(path) as sink:
        sink.write(depth_map(0))
        assert path.read_bytes() == b"old"
    assert len(read(path)) == 2


@pytest.mark.parametrize("name", ["out.mcap", "{camera}.mcap", "{camera}/out.mcap"])
def test_a_path_below_a_file_is_refused_before_the_first_frame(tmp_path: Path, name: str) -> None:
    """One line with path and reason."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SinkError, match=r"^[^\n]*file/[^\n]*cannot be written: [^\n]*choose a folder[^\n]*$"):
        recorder(tmp_path / "file" / name).__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    """Permission denied."""
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="Permission denied"):
        recorder(tmp_path / "out.mcap").__enter__()


def test_a_folder_of_that_name_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    """At the end it would be too late."""
    (tmp_path / "out.mcap").mkdir()
    with pytest.raises(SinkError, match=r"out\.mcap: cannot be written: Is a directory"):
        recorder(tmp_path / "out.mcap").__enter__()


def test_a_missing_package_is_named_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package to install."""
    monkeypatch.setitem(sys.modules, "mcap", None)
    with pytest.raises(MissingPackage, match=r'recording MCAP needs the mcap package: pip install "mcap>=1\.5,<2"'):
        recorder(tmp_path / "out.mcap")


PROGRAM = textwrap.dedent("""
    import os, resource, signal, sys
    from itertools import count
    import numpy as np
    from stream.core.clock import Stamp
    from stream.errors import SinkError
    from stream.frames import DepthMap, Frame
    from stream.settings import McapSettings
    from stream.sinks.mcap.recorder import McapRecorder

    path, limit, kill_after, tick_ns = sys.argv[1], *map(int, sys.argv[2:])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ticks, image = count(0, tick_ns), np.zeros((96, 128, 3), np.uint8)
    try:
        with McapRecorder(McapSettings(path=path, compression="none"), now_ns=lambda: next(ticks)) as sink:
            for seq in range(80):
                if seq == kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)
                depth = np.full((96, 128), 1 + seq, np.float32)
                sink.write(DepthMap(depth, "metric", Frame(image, "cam0", seq, Stamp(0, seq * 10**8)), "tiny"))
    except SinkError as error:
        print(error)
""")
DEPTH_BYTES, CHUNK_BYTES = 96 * 128 * 4, 2**20
NEVER, UNLIMITED, STANDING, SECONDS = 99, 10**8, 0, 10**9


def run_program(path: Path, limit: int = UNLIMITED, kill_after: int = NEVER, tick_ns: int = STANDING) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(limit), str(kill_after), str(tick_ns)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if kill_after == NEVER else -9), done.stderr
    return done.stdout.strip()


def recovered(path: Path) -> Iterator[Any]:
    """Every depth message up to where the file breaks off, CRCs checked: what ``mcap recover`` copies."""
    decode: Any = None
    with path.open("rb") as file:
        try:
            for record in StreamReader(file, validate_crcs=True).records:
                if type(record).__name__ == "Schema":
                    decode = DecoderFactory().decoder_for("cdr", record)
                if isinstance(record, Message):
                    yield decode(record.data)
        except EndOfFile:
            return


def assert_whole(found: list[Any]) -> None:
    """From the first on, none left out, none damaged."""
    for seq, image in enumerate(found):
        assert (pixels(image) == 1 + seq).all()
        assert image.header.stamp.sec * 10 + image.header.stamp.nanosec // 10**8 == seq


def test_a_killed_recording_lost_no_more_than_a_chunk(tmp_path: Path) -> None:
    """SIGKILL after 70 depth maps, clock standing still: what 1 MiB holds is missing at most."""
    run_program(tmp_path / "out.mcap", kill_after=70)
    assert files(tmp_path) == ["out.part.mcap"]
    found = list(recovered(tmp_path / "out.part.mcap"))
    assert 70 - CHUNK_BYTES // DEPTH_BYTES - 1 <= len(found) <= 70
    assert_whole(found)


@pytest.mark.slow
def test_a_killed_recording_lost_no_more_than_a_second(tmp_path: Path) -> None:
    """A second and more between frames: not one is missing."""
    run_program(tmp_path / "out.mcap", kill_after=5, tick_ns=SECONDS)
    found = list(recovered(tmp_path / "out.part.mcap"))
    assert len(found) == 5
    assert_whole(found)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1_500_000, 2_500_000])
def test_a_full_disk_leaves_whole_chunks(tmp_path: Path, limit: int) -> None:
    """One line that says where and what to do; the final name does not appear, half a chunk is cut off."""
    words = run_program(tmp_path / "out.mcap", limit)
    part = tmp_path / "out.part.mcap"
    assert words.startswith(f"{tmp_path}/out.mcap: cannot be written: File too large; what was recorded before is in")
    assert str(part) in words
    assert "mcap recover" in words
    assert "free some space" in words
    assert "\n" not in words
    assert files(tmp_path) == ["out.part.mcap"]
    found = list(recovered(part))
    assert len(found) * DEPTH_BYTES > limit - CHUNK_BYTES - 2 * DEPTH_BYTES
    assert part.stat().st_size < len(found) * (DEPTH_BYTES + 200) + 2000
    assert_whole(found)


@pytest.mark.slow
def test_a_disk_full_from_the_start_leaves_nothing(tmp_path: Path) -> None:
    """No message would be in it, so nothing is kept."""
    assert "nothing of it is left" in run_program(tmp_path / "out.mcap", 20_000)
    assert files(tmp_path) == []
