"""Finding, reading and checking weights."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stream.errors import WeightsError
from stream.models.base import DepthModel
from stream.models.catalog import MODELS, SEGMENTERS
from stream.models.midas_small import MIDAS_SMALL
from stream.models.networks import build
from stream.models.tiny import TINY
from stream.models.weights import build_empty, load_into, load_state, locate, random_state, sha256_of

SMALL = [model for model in MODELS if model.parameters < 50_000_000]


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


def test_tiny_loads() -> None:
    """The shipped half-precision weights arrive as float32 and fit."""
    state = load_state(TINY)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    load_into(build("tiny"), state)


def test_a_network_without_memory_gets_the_tensors_themselves() -> None:
    """No second copy of them is made, and it computes what one with memory does."""
    state, empty, usual = load_state(TINY), build_empty("tiny"), build("tiny")
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    load_into(empty, state)
    load_into(usual, state)
    assert empty.get_parameter("head.weight").data_ptr() == state["head.weight"].data_ptr()
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 64, 96)
        assert torch.equal(empty(pixels), usual(pixels))


@pytest.mark.slow
def test_names_that_the_official_loader_ignores_are_left_out(
    offered: Callable[..., DepthModel],
    site: Any,
    pack: Callable[..., bytes],
    cache: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only where the model says that there may be such; one line in the log counts them."""
    more = random_state(TINY) | {"ema.decay": torch.zeros(1), "teacher.head": torch.zeros(2)}
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(pack(more, "zip", "model_state_dict"))
    with caplog.at_level(logging.INFO, "stream.models.weights"):
        state = load_state(offered(entry="model_state_dict", allows_extra_tensors=True))
    load_into(build("tiny"), state)
    assert [record.getMessage() for record in caplog.records] == ["tiny.pt: 2 tensors are not used, first ema.decay"]
    with pytest.raises(WeightsError, match=r'2 are not of this network, first "ema\.decay"'):
        load_into(build("tiny"), load_state(offered(entry="model_state_dict")))


@pytest.mark.slow
def test_a_missing_name_is_an_error_where_extra_ones_are_not(
    offered: Callable[..., DepthModel], pack: Callable[..., bytes], cache: Path
) -> None:
    """The official loader would go on with a random tensor."""
    less = random_state(TINY)
    del less["head.bias"]
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(pack(less, "zip"))
    with pytest.raises(WeightsError, match=r'1 of .* tensors are missing, first "head\.bias"'):
        load_into(build("tiny"), load_state(offered(allows_extra_tensors=True)))


def test_a_hash_is_taken_again_when_the_file_has_changed(tmp_path: Path) -> None:
    """And only then is the file read."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert sha256_of(path) == sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert sha256_of(path) == hashlib.sha256(b"other").hexdigest()
    os.replace(path, tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        sha256_of(path)


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


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL, ids=lambda model: model.name)
def test_random_weights_give_finite_and_varied_depth(model: DepthModel) -> None:
    """Whatever the seed; of each family those that this machine can run in no time."""
    size = [-(-side // model.spec.multiple) * model.spec.multiple for side in (64, 96)]
    for seed in range(2 if model.parameters < 30_000_000 else 1):
        network = build(model.name)
        load_into(network, random_state(model, seed))
        with torch.inference_mode():
            depth = network(torch.rand(1, 3, *size))
        assert torch.isfinite(depth).all()
        assert depth.std() > 1e-3


@pytest.mark.slow
def test_random_weights_embed_images_differently() -> None:
    """A segmenter's encoder, normalised by what passes through it: neither nothing nor infinity comes out."""
    segmenter = SEGMENTERS[0]
    network = build(segmenter.name)
    load_into(network, random_state(segmenter))
    with torch.inference_mode():
        embedded = network(torch.rand(1, 3, *segmenter.spec.canvas.size))
    assert torch.isfinite(embedded).all()
    assert 1e-3 < embedded.std() < 1e3
    assert embedded.std(dim=(2, 3)).median() > 1e-3


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
    """On the motorcycle pair with its measured ground truth; an inverted map would be far below zero."""
    cv2, stats = pytest.importorskip("cv2"), pytest.importorskip("scipy.stats")
    media = Path(__file__).parents[3] / "shared" / "media"
    if not (media / "motorcycle_disp.npz").exists():
        pytest.skip("needs the Middlebury motorcycle pair in ../shared/media")
    image = cv2.imread(str(media / "motorcycle_left.png"))[..., ::-1].astype(np.float32) / 255
    ground_truth = next(iter(np.load(media / "motorcycle_disp.npz").values()))
    mean, std = (np.array(values, np.float32) for values in (TINY.spec.mean, TINY.spec.std))
    pixels = (cv2.resize(image, (256, 192), interpolation=cv2.INTER_AREA) - mean) / std
    network = build("tiny")
    load_into(network, load_state(TINY))
    with torch.inference_mode():
        depth = network(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))[0].numpy()
    depth = cv2.resize(depth, ground_truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    known = np.isfinite(ground_truth)
    assert stats.spearmanr(depth[known], ground_truth[known])[0] > 0.6
