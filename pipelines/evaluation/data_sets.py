"""The data sets of `depthstream eval`, by the name that ``--data`` takes."""

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
    """Open a data set by its name, or a folder of the user's own images; ``views`` is for ``synthetic`` only.

    Raises UsageError for a name that is neither a data set nor a folder, and SourceError for a folder that cannot be
    used.
    """
    if name == "synthetic":
        return HeldOutViews(views)
    if name == "motorcycle":
        return Motorcycle()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--data {name}: no such folder and no data set of that name{nearest(name, NAMES)}")
    return ImagesFolder(folder)
