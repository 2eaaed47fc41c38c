"""Video files: every frame, in order, upright, and an exact error for damaged files."""

from __future__ import annotations

import os
import threading
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from stream.errors import SourceError
from stream.frames import Frame, Size
from stream.settings import VideoCamera
from stream.sources.video import VideoSource

REGULAR = {"bf": "0", "g": "10", "keyint_min": "10", "sc_threshold": "0"}
"""x264 options for a key frame exactly every ten frames, and packets in the order of their frames."""


def open_source(path: Path | str, **settings: object) -> VideoSource:
    return VideoSource(VideoCamera(source="video", path=str(path), **settings))


def read(path: Path | str, **settings: object) -> list[Frame]:
    with open_source(path, **settings) as source:
        return list(source.frames(threading.Event()))


def read_until_error(path: Path) -> tuple[list[Frame], str]:
    """The frames before the error, and the text of the error."""
    frames: list[Frame] = []
    with open_source(path) as source, pytest.raises(SourceError) as caught:
        frames.extend(source.frames(threading.Event()))  # extend keeps what came before the error
    return frames, str(caught.value)


class Counting(threading.Event):
    """A ``stopping`` that records the requested waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits_s.append(timeout)
        return False


@pytest.mark.parametrize(("clip", "count", "size"), [("bikes.mp4", 250, (272, 640)), ("vtest.avi", 795, (576, 768))])
def test_a_real_clip_gives_all_of_its_frames(media: Path, clip: str, count: int, size: tuple[int, int]) -> None:
    """The clips are H.264 in MP4 and MPEG-4 in AVI, read from the first frame to the last."""
    frames = 0
    with open_source(media / clip) as source:
        assert (source.frame_count, source.size) == (count, Size(*size))
        for seq, frame in enumerate(source.frames(threading.Event())):
            assert (frame.seq, frame.size, frame.integrity) == (seq, Size(*size), "clean")
            frames += 1
    assert frames == count


def test_frames_are_bgr_read_only_and_stamped(write_clip) -> None:
    """Check the image, its time in the file, and the source of the stamp."""
    frames = read(write_clip("clip.mp4", frames=20), name="door")
    image = frames[10].image
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert not image.flags.writeable
    assert abs(int(image[40, 50, 0]) - 40) <= 6
    assert int(image[5, 5, 0]) >= 250
    assert [round(frame.stamp.media_s * 25, 6) for frame in frames] == list(range(20))
    assert {frame.stamp.source for frame in frames} == {"file"}
    assert {frame.camera for frame in frames} == {"door"}


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_phone_video_stands_upright(write_clip, rotation: int) -> None:
    """PyAV's rotation is in degrees counter-clockwise; the white corner goes where numpy's rot90 puts it."""
    plain = read(write_clip("plain.mp4", frames=3))[0].image
    with open_source(write_clip("turned.mp4", frames=3, rotation=rotation)) as source:
        turned = next(source.frames(threading.Event())).image
        assert source.size == Size(*turned.shape[:2])
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, np.rot90(plain, rotation // 90))


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda image: image.swapaxes(0, 1)[::-1, ::-1]),
    ],
    ids=["mirrored", "upside down", "transposed", "transversed"],
)
def test_mirrored_videos_are_mirrored_back(write_clip, matrix: tuple[int, ...], turn) -> None:
    """A front camera may write any of the eight matrices (a, b, c, d)."""
    a, b, c, d = (65536 * value for value in matrix)
    plain = read(write_clip("plain.mp4", frames=2))[0].image
    turned = read(write_clip("turned.mp4", frames=2, matrix=[a, b, 0, c, d, 0, 0, 0, 1 << 30]))[0].image
    np.testing.assert_array_equal(turned, turn(plain))


def test_pace_file_holds_the_files_time_line(write_clip) -> None:
    """At one frame a second, each frame but the first is waited for, and never beyond its time."""
    stopping = Counting()
    with open_source(write_clip("slow.mp4", frames=6, fps=1), pace="file") as source:
        assert len(list(source.frames(stopping))) == 6
    assert len(stopping.waits_s) == 5
    assert all(index - 1 < wait_s <= index for index, wait_s in enumerate(stopping.waits_s, start=1))


def test_pace_fast_never_waits(write_clip) -> None:
    """It reads as fast as it decodes."""
    stopping = Counting()
    with open_source(write_clip("clip.mp4", frames=6, fps=1)) as source:
        assert len(list(source.frames(stopping))) == 6
    assert stopping.waits_s == []


def test_a_loop_counts_on(write_clip) -> None:
    """In two and a half passes, numbers and times rise evenly."""
    with open_source(write_clip("clip.mp4", frames=4), loop=True) as source:
        frames = list(islice(source.frames(threading.Event()), 10))
    assert [frame.seq for frame in frames] == list(range(10))
    assert [frame.stamp.media_s for frame in frames] == pytest.approx([index / 25 for index in range(10)])
    np.testing.assert_array_equal(frames[9].image, frames[1].image)


def test_stopping_ends_an_endless_loop(write_clip) -> None:
    """After ``stopping`` no further frame comes, and no error."""
    stopping = threading.Event()
    with open_source(write_clip("clip.mp4", frames=4), loop=True) as source:
        frames = source.frames(stopping)
        for _ in range(6):
            next(frames)
        stopping.set()
        assert list(frames) == []


def test_frames_without_time_stamps_are_counted_by_rate(write_clip) -> None:
    """A raw H.264 stream has no time stamps at all."""
    frames = read(write_clip("raw.h264", frames=10, format="h264"))
    assert [frame.stamp.media_s for frame in frames] == pytest.approx([index / 25 for index in range(10)])


@pytest.mark.parametrize("suffix", ["h264", "ts"])
def test_the_size_may_change_midway(write_clip, tmp_path: Path, suffix: str) -> None:
    """Two streams in one file: the frame size changes, and time goes on although the second starts at 0 again."""
    names = {"h264": "h264", "ts": "mpegts"}
    small = write_clip(f"a.{suffix}", frames=10, format=names[suffix])
    large = write_clip(f"b.{suffix}", frames=10, format=names[suffix], size=(96, 128))
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames = read(both)
    assert [frame.size for frame in frames] == [Size(48, 64)] * 10 + [Size(96, 128)] * 10
    assert [frame.stamp.media_s for frame in frames] == pytest.approx([index / 25 for index in range(20)])


@pytest.mark.parametrize("codec", [{"bf": "0"}, REGULAR], ids=["samples hidden", "samples skipped"])
def test_an_edit_list_is_no_damage(write_clip, codec: dict[str, str]) -> None:
    """A phone trims a clip by hiding its first frames: fewer frames than samples are no error."""
    path = write_clip("cut.mp4", frames=30, first_pts=-12, codec=codec, container={"avoid_negative_ts": "disabled"})
    assert len(read(path)) == 18


def test_a_cut_off_mp4_says_so_after_its_good_frames(write_clip) -> None:
    """The index is at the front and the end is missing."""
    path = write_clip("cut.mp4", container={"movflags": "faststart"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 8 // 10])
    frames, words = read_until_error(path)
    assert 10 < len(frames) < 50
    assert f"cut.mp4: ends early: {len(frames)} of 50 frames could be read" in words
    assert "copy or record the file again" in words


def test_a_cut_off_avi_says_so(media: Path, tmp_path: Path) -> None:
    """The header declares 795 frames."""
    path = tmp_path / "half.avi"
    whole = (media / "vtest.avi").read_bytes()
    path.write_bytes(whole[: len(whole) // 4])
    frames, words = read_until_error(path)
    assert f"ends early: {len(frames)} of 795 frames could be read" in words


def test_a_cut_off_mkv_says_so_in_seconds(write_clip) -> None:
    """Matroska declares no frame count, so the error compares durations."""
    path = write_clip("cut.mkv", codec={"g": "5"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    frames, words = read_until_error(path)
    assert 5 < len(frames) < 40
    assert "of 2.00 s could be read" in words


def damage(path: Path, *packets: int) -> None:
    """Overwrite whole packets."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in (places[index] for index in packets):
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)


