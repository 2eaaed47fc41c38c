"""Where files that can be fetched or made again are kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from stream.models.base import Trained


def cache_folder() -> Path:
    """``DEPTHSTREAM_CACHE``, else ``XDG_CACHE_HOME``/depthstream, else ~/.cache/depthstream; it need not exist.

    The XDG base directory specification says to ignore a relative ``XDG_CACHE_HOME``.
    """
    if own := os.environ.get("DEPTHSTREAM_CACHE"):
        return Path(own).expanduser().absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "depthstream"


def trace_folder() -> Path:
    """Where compiled networks are kept."""
    return cache_folder() / "traces"


def weights_path(model: Trained) -> Path:
    """Where the model's weights belong, whether they are there or not."""
    if model.weights.url is None:
        return Path(__file__).with_name("data") / model.weights.filename
    return cache_folder() / "weights" / model.weights.filename


def converted_path(model: Trained) -> Path:
    """Where the safetensors copy of the model's weights belongs (see ``stream.models.checkpoint.safetensors_copy``)."""
    return cache_folder() / "converted" / f"{model.weights.filename}.safetensors"


def acceptance_path(model: Trained) -> Path:
    """Where it is kept that somebody accepted the licence of the model's weights: beside them."""
    return cache_folder() / "weights" / f"{model.weights.filename}.licence.json"
