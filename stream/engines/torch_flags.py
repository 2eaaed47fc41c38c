"""torch's process-wide flags, changed only while one of our engines needs them.

This package may be a library in another program. While a flag is changed, that program's other threads see it too, and
torch refuses to read the older names of a flag (``torch.backends.cudnn.allow_tf32``) where only the newer ones were
set.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch

Undo = Callable[[], None]
"""Restores the flag's previous value."""


class ScopedOverride:
    """A change that holds while any thread is inside the ``with`` block; the last thread to leave undoes it."""

    def __init__(self, change: Callable[[], Undo]) -> None:
        self._change, self._undo = change, _nothing
        self._lock, self._users = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._undo = self._change()
            self._users += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._undo()


def float32_convolutions(cudnn: Any) -> Undo:
    """Let cuDNN compute float32 in full. Its default is TF32, whose products have half precision's mantissa."""
    if not hasattr(cudnn, "conv"):  # before torch 2.9
        before = cudnn.allow_tf32
        cudnn.allow_tf32 = False
        return lambda: setattr(cudnn, "allow_tf32", before)
    return _replace_tf32(cudnn.conv)


def float32_matmuls(matmul: Any) -> Undo:
    """Let cuBLAS compute float32 in full. That is its default, but programs change it.

    torch keeps an older and a newer name for this setting and complains where they contradict each other. So the older
    one is set where the program used that one.
    """
    newer = hasattr(matmul, "fp32_precision")
    if not (matmul.fp32_precision == "tf32" if newer else matmul.allow_tf32):
        return _nothing
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # the program used the newer names
        return _replace_tf32(matmul)
    matmul.allow_tf32 = False
    return lambda: torch.set_float32_matmul_precision(older)


def autotuned_convolutions(cudnn: Any) -> Undo:
    """Let cuDNN time all its algorithms at the first image of a shape, in each thread anew."""
    # the search warns about every algorithm that fails
    warnings.filterwarnings("ignore", message=r".*Plan failed with a cudnn", category=UserWarning)
    before = cudnn.benchmark
    cudnn.benchmark = True
    return lambda: setattr(cudnn, "benchmark", before)


def _replace_tf32(setting: Any) -> Undo:
    if setting.fp32_precision != "tf32":
        return _nothing
    setting.fp32_precision = "ieee"

    def undo() -> None:
        # "none" inherits from the more general settings; it is preferred where that gives the previous value
        setting.fp32_precision = "none"
        if setting.fp32_precision != "tf32":
            setting.fp32_precision = "tf32"

    return undo


def _full_float32() -> Undo:
    undo = float32_convolutions(torch.backends.cudnn), float32_matmuls(torch.backends.cuda.matmul)

    def both() -> None:
        for restore in undo:
            restore()

    return both


def _nothing() -> None:
    pass


FULL_FLOAT32 = ScopedOverride(_full_float32)
"""float32 without TF32, in convolutions and matrix products."""

CUDNN_AUTOTUNE = ScopedOverride(lambda: autotuned_convolutions(torch.backends.cudnn))
"""cuDNN's benchmark mode, for captures only: the graph keeps the fastest algorithms. cuDNN remembers its results per
thread and shape, so without a graph every thread would search again while images wait."""
