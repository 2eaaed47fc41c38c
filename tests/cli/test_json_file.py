"""`--json`: into a file, a pipe, on standard output; refused before the work where it could not be written after it."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.json_file import check_writable, write_json
from stream.errors import SinkError, UsageError

Command = Callable[..., Any]


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    """JSON has no NaN: other readers refuse it."""
    path = tmp_path / "a.json"
    write_json(path, {"p50": math.nan, "all": [1.5, math.inf, {"b": -math.inf}], "n": (1, None, "NaN", True)})
    assert "Infinity" not in path.read_text()
    assert json.loads(path.read_text()) == {"p50": None, "all": [1.5, None, {"b": None}], "n": [1, None, "NaN", True]}


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """As is a device: neither is replaced by a file."""
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    check_writable(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_json(pipe, {"a": 1})
    reader.join(10)
    assert json.loads(read[0]) == {"a": 1}
    assert pipe.is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it points at is written, whether it is there or not."""
    link, target = tmp_path / "latest.json", tmp_path / "runs" / "5.json"
    target.parent.mkdir()
    link.symlink_to(target)
    for value in (1, 2):
        check_writable(link)
        write_json(link, value)
        assert link.is_symlink()
        assert json.loads(target.read_text()) == value


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_by_its_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And no file that is called so."""
    check_writable(Path(name))
    write_json(Path(name), {"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_a_run_on_standard_output_is_json_only(depthstream: Command, tmp_path: Path) -> None:
    """The table goes to standard error: what is piped on can be read."""
    camera = 'cameras=[{source="synthetic", pace="fast", width=64, height=48, fps=10, seconds=0.3}]'
    called = depthstream("run", "video", "--set", camera, "--set", "record.path=out.mp4", "--json", "-")
    assert called.status == 0, called.err
    assert json.loads(called.out)["error"] is None
    assert "time in each stage" in called.err
    assert not (tmp_path / "-").exists()


def test_a_folder_is_refused_before_the_work(depthstream: Command, tmp_path: Path) -> None:
    """Not after an hour of evaluation; an unset variable means the folder one is in."""
    for path in (tmp_path, ""):
        called = depthstream("eval", "--json", path)
        assert called.status == 2
        assert "is a folder" in called.err
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(SinkError, match="nowhere"):
        check_writable(tmp_path / "nowhere" / "a.json")
