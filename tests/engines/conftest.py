"""A stand-in for the GPU, which records what it is asked to do, and ONNX exports that tests share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

import pytest

from stream.core.atomic_write import atomic_write
from stream.engines.onnx_export import export_onnx
from stream.engines.precision import Precision
from stream.frames import Size
from stream.models.catalog import find
from stream.models.loading import load_network
from tests.engines.cuda_stand_in import Cuda, installed

EXPORT_SIZE = Size(128, 256)
OnnxOf = Callable[[str, Precision], bytes]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Streams, events and graphs that do everything at once, and a list of the calls that they received."""
    return installed(monkeypatch)


@pytest.fixture(scope="session")
def onnx_of(tmp_path_factory: pytest.TempPathFactory) -> OnnxOf:
    """``onnx_of(name, precision)``: one of our networks with random weights, exported at EXPORT_SIZE.

    Once in a test run, whichever of its workers comes first: an export takes seconds.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def export(name: str, precision: Precision) -> bytes:
        file = folder / f"{name}-{precision}.onnx"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                atomic_write(file, export_onnx(load_network(find(name), "random"), EXPORT_SIZE, precision=precision))
        return file.read_bytes()

    return export
