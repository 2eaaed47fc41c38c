"""Images whose depth is known."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.evaluation.data_sets import open_data_set
from pipelines.evaluation.folder import ImagesFolder
from pipelines.evaluation.held_out import HeldOutViews
from pipelines.evaluation.motorcycle import Motorcycle, metres
from stream.errors import SourceError, UsageError
from stream.scenes.world.layouts import FAMILIES

pytestmark = pytest.mark.usefixtures("one_thread")


def put(folder: Path, name: str, depth: np.ndarray | None, suffix: str = ".png") -> None:
    """An image of 24x16 and its depth."""
    assert cv2.imwrite(str(folder / f"{name}{suffix}"), np.full((16, 24, 3), 90, np.uint8))
    if depth is not None:
        np.save(folder / f"{name}.npy", depth)


def test_a_folder_gives_its_images_with_depth(tmp_path: Path) -> None:
    """PNG and JPEG, whole numbers too, with what is unknown."""
    depth = np.full((16, 24), 3.0)
    depth[0] = np.nan
    put(tmp_path, "b", depth)
    put(tmp_path, "a", np.full((16, 24), 2), ".jpg")
    (tmp_path / "README.md").write_text("not an image")
    first, second = samples = list(ImagesFolder(tmp_path))
    assert [sample.name for sample in samples] == ["a", "b"]
    assert len(ImagesFolder(tmp_path)) == 2
    assert first.ground_truth.dtype == np.float32
    assert (first.ground_truth == 2).all()
    assert np.isnan(second.ground_truth[0]).all()
    assert second.image.shape == (16, 24, 3)


def test_images_without_depth_are_taken(tmp_path: Path) -> None:
    """Together with images that have depth, and alone; ``about`` counts those that have it."""
    put(tmp_path, "known", np.ones((16, 24)))
    put(tmp_path, "photo", None, ".jpg")
    assert [sample.ground_truth is None for sample in ImagesFolder(tmp_path)] == [False, True]
    assert ImagesFolder(tmp_path).about.endswith("2 images, 1 with depth")
    (tmp_path / "known.npy").unlink()
    assert ImagesFolder(tmp_path).about.endswith("2 images, none with depth")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "nothing to evaluate"),
        ({"a.npy": np.ones((16, 24))}, r"a\.npy: its image is missing"),
        ({"a.png": np.ones((24, 16))}, r"a\.npy: expected \(16, 24\) .* got \(24, 16\) float64"),
        ({"a.png": np.ones((16, 24, 1))}, r"got \(16, 24, 1\)"),
        ({"a.png": np.full((16, 24), "far")}, r"a\.npy: expected"),
        ({"a.png": np.full((16, 24), np.nan)}, r"a\.npy: no depth from 0 to 80 m"),
        ({"a.png": np.zeros((16, 24))}, r"a\.npy: no depth from 0 to 80 m"),
    ],
)
def test_an_unusable_folder_is_reported(tmp_path: Path, files: dict[str, np.ndarray | None], message: str) -> None:
    """In one line that names the file."""
    for name, depth in files.items():
        if name.endswith(".png"):
            put(tmp_path, name.removesuffix(".png"), depth)
        else:
            np.save(tmp_path / name, depth)
    with pytest.raises(SourceError, match=message) as caught:
        list(ImagesFolder(tmp_path))
    assert "\n" not in str(caught.value)


def test_two_images_for_one_depth_are_refused(tmp_path: Path) -> None:
    """It would be ambiguous which one the depth belongs to."""
    put(tmp_path, "a", np.ones((16, 24)))
    put(tmp_path, "a", None, ".jpg")
    with pytest.raises(SourceError, match=r"a\.png: a\.jpg has the same depth file"):
        ImagesFolder(tmp_path)


def test_a_file_that_is_no_array_is_named(tmp_path: Path) -> None:
    """Text, and pickled objects, which are never loaded."""
    put(tmp_path, "a", None)
    for content in (b"far away", b""):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(SourceError, match=r"a\.npy: not a NumPy array file"):
            list(ImagesFolder(tmp_path))
    np.save(tmp_path / "a.npy", np.array([{}], object))
    with pytest.raises(SourceError, match=r"a\.npy: not a NumPy array file"):
        list(ImagesFolder(tmp_path))


def test_an_unknown_name_gets_the_near_one() -> None:
    """Neither a folder nor a data set."""
    with pytest.raises(UsageError, match='no such folder and no data set of that name; did you mean "synthetic"'):
        open_data_set("sintetic", views=3)


@pytest.mark.slow
def test_held_out_views_are_always_the_same() -> None:
    """View i does not depend on the number of views."""
    three, four = list(HeldOutViews(3)), list(HeldOutViews(4))
    assert [sample.name for sample in four[:3]] == [sample.name for sample in three]
    for one, other in zip(three, four, strict=False):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.ground_truth, other.ground_truth)
        assert one.image.shape == (240, 320, 3)
        assert (one.ground_truth > 0).all()


def test_every_family_has_its_share_of_sixty_views() -> None:
    """Within one view of it."""
    from pipelines.evaluation.held_out import _families

    seen = Counter(name for name, _ in zip(_families(), range(60), strict=False))
    total = sum(share for _, share in FAMILIES.values())
    assert all(abs(seen[name] - 60 * share / total) < 1.0 for name, (_, share) in FAMILIES.items())


@pytest.mark.skipif(find_spec("skimage") is None, reason="needs scikit-image, which carries the pair")
def test_the_motorcycle_is_measured_in_metres() -> None:
    """2.11 to 5.02 m, 7% of it unknown, as its makers say."""
    (sample,) = list(Motorcycle())
    assert sample.image.shape == (500, 741, 3)
    assert sample.ground_truth.shape == (500, 741)
    assert np.nanmin(sample.ground_truth) == pytest.approx(2.11, abs=0.01)
    assert np.nanmax(sample.ground_truth) == pytest.approx(5.02, abs=0.01)
    assert np.isnan(sample.ground_truth).mean() == pytest.approx(0.073, abs=0.002)


def test_disparity_becomes_depth() -> None:
    """By hand: 994.978 * 0.193001 / (64 + 31.086); what is not finite stays unknown."""
    depth = metres(np.array([[64.0, np.inf, np.nan]], np.float32))
    assert depth[0, 0] == pytest.approx(2.01957, abs=1e-4)
    assert np.isnan(depth[0, 1:]).all()
