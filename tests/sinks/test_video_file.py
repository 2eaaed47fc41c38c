"""Real files, read back: count, size, time and colour; and the remains after a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from stream.errors import SinkError
from stream.settings import RecordSettings
from stream.sinks.video_file import Recorder


def recorder(path: Path, **settings: object) -> Recorder:
    return Recorder(RecordSettings(path=str(path), **settings))


def read(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_recording_reads_back_as_it_was_written(tmp_path: Path, make_view) -> None:
    """Count, size, times and an ordinary mp4 that declares its frames; the folder is made."""
    path = tmp_path / "new" / "out.mp4"
    with recorder(path) as sink:
        for seq in range(60):
            sink.write(make_view(seq, media_s=seq / 25))
        assert files(tmp_path) == ["out.part.mp4"]
    assert files(tmp_path) == ["out.mp4"]
    frames = read(path)
    assert [frame.time for frame in frames] == pytest.approx([seq / 25 for seq in range(60)])
    assert {(frame.height, frame.width, frame.format.name) for frame in frames} == {(48, 64, "yuv420p")}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.codec_context.name) == (60, "h264")
        assert stream.average_rate == pytest.approx(25, rel=0.02)
    assert b"moof" not in path.read_bytes()[:64]


@pytest.mark.parametrize("size", [(48, 64), (480, 640), (720, 1280)])
def test_colours_come_back_whatever_the_size(tmp_path: Path, make_view, size: tuple[int, int]) -> None:
    """Tagged BT.709 limited range, and converted to it."""
    path = tmp_path / "out.mp4"
    with recorder(path, crf=5) as sink:
        for seq in range(3):
            sink.write(make_view(seq, size, colour=(10, 200, 60), media_s=seq / 25))
    frame = read(path)[1]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    np.testing.assert_allclose(frame.to_ndarray(format="bgr24")[10, 10], (10, 200, 60), atol=4)


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (9, 9)])
def test_odd_sides_are_padded_by_their_edge(tmp_path: Path, make_view, size: tuple[int, int]) -> None:
    """yuv420p needs even sides; no black line appears."""
    path = tmp_path / "odd.mp4"
    with recorder(path, crf=5) as sink:
        sink.write(make_view(0, size, media_s=0.0))
    (frame,) = read(path)
    assert (frame.height, frame.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    np.testing.assert_allclose(frame.to_ndarray(format="bgr24")[-1, -1], (40, 90, 200), atol=6)


def test_source_time_stamps_keep_the_gaps(tmp_path: Path, make_view) -> None:
    """A dropped frame leaves a gap; the first frame starts at 0."""
    path = tmp_path / "out.mp4"
    times = [7.0, 7.1, 7.5, 7.6, 9.0]
    with recorder(path) as sink:
        for seq, media_s in enumerate(times):
            sink.write(make_view(seq, media_s=media_s))
    assert [frame.time for frame in read(path)] == pytest.approx([time - 7.0 for time in times], abs=1e-4)


def test_the_monotonic_clock_serves_where_there_is_no_media_time(tmp_path: Path, make_view) -> None:
    """A webcam."""
    path = tmp_path / "out.mp4"
    with recorder(path) as sink:
        for seq in range(5):
            sink.write(make_view(seq, mono_ns=10**12 + seq * 50_000_000))
    assert [frame.time for frame in read(path)] == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2], abs=1e-4)


def test_time_stamps_always_rise(tmp_path: Path, make_view) -> None:
    """Equal or falling times become the next tick: an mp4 takes no others."""
    path = tmp_path / "out.mp4"
    with recorder(path) as sink:
        for seq, media_s in enumerate([0.0, 0.0, 1.0, 0.5, 1.00002]):
            sink.write(make_view(seq, media_s=media_s))
    times = [frame.pts for frame in read(path)]
    assert len(times) == 5
    assert times == sorted(set(times))


def test_constant_time_stamps_are_even(tmp_path: Path, make_view) -> None:
    """Whatever the frames' own times."""
    path = tmp_path / "out.mp4"
    with recorder(path, time_stamps="constant", fps=12.5) as sink:
        for seq in range(20):
            sink.write(make_view(seq, media_s=seq**2 / 10))
    assert [frame.time for frame in read(path)] == pytest.approx([seq * 0.08 for seq in range(20)], abs=1e-4)


