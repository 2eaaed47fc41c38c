"""`depthstream models`: a list without torch, paths, checks, and a download that explains itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def test_the_list_says_what_each_network_is(depthstream: Command) -> None:
    """Name, size, meaning, licence, origin, and whether the weights are here."""
    called = depthstream("models", "list")
    assert called.status == 0
    for word in ("tiny", "0.9 M", "midas_small", "21.3 M", "relative inverse", "MIT", "the package", "github.com"):
        assert word in called.out


def test_the_list_as_json(depthstream: Command, cache_folder: Path) -> None:
    """The same for programs; only the embedded weights are here."""
    models = {m["name"]: m for m in json.loads(depthstream("models", "list", "--json").out)}
    assert models["tiny"]["weights"]["here"] is True
    assert models["midas_small"]["weights"]["here"] is False
    assert models["midas_small"]["weights"]["path"].startswith(str(cache_folder))


def test_the_embedded_weights_verify(depthstream: Command) -> None:
    """Hash as published, every tensor fits."""
    called = depthstream("models", "verify", "tiny")
    assert called.status == 0, called.err
    assert "tensors fit tiny" in called.out
    assert "as published" in called.out


def test_damaged_weights_do_not_verify(depthstream: Command) -> None:
    """One line that says to delete the file and pull again."""
    path = Path(depthstream("models", "path", "midas_small").out.strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    called = depthstream("models", "verify", "midas_small")
    path.unlink()
    assert called.status == 1
    assert "depthstream models pull midas_small" in called.err
    assert len(called.err.strip().splitlines()) == 1


@pytest.mark.parametrize("action", ["pull", "verify", "path"])
def test_an_unknown_name_is_a_usage_error(action: str, depthstream: Command) -> None:
    """With the nearest name."""
    called = depthstream("models", action, "tinny")
    assert called.status == 2
    assert 'did you mean "tiny"?' in called.err


def test_pulling_what_comes_with_the_package_is_done(depthstream: Command) -> None:
    """It prints where it is."""
    called = depthstream("models", "pull", "tiny")
    assert called.status == 0
    assert called.out.strip().endswith("tiny.safetensors")


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"], ["schema"]])
def test_torch_is_not_loaded_for_this(arguments: list[str]) -> None:
    """Answers that need no network do not wait for torch."""
    code = (
        f"import sys; sys.argv = ['depthstream', *{arguments!r}]\n"
        "from pipelines.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    """`depthstream schema | head -1`."""
    command = f"{sys.executable} -m pipelines.cli.app schema | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_importing_the_library_costs_numpy_not_torch() -> None:
    """Nor OpenCV, PyAV, pydantic or ZeroMQ."""
    code = (
        "import sys, stream; heavy = {'torch', 'cv2', 'av', 'zmq', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
