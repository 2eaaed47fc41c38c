"""A file is written in one step."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from stream.core.atomic_write import atomic_replace, atomic_write


def test_it_is_written_with_its_folder(tmp_path: Path) -> None:
    """The file mode follows the umask, as with any other file."""
    path = tmp_path / "new" / "file"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    atomic_write(path, b"content")
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode == plain.stat().st_mode
    assert [other.name for other in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary file is left."""
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_finds_half_of_it(tmp_path: Path) -> None:
    """Four threads overwrite the file while it is read."""
    path, contents = tmp_path / "file", [bytes([letter]) * 100_000 for letter in b"abcd"]
    atomic_write(path, contents[0])
    writers = [threading.Thread(target=lambda c=c: [atomic_write(path, c) for _ in range(30)]) for c in contents]
    for writer in writers:
        writer.start()
    seen = [path.read_bytes() for _ in range(200)]
    for writer in writers:
        writer.join()
    assert all(content in contents for content in seen)
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """The partial content is removed."""
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fails() -> None:
        with atomic_replace(path) as unfinished:
            unfinished.write_bytes(b"half of the n")
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fails()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    """Each at a path of its own; the last to end wins."""
    path = tmp_path / "file"
    with atomic_replace(path) as first:
        first.write_bytes(b"first")
        with atomic_replace(path) as second:
            second.write_bytes(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
