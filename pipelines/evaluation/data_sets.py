"""The data sets there are, by the name one types."""

from __future__ import annotations

from pathlib import Path

from pipelines.evaluation.folder import ImagesFolder
from pipelines.evaluation.held_out import HeldOutViews
from pipelines.evaluation.motorcycle import Motorcycle
from pipelines.evaluation.sample import DataSet
from stream.core.suggest import nearest
from stream.errors import UsageError

NAMES = ("synthetic", "motorcycle")


def open_data_set(name: str, *, views: int) -> DataSet:
    """``views`` is for the synthetic one. Raises UsageError for a name that is no folder either, and SourceError."""
    if name == "synthetic":
        return HeldOutViews(views)
    if name == "motorcycle":
        return Motorcycle()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--data {name}: no such folder and no data set of that name{nearest(name, NAMES)}")
    return ImagesFolder(folder)
