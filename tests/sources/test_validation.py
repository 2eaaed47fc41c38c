"""Addresses and devices that can never work are rejected before opening; others are retried."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.components.cameras import add_cameras
from stream.errors import SettingsError
from stream.runtime.pipeline import Pipeline
from stream.settings import Camera, NetworkCamera, WebcamCamera
from stream.sources.validation import config_error


def network(url: str) -> NetworkCamera:
    return NetworkCamera(source="url", name="front", url=url)


def webcam(device: str) -> WebcamCamera:
    return WebcamCamera(source="webcam", name="desk", device=device)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "rtsp://cam",
            "rtsp://cam:554/x?a=b#c",
            "RTSPS://u:p%23w@cam/x",
            "rtsp://u:p@ss@cam:554/x",
            "rtsp://user@cam/x",
        ),
        *("rtsp://[fe80::1]/x", "rtsp://u:p@[fe80::1]:554/x", "rtsp://[fe80::1%eth0]:8554/x"),
        *(
            "udp://@:5000",
            "udp://:5000",
            "udp://239.1.1.1:5000?fifo_size=1000",
            "rtp://@:5004",
        ),
        *(
            "http://cam/video.cgi?user=a:b&pwd=c:d@e",
            "https://cam/live.m3u8",
            "rtmp://cam/live",
            "pipe:0",
            "file:/x.sdp",
        ),
        *("lavfi:testsrc2=size=64x64:rate=10", "later.sdp", "/srv/later.sdp", "later.m3u8"),
    ],
)
def test_settings_that_may_work_pass(url: str) -> None:
    """These FFmpeg could open, now or when the camera is available."""
    assert config_error(network(url)) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("foo", '"foo" is neither an address nor a file here'),
        ("192.168.1.20/stream1", "begin with rtsp://"),
        ("localhost:8554/cam", "begin with rtsp://"),
        ("rtsp:cam/x", "begin with rtsp://"),
        ("admin:secret@cam/x", '"***@cam/x"'),
        ("rstp://cam/x", 'did you mean "rtsp"?'),
        ("rtsp://", "names no host"),
        ("gohper://cam/x", "there are no gohper:// addresses"),
        ("rtsp:///x", "names no host"),
        ("rtsp://admin:secret@/x", "names no host"),
        ("http://:8080/x", "names no host"),
        ("rtsp://cam:70000/x", "there is no port 70000"),
        ("rtsp://cam:/x", '"rtsp://cam:***": what follows'),
        ("rtsp://admin:", '"rtsp://admin:***": what follows'),
        ("rtsp://admin:secret", '"rtsp://admin:***": what follows'),
        ("rtsp://u:secret#1@127.0.0.1/x", "# is %23"),
        ("rtsp://u:secret/1@127.0.0.1/x", "/ is %2F"),
        ("rtsp://u:secret?1@127.0.0.1/x", '"rtsp://u:***@127.0.0.1/x"'),
        ("rtsp://[fe80::1]:secret/x", "is no port"),
        ("udp://@:port", "is no port"),
    ],
)
def test_settings_that_can_never_work_are_errors(url: str, says: str) -> None:
    """The message is one line without a password."""
    error = config_error(network(url))
    assert error is not None
    assert says in error
    assert "secret" not in error
    assert "\n" not in error


@pytest.mark.skipif(sys.platform != "linux", reason="devices have other names there")
def test_a_device_must_be_one(tmp_path: Path) -> None:
    """Other device nodes are errors; a missing one may be plugged in later."""
    image = tmp_path / "image.jpg"
    image.touch()
    for device in ("/dev/null", str(tmp_path), str(image)):
        assert "is no camera" in (config_error(webcam(device)) or "")
    assert "neither a number nor a path" in (config_error(webcam("front-door")) or "")
    assert [config_error(webcam(device)) for device in ("0", "7", "/dev/video77", "/dev/v4l/by-id/later")] == [None] * 4


def test_a_file_that_is_there_is_an_address(tmp_path: Path) -> None:
    """An existing file passes, whatever its name."""
    path = tmp_path / "description"
    path.touch()
    assert config_error(network(str(path))) is None


@pytest.mark.parametrize("camera", [network("rtsp://u:pa#ss@cam/x"), webcam("/dev/null")])
def test_a_pipeline_is_not_built_with_a_config_error(camera: Camera) -> None:
    """It is a SettingsError that names the camera, so the exit status is 2 and nothing is started."""
    if camera.source == "webcam" and sys.platform != "linux":
        pytest.skip("devices have other names there")
    with pytest.raises(SettingsError, match=camera.name):
        add_cameras(Pipeline("test"), [camera])


def test_a_protocol_that_is_not_built_in_is_refused_at_the_start() -> None:
    """It would be retried for ever; a build of PyAV that has it may use it."""
    import av

    try:
        av.open("srt://", timeout=(0.2, 0.2)).close()
    except av.error.ProtocolNotFoundError:
        assert 'was built without srt://; source = "gstreamer"' in str(config_error(network("srt://cam:9000")))
    except (av.error.FFmpegError, OSError):
        assert config_error(network("srt://cam:9000")) is None


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such file or directory; check the path"), ("nothing", "holds no certificate")]
)
def test_authorities_that_cannot_be_read_are_refused_at_the_start(
    tmp_path: Path, content: str | None, says: str
) -> None:
    """Waiting cures neither a missing file nor one without a certificate."""
    path = tmp_path / "camera.pem"
    if content is not None:
        path.write_text(content)
    camera = NetworkCamera(source="rtsp", name="cam", url="rtsps://cam/x", tls_ca=str(path))
    assert says in str(config_error(camera))


@pytest.mark.parametrize("track", ["first", "0", 7, "1920x1080"])
def test_a_track_is_a_word_a_number_or_a_size(track: str | int) -> None:
    assert NetworkCamera(source="rtsp", url="rtsp://cam/x", track=track).track == str(track)


def test_another_track_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="say first, largest, smallest"):
        NetworkCamera(source="rtsp", url="rtsp://cam/x", track="biggest")
