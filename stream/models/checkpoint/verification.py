"""Looking at a file of weights as strictly as we can, without the memory that its network would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stream.errors import WeightsError
from stream.models.base import Trained
from stream.models.cache import converted_path
from stream.models.checkpoint.reader import check_sums, is_safetensors, read_stored
from stream.models.checkpoint.safetensors_copy import check_copy
from stream.models.weights import again, build_empty, hashed, known_names, load_into, locate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found when a weights file was looked at closely."""

    path: Path
    size_bytes: int
    sha256: str
    hash_known: bool
    """True: it was compared and equals the published one. False: there is none to compare with."""
    tensors: int
    """That the network has."""
    extra: int
    """That it has not, and that it may have none of."""


def verify(model: Trained) -> Verification:
    """The model's weights and, where there is one, their copy. Raises WeightsError: missing, damaged, or others."""
    path, entry = locate(model), model.weights.entry
    try:
        found, state = _looked_at(model, path)
    except WeightsError as error:
        raise WeightsError(f"{error}; {again(model)}") from error
    if not is_safetensors(path):
        check_copy(converted_path(model), state, found.sha256, entry)
    return found


def verify_file(model: Trained, path: Path) -> Verification:
    """The same for a file that is not in its place yet."""
    return _looked_at(model, path)[0]


def _looked_at(model: Trained, path: Path) -> tuple[Verification, Mapping[str, Tensor]]:
    check_sums(path)
    digest, expected = hashed(path), model.weights.sha256
    if expected is not None and digest != expected:
        raise WeightsError(f"{path}: sha256 is {digest}, expected {expected}")
    stored = read_stored(path, model.weights.entry)
    used = known_names(model, stored)
    try:
        load_into(build_empty(model.name), used)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    size, extra = path.stat().st_size, len(stored) - len(used)
    return Verification(path, size, digest, expected is not None, len(used), extra), stored