def test_each_camera_has_its_file(tmp_path: Path, make_view) -> None:
    """{camera} in the path, also where a name has a slash."""
    with recorder(tmp_path / "{camera}-depth.mp4") as sink:
        for seq in range(6):
            sink.write(make_view(seq, camera="left", media_s=seq / 25))
            sink.write(make_view(seq, (96, 128), camera="yard/2", media_s=seq / 25))
    assert files(tmp_path) == ["left-depth.mp4", "yard_2-depth.mp4"]
    assert [len(read(tmp_path / name)) for name in files(tmp_path)] == [6, 6]


def test_a_second_camera_needs_a_placeholder(tmp_path: Path, make_view) -> None:
    """The frames of the first one are kept."""
    with recorder(tmp_path / "out.mp4") as sink:
        sink.write(make_view(0, camera="left", media_s=0.0))
        with pytest.raises(SinkError, match=r'"left" and "right" would share one file; put \{camera\} into the path'):
            sink.write(make_view(0, camera="right", media_s=0.0))
    assert len(read(tmp_path / "out.mp4")) == 1


def test_a_released_camera_has_a_finished_file_and_gets_another_one(tmp_path: Path, make_view) -> None:
    """Also of images of another size; the other camera's file goes on, and nothing is overwritten."""
    with recorder(tmp_path / "{camera}.mp4") as sink:
        for seq in range(3):
            sink.write(make_view(seq, camera="left", media_s=seq / 25))
            sink.write(make_view(seq, camera="right", media_s=seq / 25))
        sink.release("left")
        assert files(tmp_path) == ["left.mp4", "right.part.mp4"]
        for seq in range(2):
            sink.write(make_view(seq, (96, 128), camera="left", media_s=seq / 25))
        sink.release("left")
        sink.release("left")
        sink.write(make_view(9, camera="left", media_s=0.0))
        sink.write(make_view(3, camera="right", media_s=3 / 25))
    lengths = {name: len(read(tmp_path / name)) for name in files(tmp_path)}
    assert lengths == {"left.mp4": 3, "left-2.mp4": 2, "left-3.mp4": 1, "right.mp4": 4}


def test_nothing_written_leaves_no_file(tmp_path: Path) -> None:
    """Not even an empty one."""
    with recorder(tmp_path / "out.mp4"):
        pass
    assert files(tmp_path) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_an_interrupted_recording_is_whole(tmp_path: Path, make_view, interruption: type[BaseException]) -> None:
    """Ctrl-C or an error elsewhere: what was written plays under its final name."""

    def record_and_fail() -> None:
        with recorder(tmp_path / "out.mp4") as sink:
            for seq in range(10):
                sink.write(make_view(seq, media_s=seq / 25))
            raise interruption

    with pytest.raises(interruption):
        record_and_fail()
    assert len(read(tmp_path / "out.mp4")) == 10
    assert files(tmp_path) == ["out.mp4"]


def test_a_size_that_changes_ends_the_file_with_an_error(tmp_path: Path, make_view) -> None:
    """The frames before are finalised at once; further ones are refused."""
    with recorder(tmp_path / "out.mp4") as sink:
        for seq in range(12):
            sink.write(make_view(seq, (48, 64), media_s=seq / 25))
        with pytest.raises(SinkError, match="size changed from 64x48 to 32x24 at frame 12: an mp4 has one size"):
            sink.write(make_view(12, (24, 32), media_s=12 / 25))
        assert len(read(tmp_path / "out.mp4")) == 12
        with pytest.raises(SinkError, match="already ended"):
            sink.write(make_view(13, (48, 64), media_s=13 / 25))


