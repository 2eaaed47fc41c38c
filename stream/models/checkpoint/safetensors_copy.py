"""A safetensors copy of a weights file: it is memory-mapped, so it loads at once, and it holds nothing but numbers.

The copy has the same values, types and names as its original and records the original's SHA-256, so a copy of another
file is never used. It is only an optimisation: where it cannot be written, a warning is logged and the original is
read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stream.core.atomic_write import atomic_replace
from stream.errors import WeightsError
from stream.models.checkpoint.reader import is_safetensors, read_stored, verify_checksums

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)


def read_via_copy(original: Path, sha256: str, entry: str | None, copy: Path) -> dict[str, Tensor]:
    """The tensors of ``original`` as stored, read from its ``copy``, which is made first if there is none.

    Raises WeightsError if the original is damaged; its checksums are verified before it is copied.
    """
    if is_safetensors(original):
        return read_stored(original, entry)
    state = read_copy(copy, sha256, entry)
    if state is None:
        verify_checksums(original)
        state = read_stored(original, entry)
        write_copy(copy, state, sha256, entry)
    return state


def read_copy(copy: Path, sha256: str, entry: str | None) -> dict[str, Tensor] | None:
    """The tensors in the copy; None if it is missing, damaged or was made from another original."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(copy, framework="pt") as file:
            made_from = file.metadata() or {}
        return read_stored(copy) if made_from == _made_from(sha256, entry) else None
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, WeightsError) as error:
        log.warning("%s cannot be used and is made again: %s", copy, error)
        return None


def write_copy(copy: Path, state: Mapping[str, Tensor], sha256: str, entry: str | None) -> None:
    """Write a copy of ``state`` atomically. A failure is only logged."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with atomic_replace(copy) as unfinished:
            unfinished.touch()
            mode = unfinished.stat().st_mode  # the umask's permissions; safetensors makes the file private to its owner
            save_file(_without_shared_memory(state), unfinished, metadata=_made_from(sha256, entry))
            unfinished.chmod(mode)
    except (OSError, SafetensorError) as error:
        log.warning("%s cannot be written, so these weights are read from the original each time: %s", copy, error)


def check_copy(copy: Path, state: Mapping[str, Tensor], sha256: str, entry: str | None) -> None:
    """Raises WeightsError if a copy of the original exists and does not equal ``state`` bit by bit."""
    copied = read_copy(copy, sha256, entry)
    if copied is None:
        return
    differing = [name for name in state if name not in copied or not _identical(copied[name], state[name])]
    if differing or len(copied) != len(state):
        first = f', first "{differing[0]}"' if differing else ""
        raise WeightsError(f"{copy}: {len(differing)} tensors differ from the original's{first}: delete this copy")


def _made_from(sha256: str, entry: str | None) -> dict[str, str]:
    return {"format": "pt", "made_from_sha256": sha256, "entry": entry or ""}


def _without_shared_memory(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Clone tensors that share memory or have gaps: safetensors refuses both."""
    import torch

    seen: set[int] = set()
    result = {}
    for name, tensor in state.items():
        memory = tensor.untyped_storage()
        exclusive = memory.data_ptr() not in seen and tensor.is_contiguous() and memory.nbytes() == tensor.nbytes
        seen.add(memory.data_ptr())
        result[name] = tensor if exclusive else tensor.clone(memory_format=torch.contiguous_format)
    return result


def _identical(one: Tensor, other: Tensor) -> bool:
    import torch

    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    # As bytes, because NaN is not equal to itself.
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)))
