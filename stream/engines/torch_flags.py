"""torch's settings that hold for the whole process, changed only while somebody here needs them so.

The process may be another program's, which uses this one as a library. While they are held, that program's other
threads see them too, and torch refuses to read its older names for them (``torch.backends.cudnn.allow_tf32``) where
only the newer ones were set.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch

Undo = Callable[[], None]


class Held:
    """A change for as long as anybody is inside of ``with``, in any thread; the last one who leaves puts it back."""

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
    """cuDNN computes float32 as float32. Its default is TF32, whose products have half precision's mantissa."""
    if not hasattr(cudnn, "conv"):  # before torch 2.9
        before = cudnn.allow_tf32
        cudnn.allow_tf32 = False
        return lambda: setattr(cudnn, "allow_tf32", before)
    return _instead_of_tf32(cudnn.conv)


def float32_products(matmul: Any) -> Undo:
    """So does cuBLAS; that is its default, which programs change.

    By the older names where they were used to change it: torch keeps both, and complains when they contradict.
    """
    newer = hasattr(matmul, "fp32_precision")
    if not (matmul.fp32_precision == "tf32" if newer else matmul.allow_tf32):
        return _nothing
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # the newer names were used
        return _instead_of_tf32(matmul)
    matmul.allow_tf32 = False
    return lambda: torch.set_float32_matmul_precision(older)


def fastest_convolutions(cudnn: Any) -> Undo:
    """cuDNN tries out all that it has at the first image of a shape, in each thread anew, and says what failed."""
    warnings.filterwarnings("ignore", message=r".*Plan failed with a cudnn", category=UserWarning)
    before = cudnn.benchmark
    cudnn.benchmark = True
    return lambda: setattr(cudnn, "benchmark", before)


def _instead_of_tf32(setting: Any) -> Undo:
    """Nothing is said of an operation by itself ("none") where that gives the same: then its parents decide again."""
    if setting.fp32_precision != "tf32":
        return _nothing
    setting.fp32_precision = "ieee"

    def undo() -> None:
        setting.fp32_precision = "none"
        if setting.fp32_precision != "tf32":
            setting.fp32_precision = "tf32"

    return undo


def _full_float32() -> Undo:
    undo = float32_convolutions(torch.backends.cudnn), float32_products(torch.backends.cuda.matmul)

    def both() -> None:
        for each in undo:
            each()

    return both


def _nothing() -> None:
    pass


FULL_FLOAT32 = Held(_full_float32)
"""float32 without TF32, in convolutions and products of matrices."""

FASTEST = Held(lambda: fastest_convolutions(torch.backends.cudnn))
"""For what is captured: the graph keeps what was found. Elsewhere every thread would search again, with images
waiting: cuDNN's findings belong to a thread and a shape."""
