"""Compiled networks on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stream.engines.trace_cache import TraceCache

WRITER = """
import sys
from pathlib import Path
from stream.engines.trace_cache import TraceCache
for i in range(50):
    TraceCache(Path(sys.argv[1])).write("net", "key", sys.argv[2].encode() * 100_000)
"""


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Under its key only."""
    cache = TraceCache(tmp_path / "new" / "folder")
    cache.write("net", "key", b"content\nwith lines\n")
    assert cache.read("net", "key") == b"content\nwith lines\n"
    assert cache.read("net", "other") is None


def test_without_a_folder_nothing_is_kept() -> None:
    """None is not a place."""
    cache = TraceCache(None)
    cache.write("net", "key", b"content")
    assert cache.read("net", "key") is None


def test_a_file_made_from_something_else_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Even if it lies under the right name."""
    cache = TraceCache(tmp_path)
    cache.write("net", "one", b"content")
    first = next(tmp_path.iterdir())
    cache.write("net", "two", b"content")
    second = next(path for path in tmp_path.iterdir() if path != first)
    second.write_bytes(first.read_bytes())
    assert cache.read("net", "two") is None
    assert "made from something else" in caplog.text


def test_processes_that_write_the_same_leave_one_whole_file(tmp_path: Path) -> None:
    """The last writer wins, no temporary file stays, and no reader ever gets a mixture."""
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), text]) for text in ("a", "b")]
    cache, seen = TraceCache(tmp_path), set()
    while any(process.poll() is None for process in processes):
        seen.add(cache.read("net", "key"))
    seen.add(cache.read("net", "key"))
    assert [process.returncode for process in processes] == [0, 0]
    assert seen <= {None, b"a" * 100_000, b"b" * 100_000}
    assert len(list(tmp_path.iterdir())) == 1
