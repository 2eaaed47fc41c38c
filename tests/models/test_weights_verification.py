"""Strict checks of weights: the hash, the checksums, every name and shape, without memory for the network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stream.errors import WeightsError
from stream.models.base import DepthModel, HasWeights
from stream.models.catalog import MODELS, SEGMENTERS
from stream.models.checkpoint.verification import verify, verify_file
from stream.models.tiny import TINY
from stream.models.weights import build_empty, load_state, random_state

Offer = Callable[..., DepthModel]


def skeleton(shapes: Mapping[str, tuple[int, ...]], path: Path, entry: str | None = None) -> Path:
    """A torch file in half precision with all names and shapes of a large network, and one number for each tensor."""
    state: dict[str, Tensor] = {name: torch.zeros((), dtype=torch.float16).expand(s) for name, s in shapes.items()}
    torch.save(state if entry is None else {entry: state}, path)
    return path


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in build_empty(name).state_dict().items()}


def without_hash(model: Any) -> Any:
    return replace(model, weights=replace(model.weights, sha256=None))


def test_tiny_verifies() -> None:
    """The hash is known, and every tensor is counted."""
    report = verify(TINY)
    assert report.hash_known
    assert report.tensors == len(load_state(TINY))
    assert report.extra == 0


def test_another_hash_does_not_verify() -> None:
    """Both hashes are named."""
    model = replace(TINY, weights=replace(TINY.weights, sha256="f" * 64))
    with pytest.raises(WeightsError, match=rf"sha256 is {TINY.weights.sha256[:8]}.*expected ffff"):
        verify(model)


@pytest.mark.slow
@pytest.mark.parametrize("model", [*MODELS, *SEGMENTERS], ids=lambda model: model.name)
def test_every_network_is_checked_without_memory_for_it(model: HasWeights, tmp_path: Path) -> None:
    """A file of all its names and shapes fits, as large as it may be; one without the last, or with one more, not."""
    entry, shapes = model.weights.entry, shapes_of(model.name)
    file = skeleton(shapes, tmp_path / "weights", entry)
    assert file.stat().st_size < 5_000_000
    assert verify_file(without_hash(model), file).tensors == len(shapes)
    last = [name for name in shapes if not name.endswith("num_batches_tracked")][-1]
    with pytest.raises(WeightsError, match=f'1 of {len(shapes)} tensors are missing, first "{last}"'):
        verify_file(without_hash(model), skeleton({n: s for n, s in shapes.items() if n != last}, file, entry))
    more = skeleton(shapes | {"one.more": (3, 4)}, file, entry)
    if model.weights.allows_extra_tensors:
        assert verify_file(without_hash(model), more).extra == 1
    else:
        with pytest.raises(WeightsError, match=r'not of this network, first "one\.more"'):
            verify_file(without_hash(model), more)


def test_a_file_with_the_official_names_fits_depth_anything(tmp_path: Path) -> None:
    """Names and shapes that the official code has, not those that ours says."""
    lines = (Path(__file__).parent / "depth_anything_v2_vits_keys.txt").read_text().splitlines()
    shapes = {name: tuple(map(int, shape.split("x"))) for name, shape, _ in map(str.split, lines)}
    model = replace(TINY, name="depth_anything_v2_small", weights=replace(TINY.weights, sha256=None))
    assert verify_file(model, skeleton(shapes, tmp_path / "weights")).tensors == len(shapes) == 239


def test_damage_is_told_before_the_hash(offered: Offer, site, cache: Path) -> None:
    """A cut download of weights whose hash is known is called damaged, not other weights."""
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(site.content[:-1000])
    with pytest.raises(WeightsError, match=r"damaged.*delete the file and run: depthstream models pull tiny"):
        verify(offered(sha256=hashlib.sha256(site.content).hexdigest()))


def test_a_flipped_bit_is_found_without_a_known_hash(offered: Offer, site, cache: Path) -> None:
    """By the file's own checksums."""
    data = bytearray(site.content)
    data[len(data) // 2] ^= 1
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        verify(offered())


def test_extra_names_are_counted(offered: Offer, pack: Callable[..., bytes], cache: Path) -> None:
    """Where the model may have some."""
    (cache / "weights").mkdir(parents=True)
    more = random_state(TINY) | {"more": torch.zeros(1)}
    (cache / "weights" / "tiny.pt").write_bytes(pack(more, "zip", "model_state_dict"))
    report = verify(offered(entry="model_state_dict", allows_extra_tensors=True))
    assert (report.tensors, report.extra) == (len(more) - 1, 1)
