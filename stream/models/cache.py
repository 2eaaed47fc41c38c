"""Paths in this machine's cache of files that can be downloaded or made again."""

from __future__ import annotations

import os
from pathlib import Path

from stream.models.base import HasWeights


def cache_folder() -> Path:
    """``DEPTHSTREAM_CACHE``, else ``XDG_CACHE_HOME``/depthstream, else ~/.cache/depthstream. It need not exist."""
    if configured := os.environ.get("DEPTHSTREAM_CACHE"):
        return Path(configured).expanduser().absolute()
    # the XDG base directory specification says to ignore a relative path
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "depthstream"


def trace_folder() -> Path:
    """Folder of the compiled networks."""
    return cache_folder() / "traces"


def weights_path(model: HasWeights) -> Path:
    """Path of the model's weights, whether the file exists or not."""
    if model.weights.url is None:
        return Path(__file__).with_name("data") / model.weights.filename
    return cache_folder() / "weights" / model.weights.filename


def converted_path(model: HasWeights) -> Path:
    """Path of the safetensors copy of the model's weights (see ``stream.models.checkpoint.safetensors_copy``)."""
    return cache_folder() / "converted" / f"{model.weights.filename}.safetensors"


def acceptance_path(model: HasWeights) -> Path:
    """Path of the record, next to the weights, that the user accepted their licence."""
    return cache_folder() / "weights" / f"{model.weights.filename}.licence.json"
