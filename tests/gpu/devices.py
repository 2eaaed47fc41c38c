"""What this folder's tests run on: a GPU, and the CPU's tensors anywhere, so that the tests are tested themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from stream.engines.eager import EagerEngine
from stream.engines.select import Choice
from stream.inference.gpu_engines import GpuEngines
from stream.models.base import DepthModel
from stream.models.loading import load_network
from stream.settings import ModelSettings

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def need(device: str) -> str:
    """Skip where there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    return device


@contextmanager
def nothing_may_wait() -> Iterator[None]:
    """torch raises an error at every operation that waits for the GPU; afterwards, whatever happens, it does not."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*prototype feature", category=UserWarning)  # this very mode
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def by_torch(device: str, engine: str = "cuda") -> Callable[[DepthModel, ModelSettings, Choice], Any]:
    """Opens what pipelines open on a GPU: plain torch, or ("cuda_graph") its graphs."""

    def open_it(model: DepthModel, settings: ModelSettings, choice: Choice) -> Any:
        wanted = Choice("cuda_graph" if engine == "cuda_graph" else "cuda", 1, 1, "for a test")
        return GpuEngines(model, settings, wanted, device).open()

    return open_it


def by_network(device: str, network: torch.nn.Module) -> Callable[[DepthModel, ModelSettings, Choice], EagerEngine]:
    """Opens any network as torch runs it."""

    def open_it(model: DepthModel, settings: ModelSettings, choice: Choice) -> EagerEngine:
        return EagerEngine("x", lambda: network, device=torch.device(device), max_batch=settings.max_batch)

    return open_it


def network(name: str) -> torch.nn.Module:
    """The network itself, with the weights that come with the package, or random ones."""
    from stream.models.catalog import find

    weights = "trained" if name == "tiny" else "random"
    return load_network(find(name), weights)
