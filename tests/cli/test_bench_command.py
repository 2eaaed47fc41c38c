"""`bench`: options that belong together, and what its tables say of what ran."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.benchmark.suite import BENCHMARKS, Measurement
from pipelines.cli.bench import engine, models
from pipelines.cli.bench.models import run_bench_models
from pipelines.cli.bench.suite import bench_table

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "auto", "--models"), "--engine and --models ask for different things"),
        (("--engine", "auto", "--only", "live"), "--engine and --only ask for different things"),
        (("--size", "256x192"), "--size is for --engine ENGINE only"),
        (("--batch", "8"), "--batch is for --engine ENGINE only"),
        (("--precision", "auto", "--only", "live"), "--precision is for --engine"),
        (("--weights", "random"), "--weights is for --engine"),
        (("--models", "--model", "tiny"), "with --models it is --only NAME"),
        (("--only", "lve"), 'no benchmark "lve"; did you mean "live"?'),
    ],
)
def test_an_option_that_would_change_nothing_is_an_error(
    options: tuple[str, ...], message: str, depthstream: Command
) -> None:
    """It is reported at once, even if its value is the default."""
    called = depthstream("bench", *options)
    assert called.status == 2
    assert message in called.err


def test_the_help_names_every_benchmark(depthstream: Command) -> None:
    """What --only takes."""
    words = depthstream("bench", "--help").out
    assert all(name in words for name in BENCHMARKS)


def test_the_caption_says_what_ran() -> None:
    """The networks in turn are compared at another size than the rest runs at."""
    measured = Measurement("latency", "0.2", 0.2, "<= 0.25", True, {})
    networks, everything = bench_table([measured], ["networks"]).caption, bench_table([measured], BENCHMARKS).caption
    assert networks == "networks: tiny and MiDaS_small at 256x192 with random weights: speed only"
    assert str(everything).startswith("MiDaS_small at 256x256 with random weights: speed only; networks: tiny")


@pytest.mark.slow
def test_what_was_not_run_is_null_in_the_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A network that is too much for a CPU: its arithmetic is known, its time is not."""
    monkeypatch.setattr(models, "one_of_each", lambda: [models.find("depth_anything_v2_large")])
    monkeypatch.setattr(models, "usable_gpu", lambda machine: None)
    assert run_bench_models(None, seconds=1.0, json_file=tmp_path / "a.json") == 0
    (model,) = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)["models"]
    assert (model["p50_ms"], model["memory_mib"]) == (None, None)
    assert math.isclose(model["gflop"], 2583.1, rel_tol=0.01)


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_does_not_lose_the_results(
    depthstream: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The requested JSON is written, and a line says that nothing was stored."""
    place = tmp_path / "is a file" / "x.bench.json"
    place.parent.write_text("")
    monkeypatch.setattr(engine, "_stored_at", lambda *arguments: place)
    how = ("--size", "96x64", "--batch", 1, "--seconds", 0.1, "--json", "curve.json")
    called = depthstream("bench", "--engine", "torchscript", *how)
    assert called.status == 0, called.err
    assert "not stored: " in called.err
    assert json.loads((tmp_path / "curve.json").read_text())["size"] == "96x64"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path) -> None:
    """`depthstream schema > FILE`: exit status 1, nothing from Python itself when it ends."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", "schema"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "depthstream: standard output cannot be written: No space left on device\n"
