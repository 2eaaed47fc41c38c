"""Config files: what passes, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from stream.config_file import override, parse, read_toml
from stream.errors import SettingsError
from stream.settings import Camera, ModelSettings, RecordSettings, RenderSettings, Settings


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
    """What was expected, with the assignment itself."""
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
