"""Trained parameters: where they are, whether they are the right ones, and how they get into a network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stream.errors import WeightsError
from stream.models.base import DepthModel
from stream.models.cache import weights_path
from stream.models.networks import build
from stream.models.state_file import check_sums, read_state

if TYPE_CHECKING:
    from torch import Tensor, nn


def locate(model: DepthModel) -> Path:
    """The file with the model's weights. Raises WeightsError saying how to get it."""
    path = weights_path(model)
    if path.is_file():
        return path
    if model.weights.url is None:
        raise WeightsError(f"{model.name}: {path} is missing from the package: install depthstream again")
    raise WeightsError(f"{model.name}: no weights in {path}: {how_to_get(model)}")


def how_to_get(model: DepthModel) -> str:
    """The command that fetches the weights, and the way by hand."""
    path, url = weights_path(model), model.weights.url
    return f"run: depthstream models pull {model.name}; or by hand: download {url} and save it as {path}"


def load_state(model: DepthModel) -> dict[str, Tensor]:
    """The model's trained tensors by name, float32. Raises WeightsError if they are missing or damaged."""
    path = locate(model)
    try:
        return read_state(path)
    except WeightsError as error:
        raise WeightsError(f"{error}; {_again(model)}") from error


def load_into(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies ``state`` into ``network``: every name and shape must fit, else WeightsError names the first misfit.

    Batch normalisation's ``num_batches_tracked`` may be missing, as it may for torch: only training reads it.
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
    network.load_state_dict(dict(state), strict=False)


def random_state(model: DepthModel, seed: int = 0) -> dict[str, Tensor]:
    """Parameters without meaning, for speed tests: the same for the same seed; outputs are finite and vary.

    Batch normalisation measures noise that is passed through: with the statistics that torch starts with, signals
    fade until denormal numbers slow the arithmetic down. The last layer's weights are made positive, else its ReLU
    could answer zero everywhere.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        network = build(model.name)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # take the statistics of what passes, not a running mean from 0 and 1
            elif isinstance(layer, nn.Conv2d) and layer.out_channels == 1:
                layer.weight.abs_()
        network.train()(torch.randn(2, 3, 128, 128))
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found when a weights file was looked at closely."""

    path: Path
    size_bytes: int
    sha256: str
    hash_known: bool
    """True: it was compared and equals the published one. False: there is none to compare with."""
    tensors: int


def verify(model: DepthModel) -> Verification:
    """Reads the model's weights as strictly as we can. Raises WeightsError if they are missing, damaged or others."""
    path = locate(model)
    try:
        return verify_file(model, path)
    except WeightsError as error:
        raise WeightsError(f"{error}; {_again(model)}") from error


def verify_file(model: DepthModel, path: Path) -> Verification:
    """The same for a file that is not in its place yet."""
    digest, expected = sha256_of(path), model.weights.sha256
    if expected is not None and digest != expected:
        raise WeightsError(f"{path}: sha256 is {digest}, expected {expected}")
    check_sums(path)
    state = read_state(path)
    try:
        load_into(build(model.name), state)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return Verification(path, path.stat().st_size, digest, expected is not None, len(state))


def sha256_of(path: Path) -> str:
    """64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _again(model: DepthModel) -> str:
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
