"""`depthstream depth`: every frame in is a frame out, and bad input gets one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

Command = Callable[..., Any]
ClipMaker = Callable[..., Path]


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def one_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.slow
def test_an_image_in_all_formats(depthstream: Command, photo: Path, tmp_path: Path) -> None:
    """PNG16, NPY and colour at the image's size, with a JSON that says what the numbers mean."""
    called = depthstream("depth", photo, "-o", "out", "--format", "all")
    assert called.status == 0, called.err
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "image.color.png",
        "image.depth.json",
        "image.depth.npy",
        "image.depth.png",
    ]
    array = np.load(out / "image.depth.npy")
    coded = cv2.imread(str(out / "image.depth.png"), cv2.IMREAD_UNCHANGED)
    meaning = json.loads((out / "image.depth.json").read_text())
    assert array.shape == coded.shape == (48, 64)
    assert coded.dtype == np.uint16
    assert meaning["kind"] == "relative_inverse"
    assert meaning["model"] == "tiny"
    png = meaning["png16"]
    assert np.abs(png["offset"] + png["scale"] * coded - array).max() <= png["scale"]


@pytest.mark.slow
def test_a_video_comes_out_whole(depthstream: Command, clip: Path, tmp_path: Path) -> None:
    """24 frames in, 24 out, as colour video, PNGs and arrays."""
    called = depthstream("depth", clip, "-o", "out", "--format", "all")
    assert called.status == 0, called.err
    assert frames_in(tmp_path / "out/clip.depth.mp4") == 24
    assert len(list((tmp_path / "out/clip").glob("*.depth.png"))) == 24
    assert len(list((tmp_path / "out/clip").glob("*.depth.npy"))) == 24
    assert "24 depth maps by tiny" in called.out


