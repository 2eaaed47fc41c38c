"""The configs that come with the package: found by name, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.bundled import bundled, config_path, find_bundled
from pipelines.registry import RECIPES
from stream.errors import SettingsError

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))


def test_there_is_one_of_each_kind() -> None:
    """By the name of its pipeline."""
    assert list(bundled()) == NAMES == sorted(RECIPES)


def test_a_bare_name_is_a_bundled_config_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's own file comes first."""
    monkeypatch.chdir(tmp_path)
    assert config_path(Path("serve")) == ROOT / "configs" / "serve.toml"
    Path("serve").write_text('pipeline = "demo"\n')
    assert config_path(Path("serve")) == Path("serve")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("serve.toml", "serve.toml: no such config file; to begin with one: depthstream config serve > serve.toml"),
        (
            "my/serve.toml",
            "my/serve.toml: no such config file; to begin with one: depthstream config serve > serve.toml",
        ),
        ("my/serve", "my/serve: no such config file; to begin with one: depthstream config serve > serve"),
        ("other.toml", "other.toml: no such config file"),
        ("sreve", 'sreve: no such config file, and no bundled one has this name; did you mean "serve"?'),
    ],
)
def test_a_missing_file_is_never_replaced(
    given: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes a path means a file: of that name another one may come with the package, and does other things."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as missing:
        config_path(Path(given))
    assert str(missing.value) == told


def test_a_name_that_none_has_is_told() -> None:
    """With the near one."""
    with pytest.raises(SettingsError, match='no config named rtps comes with depthstream; did you mean "rtsp"'):
        find_bundled("rtps")


@pytest.mark.slow
def test_the_wheel_brings_them(tmp_path: Path) -> None:
    """Built for real, and run from another folder with nothing of this checkout."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert {path.stem for path in (tmp_path / "site" / "pipelines" / "configs").iterdir()} == set(NAMES)

    def said(*words: str) -> str:
        command = [sys.executable, "-m", "pipelines.cli.entry", *words]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert [line.split()[0] for line in said("config").splitlines()] == NAMES
    assert said("config", "serve") == (ROOT / "configs" / "serve.toml").read_text()
    assert "# graph" in said("check", "serve")
