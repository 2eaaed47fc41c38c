"""Trained parameters: where they are and how they get into a network; and parameters without meaning."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stream.errors import WeightsError
from stream.models.base import Trained
from stream.models.cache import converted_path, weights_path
from stream.models.checkpoint.reader import widened
from stream.models.checkpoint.safetensors_copy import read_through
from stream.models.networks import build
from stream.models.spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

NOISE_SIDE = 128
"""Pixels, about: of the noise that batch normalisation measures in a network with random parameters."""


class Fed(Protocol):
    """A network's name, and what it takes."""

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> InputSpec: ...


def locate(model: Trained) -> Path:
    """The file with the model's weights. Raises WeightsError saying how to get it."""
    path = weights_path(model)
    if path.is_file():
        return path
    if model.weights.url is None:
        raise WeightsError(f"{model.name}: {path} is missing from the package: install depthstream again")
    raise WeightsError(f"{model.name}: no weights in {path}: {how_to_get(model)}")


def how_to_get(model: Trained) -> str:
    """The command that fetches the weights, and the way by hand."""
    path, url = weights_path(model), model.weights.url
    return f"run: depthstream models pull {model.name}; or by hand: download {url} and save it as {path}"


def load_state(model: Trained) -> dict[str, Tensor]:
    """The model's trained tensors by name, float32. Raises WeightsError if they are missing or damaged.

    They come from a safetensors copy in the cache, which is made if it is missing or of another file.
    """
    path, entry = locate(model), model.weights.entry
    try:
        state = read_through(path, sha256_of(path), entry, converted_path(model))
    except WeightsError as error:
        raise WeightsError(f"{error}; {again(model)}") from error
    return widened(known_names(model, state))


def known_names(model: Trained, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without what its official loader ignores too, where the model says that there may be such."""
    if not model.weights.extra_names:
        return dict(state)
    own = build_empty(model.name).state_dict()
    extra = [name for name in state if name not in own]
    if extra:
        log.info("%s: %d tensors are not used, first %s", model.weights.filename, len(extra), extra[0])
    return {name: tensor for name, tensor in state.items() if name in own}


def build_empty(name: str) -> nn.Module:
    """The network without memory for its parameters (torch's device "meta"): to see what would fit into it."""
    import torch

    with torch.device("meta"):
        return build(name)


def load_into(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies ``state`` into ``network``: every name and shape must fit, else WeightsError names the first misfit.

    A network without memory (``build_empty``) gets the tensors themselves; it runs afterwards only if it has no
    constants beside its parameters (Metric3D has). Batch normalisation's ``num_batches_tracked`` may be missing, as it
    may for torch: only training reads it.
    """
    own = network.state_dict()
    counters = {name for name in own if name.endswith(".num_batches_tracked")}
    missing = [name for name in own if name not in state and name not in counters]
    unexpected = [name for name in state if name not in own]
    misshaped = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or unexpected or misshaped:
        raise WeightsError(
            f"these weights belong to another network: {_misfit(own, state, missing, unexpected, misshaped)}"
        )
    empty = any(tensor.is_meta for tensor in own.values())
    network.load_state_dict(dict(state), strict=False, assign=empty)


def random_state(model: Fed, seed: int = 0) -> dict[str, Tensor]:
    """Parameters without meaning, for speed tests: the same for the same seed; outputs are finite and vary.

    Batch normalisation measures noise that is passed through: with the statistics that torch starts with, signals
    fade until denormal numbers slow the arithmetic down. Networks without it are not run. Layers that give one channel
    get positive weights and no bias, else a ReLU behind them could answer zero everywhere (Depth Anything's did).
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = build(model.name)
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # take the statistics of what passes, not a running mean from 0 and 1
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and layer.out_channels == 1:
                layer.weight.abs_()
                if layer.bias is not None:
                    layer.bias.zero_()
        if norms:
            network.train()(_noise(model.spec))
    return dict(network.state_dict())


def _noise(spec: InputSpec) -> Tensor:
    """Images of nothing, at a small size that the network takes."""
    import torch

    if spec.canvas or spec.fixed:
        return torch.randn(1, 3, *(spec.canvas.size if spec.canvas else (spec.side, spec.side)))
    side = math.ceil(NOISE_SIDE / spec.multiple) * spec.multiple
    return torch.randn(2, 3, side, side)


def sha256_of(path: Path) -> str:
    """64 hexadecimal digits; a file that has not changed since it was asked for last is not read again."""
    now = path.stat()
    return _remembered(path, now.st_ino, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered(path: Path, *_state: int) -> str:
    return hashed(path)


def hashed(path: Path) -> str:
    """The same, read from the disk in any case."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def again(model: Trained) -> str:
    """What to do about bad weights."""
    if model.weights.url is None:
        return "install depthstream again"
    return f"delete the file and run: depthstream models pull {model.name}"


def _misfit(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    misshaped: list[str],
) -> str:
    parts = []
    if missing:
        parts.append(f'{len(missing)} of {len(own)} tensors are missing, first "{missing[0]}"')
    if unexpected:
        parts.append(f'{len(unexpected)} are not of this network, first "{unexpected[0]}"')
    if misshaped:
        name = misshaped[0]
        got, wanted = tuple(state[name].shape), tuple(own[name].shape)
        parts.append(f'{len(misshaped)} have another shape, first "{name}": {got}, expected {wanted}')
    return "; ".join(parts)
