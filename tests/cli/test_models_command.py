"""`depthstream models`: a list without torch, paths, checks, and a download that explains itself."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import models as models_command
from pipelines.cli.models import ALL
from stream.models.cache import acceptance_path
from stream.models.catalog import find

Command = Callable[..., Any]


def test_the_list_says_what_each_network_is(depthstream: Command) -> None:
    """Name, what it gives, parameters, licence, size, and whether the weights are here."""
    called = depthstream("models", "list")
    assert called.status == 0
    rows = {words[0]: " ".join(words[1:]) for line in called.out.splitlines() if (words := line.split())}
    assert rows["tiny"] == "relative 0.9 M Apache-2.0 1.9 yes"
    assert rows["midas_small"] == "relative 21.3 M MIT ~85 no"
    assert rows["depth_anything_v2_indoor_base"] == "metres 97.5 M CC-BY-NC-4.0 * 390 no"
    assert rows["efficientvit_sam_l0"].startswith("masks 34.8 M Apache-2.0")


def test_the_list_fits_eighty_columns(depthstream: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off or wrapped, however many networks there are; the notes below may be longer."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = depthstream("models", "list").out.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert not any("…" in line for line in lines)
    first_words = [line.split()[0] for line in lines if line.split()]
    assert [word for word in first_words if word in {model.name for model in ALL}] == [model.name for model in ALL]


def test_the_list_as_json(depthstream: Command, cache_folder: Path) -> None:
    """The same for programs; only the embedded weights are here."""
    models = {m["name"]: m for m in json.loads(depthstream("models", "list", "--json").out)}
    assert models["tiny"]["weights"]["cached"] is True
    assert models["midas_small"]["weights"]["cached"] is False
    assert models["midas_small"]["weights"]["path"].startswith(str(cache_folder))
    restricted = models["depth_anything_v2_large"]["weights"]
    assert restricted["requires_acceptance"] is True
    assert restricted["restrictions"]["forbids"] == "commercial use"
    assert restricted["accepted"] is None
    assert models["tiny"]["weights"]["restrictions"] is None
    assert models["efficientvit_sam_l0"]["kind"] == "masks"


def test_the_embedded_weights_verify(depthstream: Command) -> None:
    """Hash as published, every tensor fits."""
    called = depthstream("models", "verify", "tiny")
    assert called.status == 0, called.err
    assert "tensors fit tiny" in called.out
    assert "as published" in called.out


def test_damaged_weights_do_not_verify(depthstream: Command) -> None:
    """One line that says to delete the file and pull again."""
    with damaged(depthstream, "midas_small"):
        called = depthstream("models", "verify", "midas_small")
    assert called.status == 1
    assert "depthstream models pull midas_small" in called.err
    assert len(called.err.strip().splitlines()) == 1


@pytest.mark.parametrize("names", [[], ["midas_small", "tiny"]])
def test_one_bad_file_does_not_hide_the_others(depthstream: Command, names: list[str]) -> None:
    """All in the cache, or all that are named, are reported; the exit status says that one is bad."""
    with damaged(depthstream, "midas_small"):
        called = depthstream("models", "verify", *names)
    assert called.status == 1
    assert "midas_v21_small_256.pt: damaged" in called.err
    assert "tensors fit tiny" in called.out


@pytest.mark.slow
def test_without_names_what_is_not_here_is_not_missed(depthstream: Command) -> None:
    """Only weights that are here are looked at; a name that is given must be here."""
    called = depthstream("models", "verify")
    assert called.status == 0, called.err
    assert "fit tiny" in called.out
    assert "midas_small" not in called.out + called.err
    called = depthstream("models", "verify", "tiny", "midas_small")
    assert called.status == 1
    assert "models pull midas_small" in called.err


def test_a_licence_that_forbids_something_must_be_accepted(depthstream: Command, cache_folder: Path) -> None:
    """A usage error of one line; nothing is fetched, no folder is made."""
    called = depthstream("models", "pull", "depth_anything_v2_base")
    assert called.status == 2
    assert len(called.err.strip().splitlines()) == 1
    for words in ("CC-BY-NC-4.0", "commercial use", "depth_anything_v2_base --accept-licence"):
        assert words in called.err
    assert not (cache_folder / "weights" / "depth_anything_v2_vitb.pth.part").exists()


def test_a_download_is_announced_first(depthstream: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Licence, source and size are printed even if the server does not answer; the address is a closed port."""
    model = find("depth_anything_v2_base")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        weights = replace(model.weights, url=f"http://127.0.0.1:{free.getsockname()[1]}/weights.pth")
        monkeypatch.setattr(models_command, "ALL", (replace(model, weights=weights),))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        called = depthstream("models", "pull", model.name, "--accept-licence")
    assert called.status == 1
    lines = called.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["weights", "licence", "address", "size", "depthstream"]
    assert "CC-BY-NC-4.0, which forbids commercial use" in lines[1]
    assert "390.0 MB" in lines[3]
    assert "refused" in lines[4]
    accepted_at_path = acceptance_path(model)
    assert json.loads(accepted_at_path.read_text())["licence"] == "CC-BY-NC-4.0"
    accepted_at_path.unlink()


@contextmanager
def damaged(depthstream: Command, name: str) -> Iterator[None]:
    """A file in the place of the network's weights that is not what it starts as."""
    path = Path(depthstream("models", "path", name).out.strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    yield
    path.unlink()


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


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"], ["schema"]])
def test_torch_is_not_loaded_for_this(arguments: list[str]) -> None:
    """Answers that need no network do not wait for torch."""
    code = (
        f"import sys; sys.argv = ['depthstream', *{arguments!r}]\n"
        "from pipelines.cli.entry import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    """`depthstream schema | head -1`."""
    command = f"{sys.executable} -m pipelines schema | head -n 1"
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
