"""The results of a run: its JSON, its table and its error; one that fails does not hide the others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.cli.run import run_pipeline
from pipelines.cli.table import stats_table
from stream.errors import SinkError, SourceError
from stream.frames import Frame
from stream.runtime.pipeline import Pipeline

FrameMaker = Callable[..., Frame]
HOW: dict[str, Any] = {"seconds": None, "stats_every_s": None}


def pipeline(make_frame: FrameMaker, value: Any = math.nan, error: Exception | None = None) -> Pipeline:
    """Three frames, then perhaps an error."""

    def capture(stopping: object) -> Iterator[Frame]:
        yield from (make_frame(seq) for seq in range(3))
        if error:
            raise error

    pipe = Pipeline("short")
    pipe.source("capture", capture)
    pipe.add_statistics("flicker", lambda: {"cam0 raw": value, "cam0 steady": 2.5, "frames": 3.0})
    return pipe


def printed(pipe: Pipeline) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(stats_table(pipe.stats()))
    return captured.get()


@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf])
def test_what_is_not_known_yet_is_a_dash_in_the_table(make_frame: FrameMaker, unknown: float) -> None:
    """The flicker of a camera before which nothing has stood still."""
    assert "cam0 raw -, cam0 steady 2.5, frames 3" in printed(pipeline(make_frame, unknown))


def test_unknown_statistics_are_null_in_the_json(make_frame: FrameMaker, tmp_path: Path) -> None:
    """And the run ends well."""
    assert run_pipeline(pipeline(make_frame), json_file=tmp_path / "run.json", **HOW) == 0
    statistics = json.loads((tmp_path / "run.json").read_text())["statistics"]["flicker"]
    assert statistics == {"cam0 raw": None, "cam0 steady": 2.5, "frames": 3.0}


def test_a_table_that_fails_hides_neither_the_runs_error_nor_its_json(make_frame: FrameMaker, tmp_path: Path) -> None:
    """A statistic that is no number cannot be put into the table."""
    pipe = pipeline(make_frame, value="many", error=SourceError("the camera fell off"))
    with pytest.raises(SourceError, match="the camera fell off"):
        run_pipeline(pipe, json_file=tmp_path / "run.json", **HOW)
    data = json.loads((tmp_path / "run.json").read_text())
    assert data["error"] == "the camera fell off"
    assert data["accounts"][0]["captured"] == 3


def test_a_file_that_cannot_be_written_is_reported_unless_the_run_failed(
    make_frame: FrameMaker, tmp_path: Path
) -> None:
    """The file could be written at the start; of two errors the run's own is raised."""
    for error, raised in ((None, SinkError), (SourceError("the camera fell off"), SourceError)):
        path, pipe = tmp_path / f"{raised.__name__}.json", pipeline(make_frame, error=error)

        def get_in_the_way(path: Path = path) -> dict[str, float]:
            path.mkdir(exist_ok=True)  # meanwhile: before the run it would have been refused
            return {}

        pipe.add_statistics("disk", get_in_the_way)
        with pytest.raises(raised):
            run_pipeline(pipe, json_file=path, **HOW)
