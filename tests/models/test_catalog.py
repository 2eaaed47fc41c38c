"""Models as plain values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.errors import UnknownModel
from stream.frames import Size
from stream.models.base import ImageContext
from stream.models.catalog import MODELS, find
from stream.models.networks import build
from stream.models.weights import locate, sha256_of

CONTEXT = ImageContext(Size(1, 3))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_has_a_network_of_its_size(model) -> None:
    """Its name is known to ``build``, and its parameters are counted right; on the meta device they cost no memory."""
    with torch.device("meta"):
        network = build(model.name)
    assert sum(parameter.numel() for parameter in network.parameters()) == model.parameters
    assert find(model.name) is model


def test_an_unknown_model_is_answered_with_the_near_one() -> None:
    """A guess gets the name that looks like it."""
    with pytest.raises(UnknownModel, match='no model "midas"; did you mean "midas_small"'):
        find("midas")


def test_a_segmenter_is_no_unknown_name() -> None:
    """It is listed with the depth networks, but makes masks."""
    with pytest.raises(UnknownModel, match='"efficientvit_sam_l0" makes masks, not depth'):
        find("efficientvit_sam_l0")


def test_listing_models_does_not_load_torch() -> None:
    """``models list`` must not take the two seconds that torch takes."""
    code = "import sys, stream.models.catalog, stream.models.download.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_midas_depth_is_never_negative() -> None:
    """Its decoder clips, and keeps the rest as it is."""
    raw = np.array([[-1.0, 0.0, 2.5]], np.float32)
    assert find("midas_small").decode(raw, CONTEXT).tolist() == [[0.0, 0.0, 2.5]]
    assert find("midas_small").decode(raw, CONTEXT).dtype == np.float32


def test_tiny_depth_keeps_its_arbitrary_zero() -> None:
    """Negative values order pixels as well as others do."""
    raw = np.array([[-1.0, 0.0, 2.5]], np.float32)
    assert find("tiny").decode(raw, CONTEXT).tolist() == raw.tolist()


def test_tinys_weights_come_with_the_package() -> None:
    """Size and hash are those of the file that is shipped, and it is small."""
    weights, path = find("tiny").weights, locate(find("tiny"))
    assert path.stat().st_size == weights.size_bytes
    assert path.stat().st_size <= 4_000_000
    assert sha256_of(path) == weights.sha256
    assert path.is_relative_to(Path(build.__code__.co_filename).parents[1])