def test_damaged_packets_do_not_end_the_file(write_clip) -> None:
    """Three packets are lost, the other 47 frames are delivered, and the error counts the damage."""
    path = write_clip("hit.mp4", codec=REGULAR)
    damage(path, 15, 25, 35)
    frames, words = read_until_error(path)
    assert len(frames) == 47
    assert "hit.mp4: 3 of 50 packets were damaged" in words


def test_a_damaged_end_swallows_no_good_frame(write_clip) -> None:
    """With frame threads FFmpeg would silently lose the frames still in flight."""
    path = write_clip("hit.mp4", codec=REGULAR)
    damage(path, 49)
    frames, words = read_until_error(path)
    assert len(frames) == 49
    assert "1 of 50 packets was damaged" in words


def test_frames_are_tainted_until_the_next_key_frame(write_clip) -> None:
    """Images predicted from a lost one are tainted."""
    path = write_clip("hit.mp4", codec=REGULAR)
    damage(path, 15)
    frames, _ = read_until_error(path)
    assert [frame.integrity for frame in frames] == ["clean"] * 15 + ["tainted"] * 4 + ["clean"] * 30


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts = 44100, 0
        container.mux(stream.encode(silence))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("missing.mp4", lambda path: None, "no such file"),
        ("folder", lambda path: path.mkdir(), 'a folder, not a video file; folders of images need source = "images"'),
        ("empty.mp4", lambda path: path.write_bytes(b""), "the file is empty"),
        ("noise.mp4", lambda path: path.write_bytes(bytes(range(256)) * 20), "not a video"),
        ("notes.txt", lambda path: path.write_text("hello\n" * 99), "not a video but a text file"),
        ("song.m4a", audio_only, "holds no video (audio)"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, name: str, make, words: str) -> None:
    """The error comes on entering, with the path and what to do next."""
    make(tmp_path / name)
    with pytest.raises(SourceError, match=r"^[^\n]+$") as caught, open_source(tmp_path / name):
        pass
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_a_path_through_a_file_is_refused(write_clip) -> None:
    """The path is clip.mp4/other.mp4."""
    with (
        pytest.raises(SourceError, match="cannot be opened: Not a directory"),
        open_source(write_clip("c.mp4") / "o.mp4"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(write_clip) -> None:
    """The system denies permission."""
    path = write_clip("secret.mp4")
    path.chmod(0)
    with pytest.raises(SourceError, match="permission denied"), open_source(path):
        pass


def test_a_file_without_one_good_frame_is_refused_on_entering(write_clip) -> None:
    """All packets are damaged, so no frame could ever come."""
    path = write_clip("wreck.mp4", frames=5)
    damage(path, 0, 1, 2, 3, 4)
    with pytest.raises(SourceError, match="no frame can be decoded"), open_source(path):
        pass


def test_names_with_colons_and_spaces_are_only_names(write_clip) -> None:
    """FFmpeg would look for a protocol named "12"."""
    path = write_clip("plain.mp4", frames=3)
    assert len(read(path.rename(path.with_name("12:30 ümläut %d.mp4")))) == 3


def test_describe_names_file_size_and_rate(write_clip) -> None:
    """The password of a URL is not shown."""
    with open_source(write_clip("clip.mp4")) as source:
        assert source.describe().endswith("clip.mp4: 64x48, 25 fps, 50 frames")
    assert open_source("http://me:secret@host/clip.mp4").describe() == "video http://me:***@host/clip.mp4"


def test_errors_about_urls_hide_the_password() -> None:
    """Port 1 refuses connections."""
    with (
        pytest.raises(SourceError, match="me:\\*\\*\\*@") as caught,
        open_source("http://me:secret@127.0.0.1:1/clip.mp4"),
    ):
        pass
    assert "secret" not in str(caught.value)
