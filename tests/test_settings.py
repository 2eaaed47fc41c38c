"""Config files: valid ones, and the message for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from stream.core.config_file import override, parse, read_toml
from stream.errors import SettingsError
from stream.settings import Camera, ModelSettings, RecordSettings, RenderSettings, Settings, WebcamCamera


class Example(Settings):
    """A pipeline's settings in small."""

    pipeline: Literal["example"] = "example"
    cameras: tuple[Camera, ...] = Field(default=())
    model: ModelSettings = ModelSettings()
    render: RenderSettings = RenderSettings()


def refusal(data: dict[str, object]) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(Example, data, origin="robot.toml")
    return str(caught.value)


def test_defaults_are_filled_in() -> None:
    """An empty file is a valid one."""
    settings = parse(Example, {}, origin="x.toml")
    assert settings.model.name == "tiny"
    assert settings.render.colormap == "inferno"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": {"enigne": "auto"}}, 'robot.toml: [model] unknown key "enigne" = "auto"; did you mean "engine"?'),
        ({"modle": {}}, 'robot.toml: unknown key "modle" = {}; did you mean "model"?'),
        (
            {"cameras": [{"source": "video", "pth": "a.mp4", "path": "a.mp4"}]},
            'robot.toml: [cameras.0] unknown key "pth" = "a.mp4"; did you mean "path"?',
        ),
        ({"cameras": [{"source": "video"}]}, 'robot.toml: [cameras.0] key "path" is missing'),
        ({"cameras": [{"source": "vidoe"}]}, 'source = "vidoe" does not exist; did you mean "video"?'),
        ({"cameras": [{}]}, 'robot.toml: [cameras.0] key "source" is missing'),
        ({"model": {"threads": "many"}}, 'robot.toml: [model] threads = "many": '),
        ({"model": {"threads": 0}}, "robot.toml: [model] threads = 0: input should be greater than or equal to 1"),
        ({"model": {"keep_aspect": "perhaps"}}, '[model] keep_aspect = "perhaps": '),
        ({"render": {"colormap": "infrno"}}, "[render] colormap = \"infrno\": input should be 'inferno', 'turbo'"),
        ({"render": {"range": "fixed", "low": 1.0}}, '[render] range = "fixed" needs two different numbers'),
    ],
)
def test_a_mistake_is_named(data: dict[str, object], message: str) -> None:
    """File, table, key, value and the nearest known key."""
    assert message in refusal(data)


SECRET = "SuperSecret-Password-1234567890-abcdefghijklmnop"


@pytest.mark.parametrize(
    "data",
    [
        {"cameras": [{"source": "rtsp", "urll": f"rtsp://administrator:{SECRET}@camera/main"}]},
        {"cameras": {"0": {"source": "rtsp", "url": f"rtsp://administrator:{SECRET}@camera/main"}}},
        {"cameras": [[{"url": f"rtsp://administrator:{SECRET}@camera/main"}]]},
        {"camras": [{"source": "rtsp", "url": f"rtsp://administrator:{SECRET}@camera/main"}]},
        {"model": f"administrator:{SECRET}@camera"},
        {"model": {"threads": [f"rtsp:/administrator:{SECRET}@camera", 1]}},
        {"model": {"tokn": SECRET}},
        {"model": {"Password": SECRET}},
        {"render": {"auth_token": {"a": SECRET}}},
    ],
)
def test_a_mistake_gives_no_password_away(data: dict[str, object]) -> None:
    """Not even the first half of a long password, whatever the key."""
    said = refusal(data)
    assert said.startswith("robot.toml: ")
    assert SECRET[:6] not in said


