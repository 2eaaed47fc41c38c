"""`check` and `schema`: what a config file means, and what is wrong with it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo import DemoSettings
from pipelines.registry import RECIPES
from stream.core.config_file import parse, read_toml

CONFIGS = Path(__file__).parents[2] / "configs"
Command = Callable[..., Any]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_a_config_that_checks(name: str, depthstream: Command) -> None:
    """Resolved settings as TOML that could be used again, then the graph."""
    called = depthstream("check", CONFIGS / f"{name}.toml")
    assert called.status == 0, called.err
    assert tomllib.loads(called.out)["pipeline"] == name
    assert "# graph" in called.out
    assert "capture" in called.out


def test_the_demo_config_is_what_demo_runs() -> None:
    """`depthstream demo` and `depthstream run configs/demo.toml` are the same pipeline."""
    assert parse(DemoSettings, read_toml(CONFIGS / "demo.toml"), "demo.toml") == DemoSettings(pipeline="demo")


def test_checking_opens_nothing(depthstream: Command, tmp_path: Path) -> None:
    """The video of the config does not exist, and nothing is written."""
    assert depthstream("check", CONFIGS / "video.toml").status == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            'pipeline = "demo"\n[model]\nenigne = "auto"',
            '[model] unknown key "enigne" = "auto"; did you mean "engine"?',
        ),
        ('pipeline = "demo"\n[model]\nthreads = "many"', '[model] threads = "many": '),
        ('pipeline = "demo"\n[model]\nname = "tinny"', 'no model "tinny"; did you mean "tiny"?'),
        ('pipeline = "demo"\n[model]\nside = 100', "[model] side = 100: tiny needs a multiple of 32"),
        ('pipeline = "dmeo"', 'pipeline = "dmeo" does not exist; did you mean "demo"?'),
        ("[model]", 'key "pipeline" is missing; known: demo, objects, robot, rtsp, serve, video, webcam'),
        ("pipeline =", "not valid TOML"),
    ],
)
def test_a_wrong_config_is_a_usage_error(content: str, message: str, depthstream: Command, tmp_path: Path) -> None:
    """Exit status 2, one line with the file's name, no traceback."""
    config = tmp_path / "wrong.toml"
    config.write_text(content)
    called = depthstream("check", config)
    assert called.status == 2
    assert message in called.err
    assert "wrong.toml" in called.err or "model" in message
    assert len(called.err.strip().splitlines()) == 1


def test_two_cameras_of_one_name_are_refused(depthstream: Command) -> None:
    """Their frames and files could not be distinguished."""
    both = '[{source="video", path="a.mp4"}, {source="video", path="b.mp4"}]'
    called = depthstream("check", CONFIGS / "video.toml", "--set", f"cameras={both}")
    assert called.status == 2
    assert 'two cameras are called "video"' in called.err


def test_set_changes_what_is_checked(depthstream: Command) -> None:
    """The resolved settings show the change."""
    called = depthstream("check", CONFIGS / "demo.toml", "--set", "camera.seed=7", "--set", "render.colormap=turbo")
    resolved = tomllib.loads(called.out)
    assert resolved["camera"]["seed"] == 7
    assert resolved["render"]["colormap"] == "turbo"


def test_the_schema_knows_every_recipe(depthstream: Command) -> None:
    """JSON that names each pipeline's settings and refuses unknown keys."""
    schema = json.loads(depthstream("schema").out)
    assert {"DemoSettings", "VideoSettings"} <= set(schema["$defs"])
    assert schema["$defs"]["ModelSettings"]["additionalProperties"] is False


def test_a_token_is_not_shown(depthstream: Command, tmp_path: Path) -> None:
    """Neither a good one nor one that is too short."""
    good, short = "a-token-of-many-letters", "short-one"
    config = tmp_path / "serve.toml"
    config.write_text(f'pipeline = "serve"\n[web]\ntoken = "{good}"\n')
    shown = depthstream("check", str(config))
    assert shown.status == 0
    assert 'token = "***"' in shown.out
    refused = depthstream("check", str(config), "--set", f"web.token={short}")
    assert refused.status == 2
    assert "token = ***: " in refused.err
    for secret in (good, short):
        assert secret not in shown.out + shown.err + refused.out + refused.err


def test_no_password_is_shown_wherever_it_was_put(depthstream: Command, tmp_path: Path) -> None:
    """In the address of a stream, in the path of a file, in an error; not even if a slash is missing."""
    config = tmp_path / "live.toml"
    config.write_text(
        'pipeline = "serve"\n'
        '[[cameras]]\nsource = "url"\nname = "a"\nurl = "http://cam/x?user=a&password=hunter2222"\n'
        '[[cameras]]\nsource = "video"\nname = "b"\npath = "rtsp://u:hunter2222@h/x"\n'
        '[[cameras]]\nsource = "video"\nname = "c"\npath = "u:hunter2222@h/x"\n'
    )
    shown = depthstream("check", config)
    assert shown.status == 0, shown.err
    wrong = depthstream("check", config, "--set", "cameras.0.stall=2")
    assert wrong.status == 2
    assert 'unknown key "stall" = 2' in wrong.err
    no_file = depthstream("run", "rtsp://u:hunter2222@h/x")
    assert no_file.status == 2
    assert "is an address, not a config file" in no_file.err
    for called in (shown, wrong, no_file):
        assert "hunter" not in called.out + called.err


@pytest.mark.parametrize("kind", ["video", "images"])
def test_a_recording_may_not_replace_what_is_read(kind: str, depthstream: Command, tmp_path: Path) -> None:
    """By another spelling, too, and where the name of the camera makes them the same."""
    (tmp_path / "clip.mp4").write_bytes(b"precious")
    camera = f'cameras=[{{source="{kind}", name="clip", path="{tmp_path}/clip.mp4"}}]'
    for path in ("clip.mp4", "./{camera}.mp4"):
        called = depthstream("check", CONFIGS / "video.toml", "--set", camera, "--set", f"record.path={path}")
        assert called.status == 2
        assert f'video.toml: [record] path = "{path}" is what camera "clip" reads' in called.err
    other = depthstream("check", CONFIGS / "video.toml", "--set", camera, "--set", "record.path=other.mp4")
    assert other.status == 0


def test_an_error_that_a_network_finds_names_the_file(depthstream: Command) -> None:
    """Not only what is wrong by itself."""
    called = depthstream("check", CONFIGS / "video.toml", "--set", "model.name=tinny")
    assert called.status == 2
    assert 'video.toml: no model "tinny"' in called.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("web.address=foo", 'web address "foo": write HOST:PORT'),
        ("web.address=127.0.0.1", "write HOST:PORT"),
        ("web.address=:8080", "write HOST:PORT"),
        ("web.address=127.0.0.1:99999", "write HOST:PORT"),
        ("render.low=nan", "[render] low = nan: input should be a finite number"),
        ("render.high=inf", "finite number"),
        ("render.half_life_s=inf", "finite number"),
        ('cameras.0.name=""', '[cameras.0] name = "": must have'),
        ('cameras.0.name="a\\nb"', "no line breaks"),
        ("cameras.0.url=http://127.0.0.1/x", 'source = "rtsp"'),
    ],
)
def test_what_cannot_run_does_not_pass(change: str, message: str, depthstream: Command) -> None:
    """Found by `check`, not by the first try."""
    camera = 'cameras=[{source="rtsp", name="door", url="rtsp://127.0.0.1/x"}]'
    called = depthstream("check", CONFIGS / "serve.toml", "--set", camera, "--set", change)
    assert called.status == 2, called.out
    assert message in called.err
    assert "serve.toml: " in called.err
