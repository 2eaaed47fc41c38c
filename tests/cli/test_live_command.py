"""`rtsp`, `webcam` and `devices` on the command line, in front of real RTSP cameras."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from pipelines.cli.live import names_of
from stream.core.clock import Deadline
from stream.settings import WebcamCamera
from tests.rigs.rtsp_camera import Clip, RtspCamera

CONFIGS = Path(__file__).parents[2] / "configs"
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.test_pattern(codec="h264", width=160, height=120, fps=12, seconds=2, keyframe_every=12)


@contextmanager
def ctrl_c_when(holds: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C for the command inside as soon as ``holds``; after two minutes in any case."""
    is_over = threading.Event()

    def watch() -> None:
        end = Deadline.after(120)
        while not is_over.wait(0.02):
            if holds() or end.passed:
                os.kill(os.getpid(), signal.SIGINT)
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


@pytest.mark.slow
def test_two_cameras_are_watched_and_recorded(depthstream: Command, clip: Clip, tmp_path: Path) -> None:
    """One of them never answers: the other runs, and the table and the JSON say how both are; no password anywhere."""
    with RtspCamera({"/cam": clip}, user="admin", password="s3cret") as camera, RtspCamera({"/cam": clip}) as absent:
        absent.refuse()
        urls = camera.url("/cam", credentials=True), absent.url("/cam")
        with ctrl_c_when((tmp_path / "127.0.0.1-1.part.mp4").exists):
            called = depthstream("rtsp", *urls, "--stats", 0.5, "--json", "live.json", "--record", "{camera}.mp4")
    assert called.status == 130, called.err
    for word in ("127.0.0.1-1", "127.0.0.1-2", "cameras", "grade", "tainted", "latest", "starved", "captured ="):
        assert word in called.out
    text = (tmp_path / "live.json").read_text()
    assert "s3cret" not in called.out + called.err + text
    one, other = json.loads(text)["cameras"]
    assert one["name"] == "127.0.0.1-1"
    assert (one["state"], one["trouble"]) == ("live", "")
    assert other["state"] in ("waiting", "connecting")
    assert other["frames"] == []
    assert "connection refused" in other["trouble"].lower()
    (frames,) = one["frames"]
    assert frames["published"] > 0
    assert frames["captured"] == frames["published"] + sum(frames["dropped"].values())
    assert one["integrity"]["clean"] == frames["captured"]
    assert 0 < one["age"]["show"]["p50_s"] <= one["age"]["show"]["p99_s"]
    with av.open(str(tmp_path / "127.0.0.1-1.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == frames["published"]


@pytest.mark.slow
def test_a_generated_pattern_runs_like_a_camera_and_ends(depthstream: Command, tmp_path: Path) -> None:
    """What FFmpeg reads from its own filters, paced, until it is over."""
    called = depthstream("rtsp", "lavfi:testsrc2=size=160x120:rate=10:duration=1", "--json", "live.json")
    assert called.status == 0, called.err
    (camera,) = json.loads((tmp_path / "live.json").read_text())["cameras"]
    assert (camera["name"], camera["state"]) == ("lavfi", "over")
    assert camera["frames"][0]["captured"] == 10


@pytest.mark.slow
def test_no_image_at_all_is_a_failure(depthstream: Command, tmp_path: Path) -> None:
    """Status 1; what matters is the last line, and no table of zeros stands before it."""
    called = depthstream("rtsp", "rtsp://127.0.0.1:1/cam", "--seconds", 0.5, "--json", "live.json")
    assert called.status == 1
    assert called.out == ""
    assert "no camera delivered an image: 127.0.0.1: " in called.err.strip().splitlines()[-1]
    assert "no camera delivered an image" in json.loads((tmp_path / "live.json").read_text())["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("webcam", "--size", "640"), "--size 640: expected width x height"),
        (("rtsp", "rtsp://127.0.0.1:1/cam", "--record", "depth.avi"), "must end in .mp4"),
        (("rtsp", "rtsp://127.0.0.1:1/cam", "--model", "tinny"), 'did you mean "tiny"?'),
        (("rtsp", "rtsp://127.0.0.1:1/cam", "--window"), "display"),
        (("rtsp", "foo"), '"foo" is neither an address nor a file here'),
        (("rtsp", "rtsp://u:pa#ss@127.0.0.1/x"), "# is %23"),
        (("rtsp", "rtsp://admin:"), "is no port"),
        (("webcam", "/dev/null"), "is no camera"),
    ],
)
def test_an_error_is_one_line(
    depthstream: Command, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is started."""
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(display, raising=False)
    called = depthstream(*arguments)
    assert called.status == 2
    assert message in called.err
    assert len(called.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_check_shows_no_password(depthstream: Command) -> None:
    """The settings with all defaults, the URL without its password."""
    for url, shown in (
        ("rtsp://admin:s3cret@camera/main", "rtsp://admin:***@camera/main"),
        ("http://camera/video.cgi?user=admin&pwd=s3cret", "http://camera/video.cgi?user=admin&pwd=***"),
    ):
        kind = url.partition(":")[0].replace("http", "url")
        change = "--set", f"cameras.0.url={url}", "--set", f"cameras.0.source={kind}"
        called = depthstream("check", CONFIGS / "rtsp.toml", *change)
        assert called.status == 0, called.err
        assert shown in called.out
        assert "s3cret" not in called.out + called.err


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["rtsp://a:b@front.local:554/x", "rtsp://10.0.0.7/y"], ["front.local", "10.0.0.7"]),
        (["rtsp://h/1", "rtsp://h/2", "rtsp://g/1"], ["h-1", "h-2", "g"]),
        (["lavfi:testsrc2", "udp://@:5000", "camera.sdp"], ["lavfi", "udp", "camera.sdp"]),
        (["0", "/dev/video2"], ["webcam0", "video2"]),
        (["rtsp://admin:p[w@host/x", "rtsp://[fe80::1]:554/x"], ["rtsp", "fe80::1"]),
    ],
)
def test_cameras_are_named_after_where_they_are(places: list[str], names: list[str]) -> None:
    """Numbered only where several would have the same name."""
    assert names_of(places) == names


def test_a_size_is_given_whole_or_not_at_all() -> None:
    """Half a size is no request that a device could answer."""
    with pytest.raises(ValueError, match="both width and height"):
        WebcamCamera(source="webcam", width=640)
