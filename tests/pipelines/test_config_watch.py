"""Changes of a config file, however they are made; the file's own time decides nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.process.config_watch import ConfigWatch

OLD_NS = 1_000_000_000 * 10**9
"""A time of writing long past, so that a file counts as settled."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "live.toml"
    write(path, "one")
    return path


def write(path: Path, text: str, at_ns: int = OLD_NS) -> None:
    path.write_text(text)
    os.utime(path, ns=(at_ns, at_ns))


def watching(path: Path) -> ConfigWatch:
    return ConfigWatch(path, poll_s=0.0)


def looks(watch: ConfigWatch, count: int = 4) -> int:
    """How many of some looks reported a change."""
    return sum(watch.changed() for _ in range(count))


def test_a_file_that_stays_as_it_is_has_not_changed(file: Path) -> None:
    """Also when it was written again with the same content, or touched."""
    watch = watching(file)
    assert looks(watch) == 0
    write(file, "one", OLD_NS + 1)
    assert looks(watch) == 0


def in_place(path: Path) -> None:
    write(path, "two!", OLD_NS + 1)


def by_rename(path: Path) -> None:
    write(path.with_suffix(".new"), "two")  # same size and time
    path.with_suffix(".new").replace(path)


def in_the_same_tick(path: Path) -> None:
    """Same inode, size and time: only for fresh files, which are read again at each look."""
    now_ns = path.stat().st_mtime_ns
    write(path, "two", now_ns)


@pytest.mark.parametrize("change", [in_place, by_rename])
def test_a_change_is_reported_once(file: Path, change: Callable[[Path], None]) -> None:
    watch = watching(file)
    change(file)
    assert not watch.changed(), "the first look that sees it cannot know that it is complete"
    assert looks(watch) == 1


def test_a_change_that_the_file_systems_clock_does_not_show(file: Path) -> None:
    """Two writes within one tick, of the same size."""
    file.write_text("one")
    watch = watching(file)
    in_the_same_tick(file)
    assert looks(watch) == 1


def test_a_file_is_read_when_it_is_complete(file: Path) -> None:
    """While it grows from look to look, nothing is reported."""
    watch = watching(file)
    for part in range(1, 6):
        write(file, "x" * part, OLD_NS + part)
        assert not watch.changed()
    assert looks(watch) == 1


def test_a_link_of_a_link_as_in_kubernetes(tmp_path: Path) -> None:
    """live.toml -> ..data/live.toml, ..data -> version; the update replaces ..data."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "live.toml", version)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "live.toml").symlink_to("..data/live.toml")
    watch = watching(tmp_path / "live.toml")
    assert looks(watch) == 0
    (tmp_path / "..new").symlink_to("v2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert looks(watch) == 1


def test_a_file_that_is_gone_and_comes_back(file: Path) -> None:
    """Gone is a change, and so is its return; in between there is nothing to report."""
    watch = watching(file)
    file.unlink()
    assert looks(watch) == 1
    write(file, "one")
    assert looks(watch) == 1


def test_what_was_read_meanwhile_is_known(file: Path) -> None:
    """A reload on request takes the content of that moment; the next look does not report it again."""
    watch = watching(file)
    write(file, "two", OLD_NS + 1)
    watch.forget()
    assert looks(watch) == 0


def test_it_looks_at_an_interval(file: Path) -> None:
    """However often it is asked."""
    watch = ConfigWatch(file, poll_s=3600.0)
    write(file, "two", OLD_NS + 1)
    assert looks(watch, 100) == 0
