"""Finding, reading and checking weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.errors import WeightsError
from stream.models.base import DepthModel
from stream.models.catalog import MODELS
from stream.models.midas_small import MIDAS_SMALL
from stream.models.networks import build
from stream.models.tiny import TINY
from stream.models.weights import load_into, load_state, locate, random_state, verify


def test_missing_weights_say_how_to_get_them(cache: Path) -> None:
    """The command, the address and the exact place for the file."""
    with pytest.raises(WeightsError) as caught:
        locate(MIDAS_SMALL)
    message = str(caught.value)
    assert "depthstream models pull midas_small" in message
    assert "https://github.com/isl-org/MiDaS/releases/download/v2_1/midas_v21_small_256.pt" in message
    assert str(cache / "weights" / "midas_v21_small_256.pt") in message


def test_damaged_weights_say_what_to_do(offered: Callable[..., DepthModel], cache: Path) -> None:
    """A web page that was saved under the file's name."""
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(WeightsError, match=r"not a file of weights.*delete the file and run: depthstream models pull"):
        load_state(offered())


def test_tiny_loads_and_verifies() -> None:
    """The shipped half-precision weights arrive as float32 and fit."""
    report, state = verify(TINY), load_state(TINY)
    assert report.hash_known
    assert report.tensors == len(state)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    load_into(build("tiny"), state)


def test_another_hash_does_not_verify() -> None:
    """Both hashes are named."""
    model = replace(TINY, weights=replace(TINY.weights, sha256="f" * 64))
    with pytest.raises(WeightsError, match=rf"sha256 is {TINY.weights.sha256[:8]}.*expected ffff"):
        verify(model)


def test_every_misfit_is_named() -> None:
    """The first missing, unexpected and misshaped tensor, and how many there are."""
    state = load_state(TINY)
    state["added"] = torch.zeros(1)
    del state["head.bias"]
    state["head.weight"] = torch.zeros(2, 3)
    with pytest.raises(WeightsError) as caught:
        load_into(build("tiny"), state)
    message = str(caught.value)
    assert 'first "head.bias"' in message
    assert 'first "added"' in message
    assert 'first "head.weight": (2, 3), expected (1, 16, 3, 3)' in message


def test_a_refused_state_changes_nothing() -> None:
    """The network keeps what it had."""
    network = build("tiny")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError):
        load_into(network, {"head.bias": torch.ones(1)})
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_other_networks_weights_do_not_fit() -> None:
    """Tiny's weights are not MiDaS's."""
    with pytest.raises(WeightsError, match="belong to another network"):
        load_into(build("midas_small"), load_state(TINY))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_random_weights_give_finite_and_varied_depth(model: DepthModel) -> None:
    """Whatever the seed."""
    for seed in (0, 1):
        network = build(model.name)
        load_into(network, random_state(model, seed))
        with torch.inference_mode():
            depth = network(torch.rand(1, 3, 64, 96))
        assert torch.isfinite(depth).all()
        assert depth.std() > 1e-3


def test_random_weights_are_the_same_for_the_same_seed() -> None:
    """And drawing them leaves torch's own generator where it was."""
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = random_state(TINY, 1)
    assert torch.equal(torch.rand(1), expected)
    again, other = random_state(TINY, 1), random_state(TINY, 2)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_tiny_sees_that_near_is_near() -> None:
    """On the motorcycle pair with its measured truth; a map that is inside out would be far below zero."""
    cv2, stats = pytest.importorskip("cv2"), pytest.importorskip("scipy.stats")
    media = Path(__file__).parents[3] / "shared" / "media"
    if not (media / "motorcycle_disp.npz").exists():
        pytest.skip("needs the Middlebury motorcycle pair in ../shared/media")
    picture = cv2.imread(str(media / "motorcycle_left.png"))[..., ::-1].astype(np.float32) / 255
    truth = next(iter(np.load(media / "motorcycle_disp.npz").values()))
    mean, std = (np.array(values, np.float32) for values in (TINY.spec.mean, TINY.spec.std))
    pixels = (cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA) - mean) / std
    network = build("tiny")
    load_into(network, load_state(TINY))
    with torch.inference_mode():
        depth = network(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))[0].numpy()
    depth = cv2.resize(depth, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    known = np.isfinite(truth)
    assert stats.spearmanr(depth[known], truth[known])[0] > 0.6
