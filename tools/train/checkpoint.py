"""What a training needs to go on where it was, and the weights it is for; a file is whole or it is not there.

The random numbers of a step are a function of the seed and the step's number, and views are one of the seed and theirs:
the seed and the counters are all there is to keep of chance.
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


@dataclass(slots=True)
class Progress:
    """The counters."""

    seed: int
    steps: int = 0
    seconds: float = 0.0
    """Of the budget."""
    views: int = 0
    """Used, those used again included."""
    grown_at: int | None = None
    """The first chunk of the larger views (``Pool.grow``)."""


def save(
    folder: Path, progress: Progress, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write ``checkpoint.pt`` in one go: an older one stays until the new one is whole."""
    content = {
        "progress": asdict(progress),
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    atomically(folder / CHECKPOINT, lambda path: torch.save(content, path))


def load(folder: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put back what ``save`` wrote. Raises WeightsError for a file that is missing or was damaged."""
    path = folder / CHECKPOINT
    try:
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
    """Half precision, the names of ``stream.models.networks``; counters that only training reads are left out."""
    state = {
        name: tensor.detach().half().cpu().contiguous()
        for name, tensor in average.state_dict().items()
        if not name.endswith(".num_batches_tracked")
    }
    atomically(path, lambda new: _write(new, packed(state)))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def atomically(path: Path, write: Callable[[Path], None]) -> None:
    """``write`` beside ``path``, flush to the disk, then rename; on failure ``path`` is as it was."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
