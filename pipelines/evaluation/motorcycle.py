"""The motorcycle of the Middlebury 2014 stereo data set (Scharstein et al.), as shipped in the scikit-image wheel.

It is a real image with measured depth and a test: train nothing on it and select nothing by it. The files are read
from the installed wheel directly, because ``skimage.data.stereo_motorcycle`` imports much and may download.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipelines.evaluation.sample import Sample
from stream.core.optional import install_command
from stream.errors import MissingPackage
from stream.frames import Floats
from stream.sources.images import read_image

FOCAL_PX, BASELINE_M, OFFSET_PX = 994.978, 0.193001, 31.086
"""The pair's calibration at this size (docstring of ``stereo_motorcycle``). The offset is the distance between the two
principal points."""


class Motorcycle:
    """One image, 741x500, depth 2.1 to 5.0 m with 7% of the pixels unknown. Raises MissingPackage without the wheel."""

    name = "motorcycle"
    about = "Middlebury 2014 motorcycle, left view, 741x500, from the scikit-image wheel"

    def __init__(self) -> None:
        self._folder = _folder()

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Sample]:
        with np.load(self._folder / "motorcycle_disp.npz") as file:
            ground_truth = metres(file[file.files[0]])
        yield Sample("motorcycle", "motorcycle", read_image(self._folder / "motorcycle_left.png"), ground_truth)


def metres(disparity_px: Floats) -> Floats:
    """Depth in metres: focal length * baseline / (disparity + offset); NaN where the disparity is not finite."""
    known = np.isfinite(disparity_px)
    depth = np.full(disparity_px.shape, np.nan, np.float32)
    depth[known] = FOCAL_PX * BASELINE_M / (disparity_px[known] + OFFSET_PX)
    return depth


def _folder() -> Path:
    spec = find_spec("skimage")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "data" / "motorcycle_disp.npz").is_file():
            return Path(place) / "data"
    raise MissingPackage(f"--data motorcycle needs the scikit-image package: {install_command('dev', 'scikit-image')}")
