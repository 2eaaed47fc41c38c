"""The configs that come with the package: found by name, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import stream
from pipelines.bundled import bundled, config_path, find_bundled
from pipelines.registry import RECIPES
from stream.errors import SettingsError

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))


def test_there_is_one_of_each_kind() -> None:
    """Its name is the pipeline's name."""
    assert list(bundled()) == NAMES == sorted(RECIPES)


def test_a_bare_name_is_a_bundled_config_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own file comes first."""
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
    """A path means the user's file: a bundled file of the same name may do other things."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as missing:
        config_path(Path(given))
    assert str(missing.value) == told


def test_an_unknown_name_is_an_error() -> None:
    """The error suggests a similar name."""
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

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def said(*words: str) -> str:
        return run("-m", "pipelines.cli.entry", *words)

    assert [line.split()[0] for line in said("config").splitlines()] == NAMES
    assert said("config", "serve") == (ROOT / "configs" / "serve.toml").read_text()
    assert "# graph" in said("check", "serve")
    alias = "import depthstream, sys; print(depthstream.Size(2, 3), 'torch' in sys.modules, depthstream.__file__)"
    size, has_torch, file = run("-c", alias).split()[-3:]
    assert (has_torch, Path(file).parent) == ("False", tmp_path / "site" / "depthstream"), size
    assert run("-m", "depthstream", "config", "serve") == said("config", "serve")


def test_the_package_has_the_name_of_the_distribution_too() -> None:
    """In an editable install: the same objects, and nothing of torch before a model is opened."""
    import depthstream

    assert depthstream.__all__ == stream.__all__ == dir(depthstream)
    assert all(getattr(depthstream, name) == getattr(stream, name) for name in stream.__all__)
    with pytest.raises(AttributeError, match="depthstream"):
        depthstream.nothing  # noqa: B018
