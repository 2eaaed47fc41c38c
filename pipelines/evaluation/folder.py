"""A folder of the user's own images: ``name.png`` or ``name.jpg``, with ground truth where ``name.npy`` exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.evaluation.sample import Sample
from stream.errors import SourceError
from stream.frames import Floats
from stream.metrics.fit import DEPTH_CAP_M
from stream.sources.images import read_image

SUFFIXES = (".jpeg", ".jpg", ".png")
FORM = "name.png or name.jpg, and for each where depth is known name.npy: (H, W) metres, NaN where unknown"


class ImagesFolder:
    """Images in alphabetical order; in their depth NaN, 0 and negative values count as unknown, inf as sky.

    Raises SourceError, naming the file, for a folder without images and for a depth file without an image. Iterating
    raises SourceError for depth that is not an (H, W) array of numbers of the image's size, or is unknown everywhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._pairs = folder, _pairs(folder)

    @property
    def name(self) -> str:
        return self._folder.resolve().name

    @property
    def about(self) -> str:
        known = sum(depth is not None for _, depth in self._pairs)
        return f"{self._folder}: {len(self)} image{'s' * (len(self) != 1)}, {known or 'none'} with depth"

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Sample]:
        for image_path, depth_path in self._pairs:
            image = read_image(image_path)
            ground_truth = None if depth_path is None else _read_depth(depth_path, image_path, image.shape[:2])
            yield Sample(image_path.stem, self.name, image, ground_truth)


def _pairs(folder: Path) -> list[tuple[Path, Path | None]]:
    try:
        files = sorted(child for child in folder.iterdir() if child.is_file())
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read: {error.strerror}; give a folder with {FORM}") from error
    image_paths = [file for file in files if file.suffix.lower() in SUFFIXES]
    depths = {file.stem: file for file in files if file.suffix.lower() == ".npy"}
    if not image_paths and not depths:
        raise SourceError(f"{folder}: nothing to evaluate in it; it should hold {FORM}")
    by_stem: dict[str, Path] = {}
    for image_path in image_paths:
        if image_path.stem in by_stem:
            raise SourceError(
                f"{image_path}: {by_stem[image_path.stem].name} has the same depth file; rename one of them"
            )
        by_stem[image_path.stem] = image_path
    for stem, depth in depths.items():
        if stem not in by_stem:
            raise SourceError(f"{depth}: its image is missing; expected {FORM}")
    return [(image_path, depths.get(stem)) for stem, image_path in by_stem.items()]


def _read_depth(path: Path, image_path: Path, size: tuple[int, ...]) -> Floats:
    try:
        depth = np.load(path, allow_pickle=False)  # unpickling a file of the user's could run code
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{path}: not a NumPy array file: {error}; write it with numpy.save") from error
    if not isinstance(depth, np.ndarray) or depth.shape != size or depth.dtype.kind not in "fiu":
        got = f"{depth.shape} {depth.dtype}" if isinstance(depth, np.ndarray) else "several arrays"
        raise SourceError(f"{path}: expected {size} numbers in metres, as {image_path.name} has pixels; got {got}")
    ground_truth: Floats = depth.astype(np.float32)
    if ((ground_truth > 0) & (ground_truth < DEPTH_CAP_M)).sum() < 2:
        raise SourceError(f"{path}: no depth from 0 to {DEPTH_CAP_M:g} m is in it, so nothing can be scored")
    return ground_truth
