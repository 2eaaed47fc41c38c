"""Checkpoints, from which a training resumes, and the weights it produces. Files are written atomically.

The random numbers of a step are a function of the seed and the step's number, and those of a view of the seed and the
number of its chunk. The seed and the counters are therefore the whole state of the random generators.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as packed
from torch import nn

from stream.errors import WeightsError

CHECKPOINT, WEIGHTS = "checkpoint.pt", "tiny.safetensors"
"""File names in the output folder."""


@dataclass(slots=True)
class Progress:
    """The seed and the counters of a training."""

    seed: int
    steps: int = 0
    """Optimiser steps done."""
    seconds: float = 0.0
    """Time used of the budget."""
    views: int = 0
    """Views used, counting a view again each time it is used."""
    grown_at: int | None = None
    """Number of the first chunk with larger views (``Pool.grow``), None before that."""


def save(
    folder: Path, progress: Progress, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write ``checkpoint.pt``; an older one stays until the new one is complete."""
    content = {
        "progress": asdict(progress),
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    write_atomically(folder / CHECKPOINT, lambda path: torch.save(content, path))


def load(folder: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore what ``save`` wrote. Raises WeightsError for a missing or damaged file."""
    path = folder / CHECKPOINT
    try:
        # weights_only: a checkpoint is data, and unpickling it must not run code
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(content["network"])
        average.load_state_dict(content["average"])
        optimizer.load_state_dict(content["optimizer"])
        return Progress(**content["progress"])
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no training to resume; leave --resume out to begin one") from error
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: damaged or of another network: {reason}") from error


def save_weights(path: Path, average: nn.Module) -> None:
    """Write the weights in half precision with the names of ``stream.models.networks``.

    Counters of batch normalisation, which only training reads, are left out.
    """
    state = {
        name: tensor.detach().half().cpu().contiguous()
        for name, tensor in average.state_dict().items()
        if not name.endswith(".num_batches_tracked")
    }
    write_atomically(path, lambda new: new.write_bytes(packed(state)))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file next to ``path``, flush it to the disk and rename it.

    On failure ``path`` is unchanged and the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # before the rename, which may reach the disk earlier than the content
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