@pytest.mark.slow
def test_brackets_in_names_are_only_brackets(depthstream: Command, clip: Path, tmp_path: Path) -> None:
    """Downloaded videos are called like this; the summary and the table say the name as it is."""
    for name in ("[1080p] a.mp4", "[red] b.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    called = depthstream("depth", "[1080p] a.mp4", "[red] b.mp4", "-o", "out [bold] 1")
    assert called.status == 0, called.err
    assert "in out [bold] 1" in called.out
    assert frames_in(tmp_path / "out [bold] 1/[1080p] a.depth.mp4") == 24


@pytest.mark.slow
def test_a_folder_keeps_its_names(depthstream: Command, photo: Path, tmp_path: Path) -> None:
    """Results of a folder lie in a folder of its name; equal stems keep their suffix."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = cv2.imread(str(photo))
    for name in ("b.png", "a.png", "a.jpg"):
        assert cv2.imwrite(str(folder / name), image)
    called = depthstream("depth", folder, "-o", "out")
    assert called.status == 0, called.err
    names = sorted(p.name for p in (tmp_path / "out/photos").iterdir())
    assert names == ["a_jpg.color.png", "a_png.color.png", "b.color.png"]


@pytest.mark.slow
def test_a_folder_gives_its_videos_too_and_says_what_it_leaves_out(
    depthstream: Command, photo: Path, clip: Path, tmp_path: Path
) -> None:
    """Images and videos of a folder; the rest is counted and named."""
    folder = tmp_path / "holiday"
    (folder / "more").mkdir(parents=True)
    for source, name in ((photo, "a.png"), (clip, "b.mp4"), (clip, "a.mp4")):
        (folder / name).write_bytes(source.read_bytes())
    (folder / "notes.txt").write_text("sunny")
    (folder / ".hidden").write_text("")
    called = depthstream("depth", folder, "-o", "out")
    assert called.status == 0, called.err
    line = one_line(called.err)
    assert "left out: 2 (more/, notes.txt)" in line
    assert "49 depth maps" in called.out
    names = sorted(p.name for p in (tmp_path / "out/holiday").iterdir())
    assert names == ["a.color.png", "a.depth.mp4", "b.depth.mp4"]


@pytest.mark.slow
def test_a_folder_of_videos_only_is_as_good(depthstream: Command, clip: Path, tmp_path: Path) -> None:
    """No complaint about images."""
    folder = tmp_path / "clips"
    folder.mkdir()
    clip.rename(folder / "one.mp4")
    called = depthstream("depth", folder, "-o", "out", "--format", "npy")
    assert (called.status, called.err) == (0, "")
    assert len(list((tmp_path / "out/clips/one").glob("*.npy"))) == 24


@pytest.mark.slow
def test_no_input_is_written_over(depthstream: Command, photo: Path, clip: Path, tmp_path: Path) -> None:
    """A result of the same name as another input, under whatever path: nothing is touched, exit status 2."""
    image, video = photo.read_bytes(), clip.read_bytes()
    (tmp_path / "image.color.png").write_bytes(image)
    (tmp_path / "clip.depth.mp4").write_bytes(video)
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path)
    for inputs in (
        ("image.png", "image.color.png"),
        ("clip.mp4", "clip.depth.mp4"),
        ("clip.mp4", linked / "clip.depth.mp4"),
        (tmp_path,),
    ):
        called = depthstream("depth", *inputs, "-o", tmp_path.parent if inputs == (tmp_path,) else ".")
        assert called.status == 2, inputs
        assert "would take its place" in one_line(called.err)
    assert (tmp_path / "image.color.png").read_bytes() == image
    assert (tmp_path / "clip.depth.mp4").read_bytes() == video
    assert depthstream("depth", "image.png", "image.color.png", "-o", ".", "--format", "npy").status == 0


def test_an_address_is_sent_to_the_right_command(depthstream: Command) -> None:
    """The password in it is not shown, although a path has one slash only."""
    called = depthstream("depth", "rtsp://user:secretpw@camera/1", "-o", "out")
    assert called.status == 2
    assert "rtsp:/user:***@camera/1: is an address" in one_line(called.err)
    assert "depthstream rtsp" in called.err


@pytest.mark.slow
def test_what_cannot_be_opened_does_not_cost_the_others(depthstream: Command, photo: Path, tmp_path: Path) -> None:
    """A name that the file system itself refuses; the image behind it has its turn, no empty folder is left."""
    (tmp_path / "broken.avi").write_bytes(b"no video")
    called = depthstream("depth", "x" * 300 + ".png", "broken.avi", photo, "-o", "out", "--format", "npy")
    assert called.status == 1
    first, second = called.err.strip().splitlines()
    assert "File name too long" in first
    assert "broken.avi" in second
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["image.depth.json", "image.depth.npy"]


def test_an_output_that_fails_says_how_many_inputs_were_not_tried(
    depthstream: Command, photo: Path, clip: Path, tmp_path: Path
) -> None:
    """One line, no table: the results' folder is a file."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip").write_text("in the way")
    called = depthstream("depth", clip, photo, photo.parent / "clip.mp4", "-o", "out", "--format", "npy")
    assert called.status == 2  # the same clip twice
    called = depthstream("depth", clip, photo, "-o", "out", "--format", "npy")
    assert called.status == 1
    assert one_line(called.err).endswith("; 1 further input was not tried")
    assert called.out == ""


def test_a_field_of_view_that_changes_nothing_is_reported(depthstream: Command, photo: Path) -> None:
    """Relative depth has no metres."""
    called = depthstream("depth", photo, "-o", "out", "--fov", "60")
    assert called.status == 0
    assert "--fov changes nothing: tiny is not metric" in one_line(called.err)


@pytest.mark.parametrize("words", [("", "-o", "out"), ("image.png", "-o", "")])
@pytest.mark.usefixtures("photo")
def test_an_empty_name_is_not_the_folder_one_is_in(
    words: tuple[str, ...], depthstream: Command, tmp_path: Path
) -> None:
    """A variable of a script that is not set."""
    called = depthstream("depth", *words)
    assert called.status == 2
    assert "is empty" in called.err
    assert [each.name for each in tmp_path.iterdir()] == ["image.png"]


def test_the_version_is_printed(depthstream: Command) -> None:
    """That of the package."""
    called = depthstream("--version")
    assert (called.status, called.out) == (0, f"depthstream {version('depthstream')}\n")


@pytest.mark.slow
def test_random_weights_mark_every_output(depthstream: Command, photo: Path, tmp_path: Path) -> None:
    """A warning, the JSON, and the words in the image."""
    plain = depthstream("depth", photo, "-o", "plain", "--model", "midas_small", "--weights", "random")
    called = depthstream(
        "depth", photo, "-o", "out", "--model", "midas_small", "--weights", "random", "--format", "npy"
    )
    assert plain.status == called.status == 0, called.err
    assert "random weights" in called.err
    assert json.loads((tmp_path / "out/image.depth.json").read_text())["weights"] == "random"


def test_missing_weights_are_an_error_that_helps(depthstream: Command, photo: Path) -> None:
    """URL, path and command; nothing swaps the model."""
    called = depthstream("depth", photo, "-o", "out", "--model", "midas_small")
    assert called.status == 1
    line = one_line(called.err)
    assert called.out == ""
    for part in ("https://github.com/isl-org/MiDaS/", "midas_v21_small_256.pt", "depthstream models pull midas_small"):
        assert part in line


def test_an_unknown_model_is_a_usage_error(depthstream: Command, photo: Path) -> None:
    """A similar name is suggested."""
    called = depthstream("depth", photo, "-o", "out", "--model", "midas_smal")
    assert called.status == 2
    assert 'did you mean "midas_small"?' in one_line(called.err)


def test_a_missing_input_is_a_usage_error(depthstream: Command) -> None:
    """Before anything is loaded."""
    called = depthstream("depth", "nothing.mp4", "-o", "out")
    assert called.status == 2
    assert "nothing.mp4: no such file or folder" in one_line(called.err)


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.mp4", b""), ("text.mp4", b"not a video at all\n" * 50), ("empty.png", b""), ("text.png", b"no image")],
)
def test_what_is_no_image_or_video_is_refused(name: str, content: bytes, depthstream: Command, tmp_path: Path) -> None:
    """One line with the file's name; exit status 1."""
    (tmp_path / name).write_bytes(content)
    called = depthstream("depth", name, "-o", "out")
    assert called.status == 1
    assert name in one_line(called.err)
    assert list((tmp_path / "out").rglob("*.*")) == []