def test_an_existing_file_is_replaced_only_at_the_end(tmp_path: Path, make_view) -> None:
    """Until then the old one stays."""
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with recorder(path) as sink:
        sink.write(make_view(0, media_s=0.0))
        assert path.read_bytes() == b"old"
    assert len(read(path)) == 1


def test_metadata_is_in_the_file(tmp_path: Path, make_view) -> None:
    """Known tags and our own."""
    settings = RecordSettings(path=str(tmp_path / "out.mp4"))
    with Recorder(settings, metadata={"title": "yard", "depth_weights": "random"}) as sink:
        sink.write(make_view(0, media_s=0.0))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "yard"
        assert container.metadata["depth_weights"] == "random"


def test_a_path_below_a_file_is_refused(tmp_path: Path, make_view) -> None:
    """One line with path and reason."""
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(SinkError, match=r"^[^\n]*file/out.mp4: cannot be written: [^\n]*choose a folder"),
        recorder(tmp_path / "file" / "out.mp4") as sink,
    ):
        sink.write(make_view(0, media_s=0.0))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path, make_view) -> None:
    """Permission denied."""
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="Permission denied"), recorder(tmp_path / "out.mp4") as sink:
        sink.write(make_view(0, media_s=0.0))


FULL_DISK = textwrap.dedent("""
    import resource, signal, sys
    import numpy as np
    from stream.core.clock import Stamp
    from stream.errors import SinkError
    from stream.frames import DepthMap, Frame, View
    from stream.settings import RecordSettings
    from stream.sinks.video_file import Recorder

    path, limit = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    rng, depth = np.random.default_rng(0), np.zeros((96, 128), np.float32)
    try:
        with Recorder(RecordSettings(path=path, crf=10, preset="ultrafast", fps=5.0)) as sink:
            for seq in range(80):
                frame = Frame(rng.integers(0, 255, (96, 128, 3), np.uint8), "cam0", seq, Stamp(0, 0, "file", seq / 5))
                sink.write(View(frame.image, DepthMap(depth, "relative", frame, "tiny"), 0.0, 1.0))
    except SinkError as error:
        print(error)
""")


def record_until_full(path: Path, limit: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(limit)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("limit", [400_000, 700_000])
def test_a_full_disk_leaves_a_playable_part(tmp_path: Path, limit: int) -> None:
    """One line that names it; the final name does not appear."""
    words = record_until_full(tmp_path / "out.mp4", limit)
    part = tmp_path / "out.part.mp4"
    assert "out.mp4: cannot be written: File too large; what was recorded before can be played:" in words
    assert "free some space" in words
    assert "\n" not in words
    assert str(part) in words
    assert files(tmp_path) == ["out.part.mp4"]
    with av.open(str(part)) as container:
        assert next(container.decode(video=0)).width == 128


@pytest.mark.slow
def test_a_disk_too_full_for_the_index_alone_keeps_every_frame(tmp_path: Path) -> None:
    """Only the last step fails: all frames play from the part."""
    assert record_until_full(tmp_path / "whole.mp4", 100_000_000) == ""
    size = (tmp_path / "whole.mp4").stat().st_size
    words = record_until_full(tmp_path / "out.mp4", size - 300)
    assert "can be played" in words
    assert len(read(tmp_path / "out.part.mp4")) == 80


def test_a_disk_full_from_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Nothing could be played, so nothing is kept."""
    words = record_until_full(tmp_path / "out.mp4", 200)
    assert "nothing of it is left" in words
    assert files(tmp_path) == []


def test_a_killed_recording_can_be_played(tmp_path: Path) -> None:
    """SIGKILL in the middle: the part holds all but the last seconds."""
    kill = FULL_DISK.replace(
        "        sink.write(", "        import os; seq < 70 or os.kill(os.getpid(), 9); sink.write("
    )
    assert kill != FULL_DISK
    done = subprocess.run(
        [sys.executable, "-c", kill, str(tmp_path / "out.mp4"), "100000000"],
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert done.returncode == -9
    with av.open(str(tmp_path / "out.part.mp4")) as container:
        decoded = sum(len(packet.decode()) for packet in islice(container.demux(video=0), 45))
    assert decoded >= 40
