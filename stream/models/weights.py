"""Trained parameters: finding the file and loading it into a network; and random parameters for speed tests."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stream.errors import WeightsError
from stream.models.base import HasWeights
from stream.models.cache import converted_path, weights_path
from stream.models.checkpoint.reader import to_float32
from stream.models.checkpoint.safetensors_copy import read_via_copy
from stream.models.networks import build
from stream.models.spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

NOISE_SIDE_PX = 128
"""Approximate side of the noise images that batch normalisation measures in a network with random parameters."""


def locate(model: HasWeights) -> Path:
    """The file with the model's weights. Raises WeightsError, which says how to get it."""
    path = weights_path(model)
    if path.is_file():
        return path
    if model.weights.url is None:
        raise WeightsError(f"{model.name}: {path} is missing from the package: install depthstream again")
    raise WeightsError(f"{model.name}: no weights in {path}: {how_to_get(model)}")


def how_to_get(model: HasWeights) -> str:
    """The command that downloads the weights, and how to do it by hand."""
    path, url = weights_path(model), model.weights.url
    return f"run: depthstream models pull {model.name}; or by hand: download {url} and save it as {path}"


def how_to_repair(model: HasWeights) -> str:
    """What the user can do about damaged weights."""
    if model.weights.url is None:
        return "install depthstream again"
    return f"delete the file and run: depthstream models pull {model.name}"


def load_state(model: HasWeights) -> dict[str, Tensor]:
    """The model's trained tensors by name, float32. Raises WeightsError if they are missing or damaged.

    They are read from a safetensors copy in the cache. The copy is made if it is missing or belongs to another file.
    """
    path, entry = locate(model), model.weights.entry
    try:
        state = read_via_copy(path, sha256_of(path), entry, converted_path(model))
    except WeightsError as error:
        raise WeightsError(f"{error}; {how_to_repair(model)}") from error
    return to_float32(drop_extra_tensors(model, state))


def drop_extra_tensors(model: HasWeights, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without the tensors that the network does not have, if the model allows such (its loader does too)."""
    if not model.weights.allows_extra_tensors:
        return dict(state)
    expected = build_empty(model.name).state_dict()
    extra = [name for name in state if name not in expected]
    if extra:
        log.info("%s: %d tensors are not used, first %s", model.weights.filename, len(extra), extra[0])
    return {name: tensor for name, tensor in state.items() if name in expected}


def build_empty(name: str) -> nn.Module:
    """The network without memory for its parameters (torch's device "meta"), to compare a file's tensors with."""
    import torch

    with torch.device("meta"):
        return build(name)


def load_into(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy ``state`` into ``network``: every name and shape must fit, else WeightsError names the first misfit.

    A network without memory (``build_empty``) gets the tensors themselves. It runs afterwards only if it has no
    constants besides its parameters (Metric3D has). Batch normalisation's ``num_batches_tracked`` may be missing, as it
    may for torch: only training reads it.
    """
    expected = network.state_dict()
    counters = {name for name in expected if name.endswith(".num_batches_tracked")}
    missing = [name for name in expected if name not in state and name not in counters]
    unexpected = [name for name in state if name not in expected]
    misshaped = [name for name in expected if name in state and expected[name].shape != state[name].shape]
    if missing or unexpected or misshaped:
        raise WeightsError(
            f"these weights belong to another network: {_misfit(expected, state, missing, unexpected, misshaped)}"
        )
    empty = any(tensor.is_meta for tensor in expected.values())
    # not strict because of the counters; all other names were compared above
    network.load_state_dict(dict(state), strict=False, assign=empty)


def _misfit(
    expected: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    misshaped: list[str],
) -> str:
    parts = []
    if missing:
        parts.append(f'{len(missing)} of {len(expected)} tensors are missing, first "{missing[0]}"')
    if unexpected:
        parts.append(f'{len(unexpected)} are not of this network, first "{unexpected[0]}"')
    if misshaped:
        name = misshaped[0]
        got, wanted = tuple(state[name].shape), tuple(expected[name].shape)
        parts.append(f'{len(misshaped)} have another shape, first "{name}": {got}, expected {wanted}')
    return "; ".join(parts)


class HasInputSpec(Protocol):
    """A model with the name of its network and the input that it takes."""

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> InputSpec: ...


def random_state(model: HasInputSpec, seed: int = 0) -> dict[str, Tensor]:
    """Random parameters for speed tests: the same seed gives the same parameters; outputs are finite and vary.

    Networks without batch normalisation are not run; those with it are run once on noise.
    """
    import torch
    from torch import nn

    # Forked, so that the program's random numbers go on undisturbed; without ``devices`` torch would ask every GPU.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = build(model.name)
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # take the statistics of the noise, not a running mean that starts at 0 and 1
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and layer.out_channels == 1:
                # positive and without bias, else a ReLU behind it could give zero everywhere (Depth Anything's did)
                layer.weight.abs_()
                if layer.bias is not None:
                    layer.bias.zero_()
        if norms:
            # with the statistics that torch starts with, signals fade until denormal numbers slow the arithmetic down
            network.train()(_noise(model.spec))
    return dict(network.state_dict())


def _noise(spec: InputSpec) -> Tensor:
    """Noise images at a small size that the network takes."""
    import torch

    if spec.canvas or spec.fixed_size:
        return torch.randn(1, 3, *(spec.canvas.size if spec.canvas else (spec.side, spec.side)))
    side = math.ceil(NOISE_SIDE_PX / spec.multiple) * spec.multiple
    return torch.randn(2, 3, side, side)


def sha256_of(path: Path) -> str:
    """64 hexadecimal digits. A file that has not changed since the last call is not read again."""
    now = path.stat()
    return _cached_sha256(path, now.st_ino, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=64)
def _cached_sha256(path: Path, *_file_state: int) -> str:
    return compute_sha256(path)


def compute_sha256(path: Path) -> str:
    """64 hexadecimal digits, always read from the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
