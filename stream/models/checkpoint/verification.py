"""Strict checks of a weights file that need no memory for its network: checksums, sha256, names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stream.errors import WeightsError
from stream.models.base import HasWeights
from stream.models.cache import converted_path
from stream.models.checkpoint.reader import is_safetensors, read_stored, verify_checksums
from stream.models.checkpoint.safetensors_copy import check_copy
from stream.models.weights import build_empty, compute_sha256, drop_extra_tensors, how_to_repair, load_into, locate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking a weights file that passed."""

    path: Path
    size_bytes: int
    sha256: str
    hash_known: bool
    """True: the hash equals the published one. False: no published hash is known."""
    tensors: int
    """Number of tensors that the network has."""
    extra: int
    """Number of tensors in the file that the network does not have and that its loader ignores."""


def verify(model: HasWeights) -> Verification:
    """Check the model's weights and, if it exists, their safetensors copy.

    Raises WeightsError if they are missing, damaged, or belong to another network.
    """
    path, entry = locate(model), model.weights.entry
    try:
        found, state = _inspect(model, path)
    except WeightsError as error:
        raise WeightsError(f"{error}; {how_to_repair(model)}") from error
    if not is_safetensors(path):
        check_copy(converted_path(model), state, found.sha256, entry)
    return found


def verify_file(model: HasWeights, path: Path) -> Verification:
    """Check a file that is not at its final path yet, as ``verify`` does, but without the copy."""
    return _inspect(model, path)[0]


def _inspect(model: HasWeights, path: Path) -> tuple[Verification, Mapping[str, Tensor]]:
    verify_checksums(path)
    digest, expected = compute_sha256(path), model.weights.sha256
    if expected is not None and digest != expected:
        raise WeightsError(f"{path}: sha256 is {digest}, expected {expected}")
    stored = read_stored(path, model.weights.entry)
    used = drop_extra_tensors(model, stored)
    try:
        load_into(build_empty(model.name), used)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    size, extra = path.stat().st_size, len(stored) - len(used)
    return Verification(path, size, digest, expected is not None, len(used), extra), stored
