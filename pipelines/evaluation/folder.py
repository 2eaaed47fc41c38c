"""A folder of somebody's own pictures with depth: ``name.png`` or ``name.jpg`` beside ``name.npy``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.evaluation.sample import Sample
from stream.errors import SourceError
from stream.frames import Floats
from stream.metrics.fit import DEPTH_CAP_M
from stream.sources.images import read_picture

SUFFIXES = (".jpeg", ".jpg", ".png")
FORM = "name.png or name.jpg, and name.npy: (H, W) metres, NaN where unknown"


class PairsFolder:
    """Pictures in the order of their names; NaN, 0 and below count as unknown, inf as sky.

    Raises SourceError, naming the file, for a folder without pairs or with a file that lacks its partner; and when
    reading, for depth that is not (H, W) numbers of the picture's size or not known anywhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._pairs = folder, _pairs(folder)

    @property
    def name(self) -> str:
        return self._folder.resolve().name

    @property
    def about(self) -> str:
        return f"{self._folder}: {len(self)} picture{'s' * (len(self) != 1)}"

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Sample]:
        for picture, depth in self._pairs:
            image = read_picture(picture)
            yield Sample(picture.stem, self.name, image, _read_depth(depth, picture, image.shape[:2]))


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    try:
        files = sorted(child for child in folder.iterdir() if child.is_file())
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read: {error.strerror}; give a folder with {FORM}") from error
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    depths = [file for file in files if file.suffix.lower() == ".npy"]
    if not pictures and not depths:
        raise SourceError(f"{folder}: nothing to evaluate in it; it should hold {FORM}")
    by_stem: dict[str, Path] = {}
    for picture in pictures:
        if picture.stem in by_stem:
            raise SourceError(f"{picture}: {by_stem[picture.stem].name} has the same depth file; rename one of them")
        by_stem[picture.stem] = picture
    lonely = {depth.stem for depth in depths} ^ set(by_stem)
    for file in files:
        if file.stem in lonely and file in (*pictures, *depths):
            missing = "picture" if file in depths else "depth file"
            raise SourceError(f"{file}: its {missing} is missing; expected {FORM}")
    return [(by_stem[depth.stem], depth) for depth in depths]


def _read_depth(path: Path, picture: Path, size: tuple[int, ...]) -> Floats:
    try:
        depth = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{path}: not a NumPy array file: {error}; write it with numpy.save") from error
    if not isinstance(depth, np.ndarray) or depth.shape != size or depth.dtype.kind not in "fiu":
        got = f"{depth.shape} {depth.dtype}" if isinstance(depth, np.ndarray) else "several arrays"
        raise SourceError(f"{path}: expected {size} numbers in metres, as {picture.name} has pixels; got {got}")
    truth: Floats = depth.astype(np.float32)
    if ((truth > 0) & (truth < DEPTH_CAP_M)).sum() < 2:
        raise SourceError(f"{path}: no depth from 0 to {DEPTH_CAP_M:g} m is in it, so nothing can be scored")
    return truth
