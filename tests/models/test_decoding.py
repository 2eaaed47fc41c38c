"""From a network's numbers to depth: the rule, and the same bytes from a device's tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stream.frames import Floats, Intrinsics, Size
from stream.models.base import DepthModel, ImageContext
from stream.models.catalog import MODELS
from stream.models.spec import Decoding
from stream.preprocess.gpu import decoded_

SIZE = Size(9, 7)
CONTEXTS = [
    ImageContext(SIZE, 0.5, Intrinsics(focal_px, focal_px, 3, 4, SIZE), {"fov_deg": fov_deg})
    for focal_px, fov_deg in ((500.0, 60.0), (1234.5, 33.3))
]


def raw() -> Floats:
    """Below and above every limit, unknown, infinite."""
    values: Floats = np.random.default_rng(0).normal(0, 1, (2, *SIZE)).astype(np.float32)
    values[:, 0] = [0, -0.0, np.nan, np.inf, -np.inf, 1e6, 1e-9]
    return values


def test_the_order() -> None:
    """Multiplied, kept within, then turned over; what is given stays as it was."""
    given = np.array([[-1, 1, 4, np.nan]], np.float32)
    kept = given.copy()
    depth = Decoding(2.0, 0.5, 4.0, reciprocal=True).apply(given)
    np.testing.assert_array_equal(depth, np.array([[2, 0.5, 0.25, np.nan]], np.float32))
    np.testing.assert_array_equal(given, kept)
    assert depth.dtype == np.float32


@pytest.mark.parametrize("decoding", [Decoding(low=0.0), Decoding(high=1.0), Decoding(reciprocal=True), Decoding(3.0)])
def test_each_step_alone_leaves_its_input_alone(decoding: Decoding) -> None:
    """None of them writes where the network may write next."""
    given = np.array([[-1, 2]], np.float32)
    assert not np.shares_memory(decoding.apply(given), given)
    assert given.tolist() == [[-1, 2]]


def test_nothing_to_do_costs_nothing() -> None:
    """The very same numbers."""
    given = np.zeros((2, 2), np.float32)
    assert Decoding().apply(given) is given


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("contexts", [[CONTEXTS[0]] * 2, CONTEXTS], ids=["one camera", "two cameras"])
def test_a_device_decodes_to_the_byte(model: DepthModel, contexts: list[ImageContext]) -> None:
    """Every network's rule, for images of one camera and of two."""
    expected = np.stack([model.decode(image, context) for image, context in zip(raw(), contexts, strict=True)])
    got = decoded_(torch.from_numpy(raw()), [model.decoding(context) for context in contexts])
    np.testing.assert_array_equal(got.numpy(), expected)
    assert math.isnan(expected[0, 0, 2])
