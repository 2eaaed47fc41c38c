"""NetworkSource in front of another server: GStreamer's, which many cameras and recorders run."""

from __future__ import annotations

import threading
from itertools import pairwise
from statistics import median
from time import monotonic_ns
from typing import Literal

import pytest

from stream.errors import AccessDenied, SourceError, SourceStalled
from stream.frames import Frame, Size
from tests.pipelines.test_live import Shown, build, health, until
from tests.rigs.gst_camera import GstCamera, age_ms, missing, read_stamp
from tests.sources.watching import network, read, read_until

pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(missing()), reason=missing())]

Codec = Literal["h264", "h265"]
every_codec = pytest.mark.parametrize("codec", ["h264", "h265"])
every_auth = pytest.mark.parametrize("auth", ["digest", "basic"])
PASSWORD = "p@ss:w%rd"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A trace cache of this file's own, apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "gst-cache"))


@every_codec
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_image_comes_in_order(codec: Codec, transport: str) -> None:
    """All images are complete, numbered from 0, and the description names size and codec."""
    with GstCamera(codec) as camera, network(camera.url, transport=transport) as source:
        frames = read(source, 40)
        about = source.describe()
    numbers = [read_stamp(frame.image)[1] for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 40))
    assert [frame.seq for frame in frames] == list(range(40))
    assert {(frame.size, frame.integrity) for frame in frames} == {(Size(240, 320), "clean")}
    assert "320x240" in about
    assert {"h264": "h264", "h265": "hevc"}[codec] in about


@every_codec
def test_the_first_image_is_fresh(codec: Codec) -> None:
    """The 20 or more images buffered between opening and reading are not shown."""
    with GstCamera(codec) as camera, network(camera.url) as source:
        threading.Event().wait(0.8)
        first = read(source, 1)[0]
        now_ns = monotonic_ns()
    assert age_ms(first.image, now_ns) < 300


@every_codec
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_stamps_are_the_time_of_the_image(codec: Codec, transport: str) -> None:
    """Stamps are on our monotonic clock and never in the future; they include encoding, not FFmpeg's held frame."""
    ages_s: list[float] = []
    with GstCamera(codec) as camera, network(camera.url, transport=transport) as source:
        frames = read(source, 60, lambda frame: ages_s.append(frame.stamp.age_s()))
    errors_ms = [age_ms(frame.image, frame.stamp.mono_ns) for frame in frames]
    assert abs(median(errors_ms)) < 35
    assert min(ages_s) >= 0
    stamps = [frame.stamp for frame in frames]
    assert all(a.mono_ns <= b.mono_ns for a, b in pairwise(stamps))
    assert all(stamp.media_s is not None for stamp in stamps[1:])


@every_auth
def test_a_password_is_requested_and_accepted(auth: Literal["digest", "basic"]) -> None:
    """The password has all the characters that are special in a URL."""
    with (
        GstCamera(user="ad min", password=PASSWORD, auth=auth) as camera,
        network(camera.url) as source,
    ):
        assert len(read(source, 3)) == 3


@every_auth
@pytest.mark.parametrize("user", ["admin", "nobody", ""])
def test_a_wrong_password_is_denied(auth: Literal["digest", "basic"], user: str) -> None:
    """The message is ours and does not contain the password."""
    with (
        GstCamera(user="admin", password=PASSWORD, auth=auth) as camera,
        pytest.raises(AccessDenied) as denied,
        network(camera.url_with(user, "s3cret:%")),
    ):
        pass
    assert "s3cret" not in repr(denied.value)


def test_a_wrong_path_is_reported() -> None:
    """A 404 is not reported as a password error."""
    with GstCamera() as camera, pytest.raises(SourceError) as absent, network(camera.url_with("", "", "/other")):
        pass
    assert not isinstance(absent.value, AccessDenied)
    assert "/other" in str(absent.value)
    assert "not found" in str(absent.value).lower() or "404" in str(absent.value)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stalled_source_says_so(transport: str) -> None:
    """The connection stays open and reports go on."""

    def never(frame: Frame) -> bool:
        if frame.seq == 10:
            camera.stall()
        return False

    with GstCamera() as camera, network(camera.url, transport=transport) as source, pytest.raises(SourceStalled):
        read_until(source, never)


@every_codec
def test_a_new_size_comes_through(codec: Codec) -> None:
    """The change happens in the same connection, without a tainted image."""
    with GstCamera(codec) as camera, network(camera.url) as source:

        def is_large(frame: Frame) -> bool:
            if frame.seq == 10:
                camera.resize(Size(480, 640))
            return frame.size == Size(480, 640)

        frames = read_until(source, is_large)
        about = source.describe()
    assert {frame.integrity for frame in frames} == {"clean"}
    assert "640x480" in about


def test_a_killed_server_is_noticed_and_comes_back() -> None:
    """In a whole pipeline: waiting at once, then live, continued numbers, full accounting, no password."""
    shown = Shown()
    with GstCamera(user="admin", password=PASSWORD) as camera:
        pipe = build({"front": camera.url}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.kill()
            until(lambda: health(pipe, "front").state == "waiting")
            assert health(pipe, "front").trouble
            camera.restart()
            until(lambda: health(pipe, "front").reconnects == 1)
            shown.wait_for("front", 5)
        stats = pipe.stats()
    numbers = [view.depth_map.frame.seq for view in shown.views["front"]]
    assert numbers == sorted(set(numbers))
    assert stats.unaccounted == 0
    assert stats.cameras[0].integrity["tainted"] == 0
    assert "p@ss" not in repr(stats)
    assert "p%40ss" not in repr(stats)


def test_a_stall_is_noticed_and_healed() -> None:
    """In a whole pipeline, a new connection ends the stall."""
    shown = Shown()
    with GstCamera() as camera:
        pipe = build({"front": camera.url}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.stall()
            until(lambda: health(pipe, "front").stalls == 1)
            camera.resume()
            shown.wait_for("front", 3)
        assert pipe.stats().unaccounted == 0