@pytest.mark.parametrize("assignment", ["web.token.x=hunter2222", "pipeline.url=rtsp://a:hunter2222@cam"])
def test_an_override_gives_no_password_away(assignment: str) -> None:
    """A path through something that is no table, with a secret behind it."""
    with pytest.raises(SettingsError) as caught:
        override({"pipeline": "rtsp", "web": {"token": "hunter2222"}}, [assignment])
    assert "hunter2222" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"cameras": {"source": "video"}}, "cameras = {...}: must be a list: write [[cameras]] above each"),
        ({"cameras": "a.mp4"}, 'cameras = "a.mp4": must be a list'),
        ({"model": "tiny"}, 'model = "tiny": must be a table: write [model] above its keys'),
        ({"model": [1, 2]}, "model = [1, 2]: must be a table"),
        ({"cameras": [5]}, "cameras.0 = 5: must be a table: write [[cameras]] above its keys"),
    ],
)
def test_the_expected_type_is_named_in_the_words_of_toml(data: dict[str, object], message: str) -> None:
    """The message has TOML's words, not Python's tuples, dictionaries and instances."""
    assert message in refusal(data)


def test_one_mistake_has_one_line() -> None:
    """A list whose only camera is wrong is not called too short as well."""

    class NeedsCameras(Settings):
        cameras: tuple[Camera, ...] = Field(min_length=1)

    with pytest.raises(SettingsError) as wrong:
        parse(NeedsCameras, {"cameras": [{"source": "video", "pth": 1, "path": "a"}]}, "x.toml")
    assert str(wrong.value) == 'x.toml: [cameras.0] unknown key "pth" = 1; did you mean "path"?'
    with pytest.raises(SettingsError) as none:
        parse(NeedsCameras, {"cameras": []}, "x.toml")
    assert str(none.value) == "x.toml: cameras = []: must have at least one entry"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Windows' Notepad writes one."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'\xef\xbb\xbfpipeline = "demo"\n')
    assert read_toml(path) == {"pipeline": "demo"}


def test_the_number_of_a_webcam_may_be_a_number() -> None:
    """A number and text are both accepted; other types are refused."""
    cameras = parse(Example, {"cameras": [{"source": "webcam", "device": 0}]}, "x.toml").cameras
    assert isinstance(cameras[0], WebcamCamera)
    assert cameras[0].device == "0"
    assert "device = true" in refusal({"cameras": [{"source": "webcam", "device": True}]})


def test_every_mistake_has_its_line() -> None:
    """Two mistakes, two lines."""
    assert len(refusal({"model": {"a": 1}, "render": {"b": 2}}).splitlines()) == 2


def test_an_mp4_must_be_called_so() -> None:
    """The recorder writes one format."""
    with pytest.raises(ValueError, match=r"must end in \.mp4"):
        RecordSettings(path="clip.avi")


def test_overrides_are_read_as_toml() -> None:
    """Numbers, booleans, lists and plain words; the given data is left alone."""
    data = {"model": {"name": "tiny"}, "cameras": [{"source": "video", "path": "a.mp4"}]}
    changed = override(
        data, ["model.name=midas_small", "model.threads=2", "cameras.0.loop=true", "cameras.0.path='b=c.mp4'"]
    )
    assert changed["model"] == {"name": "midas_small", "threads": 2}
    assert changed["cameras"] == [{"source": "video", "path": "b=c.mp4", "loop": True}]
    assert data["model"] == {"name": "tiny"}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.name", "expected table.key=value"),
        ("=3", "expected table.key=value"),
        ("cameras.1.path=x", "there are 1 entries"),
        ("cameras.first.path=x", "numbered from 0"),
        ("model.name.deep=1", "is not a table"),
        ("model.name.deep.er=1", "not inside a table"),
    ],
)
def test_a_bad_override_is_explained(assignment: str, message: str) -> None:
    """The message has the expected form and the assignment itself."""
    data = {"model": {"name": "tiny"}, "cameras": [{"source": "video"}]}
    with pytest.raises(SettingsError, match=message) as caught:
        override(data, [assignment])
    assert assignment in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such config file"),
        (b"[model", "not valid TOML"),
        (b"\xff\xfe\x00", "cannot be read as a config file"),
    ],
)
def test_unreadable_files_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    """Missing, broken and binary files each say what they are."""
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)
