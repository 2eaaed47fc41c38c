"""Depth files: numbers that come back, and a JSON that says what they mean."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from stream.core.clock import Stamp
from stream.depth_png import decode_png16, encode_png16
from stream.errors import SinkError
from stream.frames import DepthMap, Frame, Kind
from stream.sinks.depth_files import SUFFIXES, DepthFiles

ALL = frozenset({"png16", "npy", "color"})


def depth_map(depth: np.ndarray, kind: Kind) -> DepthMap:
    frame = Frame(np.zeros((*depth.shape, 3), np.uint8), "cam0", 0, Stamp(0, 0))
    return DepthMap(depth, kind, frame, "tiny")


metres = st.one_of(st.floats(2**-9, 65.5, width=32), st.just(np.nan))
anything = st.one_of(st.floats(-1e6, 1e6, width=32), st.just(np.nan))


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=metres))
def test_metric_depth_comes_back_within_half_a_millimetre(depth: np.ndarray) -> None:
    """Unknown stays unknown, nothing is clipped."""
    values, scale, offset, clipped = encode_png16(depth_map(depth, "metric"))
    assert (values.dtype, scale, offset, clipped) == (np.uint16, 0.001, 0.0, 0)
    back = decode_png16(values, scale, offset)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, depth, rtol=1e-6, atol=0.0005)


@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
@given(depth=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=anything))
def test_relative_depth_comes_back_within_half_a_step(kind: Kind, depth: np.ndarray) -> None:
    """Flat maps and maps without any depth among them."""
    values, scale, offset, clipped = encode_png16(depth_map(depth, kind))
    assert clipped == 0
    np.testing.assert_allclose(decode_png16(values, scale, offset), depth, rtol=2e-7, atol=scale / 2 + 1e-37)


def test_the_whole_range_is_used() -> None:
    """The smallest depth is 1, the largest 65535."""
    values, scale, offset, _ = encode_png16(depth_map(np.array([[2.0, 5.0], [3.0, np.nan]], np.float32), "relative"))
    assert values[0].tolist() == [1, 65535]
    assert values[1, 1] == 0
    assert (offset + scale, offset + 65535 * scale) == pytest.approx((2.0, 5.0))


@pytest.mark.parametrize("value", [0.0, -7.5, 3e30])
def test_a_flat_map_is_exact(value: float) -> None:
    """Nothing is divided by zero."""
    flat = np.full((2, 3), value, np.float32)
    values, scale, offset, clipped = encode_png16(depth_map(flat, "relative_inverse"))
    assert (scale, clipped) == (0.0, 0)
    np.testing.assert_array_equal(decode_png16(values, scale, offset), flat)


def test_what_does_not_fit_is_clipped_and_counted() -> None:
    """Beyond 65.535 m, the sky, nothing and less than nothing."""
    depth = np.array([[65.535, 70.0, np.inf], [0.0, -1.0, -np.inf], [0.001, 1.0, np.nan]], np.float32)
    values, _, _, clipped = encode_png16(depth_map(depth, "metric"))
    assert values.tolist() == [[65535, 65535, 65535], [1, 1, 1], [1, 1000, 0]]
    assert clipped == 5


def test_infinite_relative_depth_goes_to_the_ends() -> None:
    """It does not stretch the range of the rest."""
    values, _, _, clipped = encode_png16(depth_map(np.array([[1, 2, np.inf, -np.inf]], np.float32), "relative"))
    assert (values[0].tolist(), clipped) == ([1, 65535, 65535, 1], 2)


def test_all_files_of_a_frame(tmp_path: Path, make_view) -> None:
    """Read back by OpenCV, numpy and json; the folder is made."""
    depth = np.linspace(0.5, 9.0, 48 * 64, dtype=np.float32).reshape(48, 64)
    depth[0, 0] = np.nan
    view = make_view(42, camera="yard", depth=depth, kind="metric", media_s=1.68)
    with DepthFiles(tmp_path / "new" / "out", ALL, source=lambda frame: "clips/yard.mp4") as sink:
        sink.write(view)
    folder = tmp_path / "new" / "out"
    names = ["color.png", "depth.json", "depth.npy", "depth.png"]
    assert sorted(path.name for path in folder.iterdir()) == [f"yard_000042.{name}" for name in names]

    np.testing.assert_array_equal(np.load(folder / "yard_000042.depth.npy"), depth)
    np.testing.assert_array_equal(cv2.imread(str(folder / "yard_000042.color.png")), view.image)
    about = json.loads((folder / "yard_000042.depth.json").read_text())
    values = cv2.imread(str(folder / "yard_000042.depth.png"), cv2.IMREAD_UNCHANGED)
    assert (values.dtype, values.shape) == (np.uint16, (48, 64))
    back = decode_png16(values, about["png16"]["scale"], about["png16"]["offset"])
    np.testing.assert_allclose(back, depth, atol=0.00051)
    assert about == {
        "kind": "metric",
        "unit": "m",
        "meaning": "metres along the optical axis",
        "model": "tiny",
        "weights": "trained",
        "scale_guessed": False,
        "size": {"width": 64, "height": 48},
        "camera": "yard",
        "source": "clips/yard.mp4",
        "seq": 42,
        "time": "2023-11-14T22:13:20.500+00:00",
        "time_source": "file",
        "media_s": 1.68,
        "png16": {
            "file": "yard_000042.depth.png",
            "formula": "depth = offset + scale * value",
            "scale": 0.001,
            "offset": 0.0,
            "invalid_value": 0,
            "clipped_pixels": 0,
        },
        "npy": {
            "file": "yard_000042.depth.npy",
            "dtype": "float32",
            "formula": "depth = value",
            "invalid_value": "NaN",
        },
    }


@pytest.mark.parametrize(
    ("formats", "suffixes"),
    [
        ({"png16"}, ["depth.json", "depth.png"]),
        ({"npy"}, ["depth.json", "depth.npy"]),
        ({"color"}, ["color.png"]),
    ],
)
def test_only_the_wanted_files_are_written(tmp_path: Path, make_view, formats: set, suffixes: list[str]) -> None:
    """A JSON stands beside numbers, not beside an image alone; names are the caller's."""
    with DepthFiles(tmp_path, frozenset(formats), name=lambda frame: f"chelsea-{frame.seq}") as sink:
        sink.write(make_view(7))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"chelsea-7.{suffix}" for suffix in suffixes]
    (form,) = formats
    assert sorted(SUFFIXES[form]) == [f".{suffix}" for suffix in suffixes]  # what others are told of it


