"""Every name of TensorRT that the code uses is in every TensorRT it is for, and in the list of names."""

from __future__ import annotations

import ast
import json
import logging
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType

import pytest

import stream.engines.tensorrt.names as listed
from stream.engines.tensorrt import api
from stream.engines.tensorrt.names import Flavour, missing_names
from stream.errors import MissingPackage

Members = Mapping[str, Collection[str]]

RELEASES = {
    "tensorrt-10.16": "tensorrt",
    "tensorrt-11.4": "tensorrt",
    "tensorrt_rtx-1.7": "tensorrt_rtx",
}
"""Files of the names in NVIDIA's bindings, in ``trtstub``, and their flavour."""

OTHER = {"DEBUG", "__version__", "errors", "flavour", "logger", "module", "version"}
"""Attributes of logging, of the package itself, and of our TensorRT."""


def members_of(file: str) -> Members:
    content = json.loads((Path(__file__).parent / "trtstub" / f"{file}.json").read_text(encoding="utf-8"))
    members: Members = content["members"]
    return members


@pytest.mark.parametrize("file", RELEASES)
def test_every_name_is_in_the_release(file: str) -> None:
    """Names as NVIDIA's own Python packages list them."""
    flavour: Flavour = "tensorrt_rtx" if RELEASES[file] == "tensorrt_rtx" else "tensorrt"
    assert missing_names(members_of(file), flavour) == []


def test_a_name_that_no_release_has_is_found() -> None:
    """The check above can fail."""
    members = dict(members_of("tensorrt-11.4"))
    members["Runtime"] = [name for name in members["Runtime"] if name != "deserialize_cuda_engine"]
    assert missing_names(members, "tensorrt") == ["Runtime.deserialize_cuda_engine"]
    assert "ComputeCapability.SM89" in missing_names(members, "tensorrt_rtx")


@pytest.mark.slow
def test_every_name_is_in_the_installed_package() -> None:
    """Of TensorRT-RTX in CI; of TensorRT where that is installed."""
    trt = installed()
    members = {name: dir(owner) for name, owner in vars(trt.module).items() if isinstance(owner, type)}
    bindings = sys.modules.get(f"{trt.flavour}_bindings", trt.module)
    members |= {name: dir(owner) for name, owner in vars(bindings).items() if isinstance(owner, type)}
    assert missing_names(members, trt.flavour) == []


def test_every_name_in_the_code_is_listed() -> None:
    """Whatever attribute the code touches that some class of TensorRT has is listed, and so is every class."""
    tables: list[Members] = [listed.NAMES, *listed.FLAVOUR_NAMES.values()]
    names = {name for table in tables for members in table.values() for name in members}
    classes = {owner for table in tables for owner in table}
    theirs = {name for file in RELEASES for members in members_of(file).values() for name in members}
    for file in sorted(Path(api.__file__).parent.glob("*.py")):
        touched = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
        assert {node.attr for node in touched} & theirs - names - OTHER == set(), file
        of_module = {node.attr for node in touched if ast.unparse(node.value) in ("trt", "trt.module", "module")}
        assert of_module - classes - OTHER == set(), file


def test_without_any_tensorrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both extras are named."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingPackage, match=r'pip install .*"tensorrt>=.*pip install .*"tensorrt-rtx>='):
        api.load.__wrapped__()


def test_an_old_tensorrt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """10.3 to 10.7 answer wrongly in silence."""
    old = ModuleType("tensorrt")
    old.__dict__["__version__"] = "10.7.0.23"
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(MissingPackage, match=r"tensorrt 10\.7\.0\.23 is older than 10\.16: pip install -U"):
        api.load.__wrapped__()


def test_a_tensorrt_whose_libraries_are_missing_is_passed_over_with_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A broken package is not the same as none: the log says so."""
    (tmp_path / "tensorrt.py").write_text("import libnvinfer_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with caplog.at_level(logging.WARNING), pytest.raises(MissingPackage):
        api.load.__wrapped__()
    assert "tensorrt is installed but cannot be imported" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n", "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (a@b)\n", "580.65.06"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  590.12  Fri\nGCC version:  gcc 13.2.0\n", "590.12"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_driver_is_read_from_the_system(tmp_path: Path, text: str | None, expected: str) -> None:
    """As NVIDIA's kernel modules write it."""
    if text is not None:
        (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
        (tmp_path / "proc/driver/nvidia/version").write_text(text)
    assert api.driver_version(tmp_path) == expected


def test_complaints_are_one_line_and_then_forgotten() -> None:
    """The first one is the cause."""
    errors = api.ErrorLog()
    errors.add("no room:\n  40 MiB")
    errors.add("so it failed")
    assert errors.take() == "no room: 40 MiB"
    assert errors.take() == "it does not say why"


def installed() -> api.TensorRT:
    try:
        return api.load()
    except MissingPackage as error:
        pytest.skip(str(error))
