"""The list of a machine's cameras: the kernel's structures, the table and the JSON.

The listing of a real driver is tested in tests/rigs/test_webcam_rig.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from pipelines.cli.devices import print_devices
from stream.frames import Size
from stream.sources.webcam import v4l2_abi as abi
from stream.sources.webcam.devices import Device, Mode, PixelFormat, device_names, list_devices, numbered_devices, probe

YUYV = PixelFormat(
    "YUYV",
    "yuyv422",
    (Mode(Size(1080, 1920), (5.0,)), Mode(Size(720, 1280), (10.0, 5.0)), Mode(Size(480, 640), (30.0, 15.0))),
)
MJPG = PixelFormat("MJPG", "mjpeg", (Mode(Size(1080, 1920), (30.0,)), Mode(Size(480, 640), (60.0, 30.0))))
H264 = PixelFormat("H264", "", (Mode(Size(1080, 1920), (30.0,)),))
ANY = PixelFormat("NV12", "nv12", (Mode(Size(1080, 1920), (60.0, 1.0)), Mode(Size(48, 64), (90.0, 1.0))), any_size=True)

KERNEL = {
    "QUERYCAP": 0x80685600,
    "ENUM_FMT": 0xC0405602,
    "G_FMT": 0xC0D05604,
    "S_FMT": 0xC0D05605,
    "REQBUFS": 0xC0145608,
    "QUERYBUF": 0xC0585609,
    "QBUF": 0xC058560F,
    "DQBUF": 0xC0585611,
    "STREAMON": 0x40045612,
    "STREAMOFF": 0x40045613,
    "G_PARM": 0xC0CC5615,
    "S_PARM": 0xC0CC5616,
    "ENUM_FRAMESIZES": 0xC02C564A,
    "ENUM_FRAMEINTERVALS": 0xC034564B,
}
"""The request numbers that a C program prints on a 64-bit machine; each contains the size of its structure."""


@pytest.mark.parametrize(("name", "number"), KERNEL.items())
def test_requests_are_the_kernels(name: str, number: int) -> None:
    """The kernel answers a wrong number as if the driver had no such request."""
    assert getattr(abi, name) == number


def test_four_letters_go_both_ways() -> None:
    """The big-endian variant is a format of its own."""
    assert abi.fourcc(abi.fourcc_code("YUYV")) == "YUYV"
    assert abi.fourcc(abi.fourcc_code("Y16 ") | 1 << 31) == "Y16 -BE"


def test_a_size_has_a_rate_only_if_it_is_offered() -> None:
    """A listed size must match exactly, a range has all sizes between its ends."""
    assert YUYV.best_fps(Size(720, 1280)) == 10
    assert YUYV.best_fps(Size(720, 1279)) is None
    assert ANY.best_fps(Size(720, 1279)) == 60
    assert ANY.best_fps(Size(2160, 3840)) is None


def test_the_best_of_a_format_is_the_largest_and_the_largest_fluent_mode() -> None:
    """If one mode is both, it is returned once."""
    assert str(YUYV) == "yuyv422 1920x1080 at 5 fps, 640x480 at 30 fps"
    assert str(MJPG) == "mjpeg 1920x1080 at 30 fps"
    assert str(H264) == "H264 1920x1080 at 30 fps"
    assert str(PixelFormat("GREY", "gray", ())) == "gray"


def test_other_device_nodes_are_not_listed() -> None:
    """Only video device nodes are listed, each once, in the order of their numbers."""
    paths = [device.path for device in list_devices("linux")]
    assert paths == sorted(set(paths), key=lambda path: int(path.removeprefix("/dev/video")))
    device = probe("/dev/null")
    assert device is not None
    assert "inappropriate ioctl" in device.trouble


@dataclass
class Info:
    """A device of macOS or Windows as PyAV describes it."""

    description: str
    media_types: list[str] = field(default_factory=lambda: ["video"])


def test_cameras_of_other_systems_are_numbered() -> None:
    """Microphones and the screen are not counted, because the number opens the camera."""
    infos = [Info("Microphone", ["audio"]), Info("FaceTime HD Camera"), Info("Capture screen 0"), Info("C920")]
    cameras = numbered_devices(infos)
    assert [(camera.path, camera.name) for camera in cameras] == [("0", "FaceTime HD Camera"), ("1", "C920")]
    assert device_names(cameras) == "0 (FaceTime HD Camera), 1 (C920)"


def test_a_system_without_a_device_list_has_no_cameras() -> None:
    """There is no exception; the command then suggests what to try."""
    assert list_devices("no such system") == ()


@pytest.fixture
def two_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    """One camera has formats, the other one may not be opened."""
    inside = Device("/dev/video0", "Camera [red]: inside", "uvcvideo", (YUYV, MJPG, H264))
    outside = Device("/dev/video2", "Camera outside", trouble="no permission")
    monkeypatch.setattr("pipelines.cli.devices.list_devices", lambda: (inside, outside))


@pytest.mark.usefixtures("two_cameras")
def test_the_table_names_every_camera(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its best modes or an error; names are not parsed as markup."""
    assert print_devices(as_json=False) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in ("/dev/video0", "Camera [red]: inside", "mjpeg 1920x1080 at 30", "/dev/video2", "no permission"):
        assert words in text


@pytest.mark.usefixtures("two_cameras")
def test_json_has_every_mode(capsys: pytest.CaptureFixture[str]) -> None:
    """A pixel format that cannot be read has no name."""
    assert print_devices(as_json=True) == 0
    inside, outside = json.loads(capsys.readouterr().out)
    assert (outside["device"], outside["trouble"], outside["formats"]) == ("/dev/video2", "no permission", [])
    assert [offered["pixel_format"] for offered in inside["formats"]] == ["yuyv422", "mjpeg", None]
    assert inside["formats"][0]["modes"][1] == {"width": 1280, "height": 720, "fps": [10.0, 5.0]}


def test_a_machine_without_cameras_says_what_to_try(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints one line and succeeds."""
    monkeypatch.setattr("pipelines.cli.devices.list_devices", lambda: ())
    assert print_devices(as_json=False) == 0
    output = capsys.readouterr().out
    assert output.startswith("no camera at this machine: plug one in")
    assert output.count("\n") == 1