def test_existing_files_are_overwritten(tmp_path: Path, make_view) -> None:
    """The second run wins."""
    with DepthFiles(tmp_path, ALL) as sink:
        sink.write(make_view(0, depth=np.zeros((48, 64), np.float32)))
        sink.write(make_view(0, depth=np.ones((48, 64), np.float32)))
    assert np.load(tmp_path / "cam0_000000.depth.npy").max() == 1.0
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_below_a_file_is_refused_on_entering(tmp_path: Path) -> None:
    """One line with path and reason."""
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(SinkError, match=r"file/out: cannot be written: Not a directory; choose a folder"),
        DepthFiles(tmp_path / "file" / "out", ALL),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path, make_view) -> None:
    """Permission denied."""
    tmp_path.chmod(0o500)
    with DepthFiles(tmp_path, ALL) as sink, pytest.raises(SinkError, match="Permission denied"):
        sink.write(make_view())


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, make_view) -> None:
    """A limit on the size of files stands in for the disk; what was there before is still there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with DepthFiles(tmp_path, frozenset({"npy"})) as sink:
        sink.write(make_view(0))
        old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
            with pytest.raises(SinkError, match=r"depth.npy: cannot be written: File too large; free some space"):
                sink.write(make_view(0, depth=np.ones((48, 64), np.float32)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old