@pytest.mark.parametrize(("width", "height", "word"), [(1, 1, "small"), (20_000, 100, "large")])
def test_images_no_network_takes_are_refused(
    width: int, height: int, word: str, depthstream: Command, tmp_path: Path
) -> None:
    """Too small or too large; the message has the size."""
    assert cv2.imwrite(str(tmp_path / "odd.png"), np.zeros((height, width, 3), np.uint8))
    called = depthstream("depth", "odd.png", "-o", "out")
    assert called.status == 1
    assert f"{width}x{height}" in one_line(called.err)
    assert word in called.err


@pytest.mark.slow
def test_one_bad_image_does_not_cost_the_others(depthstream: Command, photo: Path, tmp_path: Path) -> None:
    """The good ones are written, the bad one is named, the exit status is 1."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = cv2.imread(str(photo))
    for name in ("a.png", "c.png"):
        assert cv2.imwrite(str(folder / name), image)
    (folder / "b.png").write_bytes(b"broken")
    called = depthstream("depth", folder, "-o", "out")
    assert called.status == 1
    assert "b.png" in one_line(called.err)
    assert sorted(p.name for p in (tmp_path / "out/photos").iterdir()) == ["a.color.png", "c.color.png"]


@pytest.mark.slow
def test_a_truncated_video_keeps_its_good_frames(depthstream: Command, make_clip: ClipMaker, tmp_path: Path) -> None:
    """A playable mp4 with what could be read, the counts, exit status 1; the next input has its turn."""
    whole = make_clip(tmp_path / "whole.avi", 48)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    called = depthstream("depth", cut, whole, "-o", "out")
    assert called.status == 1
    assert "cut.avi" in one_line(called.err)
    assert "of 48" in called.err
    assert 10 < frames_in(tmp_path / "out/cut.depth.mp4") < 48
    assert frames_in(tmp_path / "out/whole.depth.mp4") == 48


@pytest.mark.slow
def test_a_size_change_ends_a_video_with_the_frames_before(
    depthstream: Command, make_clip: ClipMaker, tmp_path: Path
) -> None:
    """An mp4 has one size: the error says where it changed, and what was before is finished."""
    first, second = make_clip(tmp_path / "a.h264", 20), make_clip(tmp_path / "b.h264", 20, (128, 96))
    (tmp_path / "both.h264").write_bytes(first.read_bytes() + second.read_bytes())
    called = depthstream("depth", "both.h264", "-o", "out")
    assert called.status == 1
    assert "96x64" in one_line(called.err)
    assert "128x96" in called.err
    assert frames_in(tmp_path / "out/both.depth.mp4") == 20
    assert depthstream("depth", "both.h264", "-o", "arrays", "--format", "npy").status == 0
    assert len(list((tmp_path / "arrays/both").glob("*.npy"))) == 40


def test_damaged_weights_are_reported_in_one_line(depthstream: Command, photo: Path) -> None:
    """Delete and pull again; nothing is written."""
    path = Path(depthstream("models", "path", "midas_small").out.strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"<html>404</html>")
    called = depthstream("depth", photo, "-o", "out", "--model", "midas_small")
    path.unlink()
    assert called.status == 1
    assert str(path) in one_line(called.err)
    assert "depthstream models pull midas_small" in called.err


@pytest.mark.slow
def test_a_damaged_trace_is_rebuilt(depthstream: Command, photo: Path, cache_folder: Path) -> None:
    """A cache is no reason to fail: one warning, and the depth is the same as before."""
    assert depthstream("depth", photo, "-o", "first", "--format", "npy").status == 0
    traces = list((cache_folder / "traces").glob("tiny-256x192*"))
    for path in traces:
        path.write_bytes(path.read_bytes()[:-1000])
    called = depthstream("depth", photo, "-o", "second", "--format", "npy")
    assert called.status == 0
    assert "rebuilt" in one_line(called.err)
    first, second = (np.load(f"{folder}/image.depth.npy") for folder in ("first", "second"))
    assert np.array_equal(first, second)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc, where no folder can be made")
def test_an_output_that_cannot_be_made_is_one_line(depthstream: Command, photo: Path) -> None:
    """A place where not even root may write."""
    called = depthstream("depth", photo, "-o", "/proc/depthstream")
    assert called.status == 1
    assert "/proc/depthstream" in one_line(called.err)


def test_an_output_that_is_a_file_is_refused(depthstream: Command, photo: Path) -> None:
    """Give a folder."""
    called = depthstream("depth", photo, "-o", photo)
    assert called.status == 2
    assert "give a folder" in one_line(called.err)


def test_inputs_that_would_overwrite_each_other_are_refused(depthstream: Command, photo: Path, tmp_path: Path) -> None:
    """Two files of one name from two folders."""
    other = tmp_path / "other"
    other.mkdir()
    (other / photo.name).write_bytes(photo.read_bytes())
    called = depthstream("depth", photo, other / photo.name, "-o", "out")
    assert called.status == 2
    assert "overwrite each other" in one_line(called.err)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["color", "npy"])
def test_a_full_disk_is_one_line_and_keeps_what_was_written(
    form: str, tmp_path: Path, depthstream: Command, make_clip: ClipMaker
) -> None:
    """Files may not grow past a limit, as on a full disk: exit status 1, and nothing half under a final name."""
    clip = make_clip(tmp_path / "long.mp4", 200, (320, 240))
    limit = 20_000 if form == "npy" else 60_000
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        f"sys.argv = ['depthstream', 'depth', {str(clip)!r}, '-o', 'out', '--format', '{form}'];"
        "from pipelines.cli.entry import main; main()"
    )
    depthstream("depth", clip, "-o", "warm")  # the network's trace is on disk before the limit
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert "out" in one_line(done.stderr)
    left = list((tmp_path / "out").rglob("*.*"))
    if form == "npy":
        assert left == []
    else:
        (part,) = left
        assert part.name == "long.depth.part.mp4"
        assert part.name in done.stderr
        with av.open(str(part)) as container:
            assert next(container.decode(video=0)).width == 320


@pytest.mark.slow
def test_an_interrupt_finishes_the_video(depthstream: Command, make_clip: ClipMaker, tmp_path: Path) -> None:
    """Ctrl-C: exit status 130, a table, and a playable mp4 with the frames so far."""
    clip = make_clip(tmp_path / "long.mp4", 1500, (320, 240))
    command = [sys.executable, "-m", "pipelines", "depth", str(clip), "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    recording = tmp_path / "out"
    while process.poll() is None and not any(recording.glob("*.part*")) and not any(recording.glob(".*part*")):
        pass
    process.send_signal(2)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "captured" in out
    assert "Traceback" not in err
    assert 0 < frames_in(tmp_path / "out/long.depth.mp4") < 1500
