"""The import contracts cover everything: what is in none could import anything."""

from __future__ import annotations

import pkgutil
import tomllib
from pathlib import Path

import stream

ROOT = Path(__file__).parents[1]


def test_every_module_of_stream_has_a_layer_and_a_line_in_the_architecture() -> None:
    """A new one must say what it stands on; ``import-linter`` leaves out what its layers do not name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (each for each in settings["contracts"] if each["type"] == "layers")
    layered = {name for layer in contract["layers"] for name in layer.split(" | ")}
    modules = {f"stream.{module.name}" for module in pkgutil.iter_modules(stream.__path__)}
    assert modules == layered - {"pipelines"}
