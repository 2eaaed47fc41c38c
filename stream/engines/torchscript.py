"""TorchScript on the CPU: traced, frozen, channels last (docs/decisions/0005-torchscript-on-the-cpu.md).

Against running the module as it is, freezing and channels-last memory make MiDaS small 1.5 times as fast. bfloat16 is
faster still on a CPU that multiplies it, and only as good as the engine gate says (docs/gate.md).
"""

from __future__ import annotations

import io
import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from stream.engines.trace_cache import TraceCache
from stream.errors import EngineError
from stream.frames import Floats, Size

WARM_UP_RUNS = 3
"""The executor specialises itself in its first runs: the first takes 2.5 times, the second 1.3 times a frame's time."""

MAX_SIZES = 8
"""Compiled networks in memory; more only if images of many shapes arrive, which then costs a load from disk."""

_VERSION = 1
"""Counts changes in how this file compiles networks."""


class TorchScriptEngine:
    """One network for any image size it takes; each size is compiled when it is first seen and kept on disk.

    ``network_factory`` is only called when a size is not on disk; ``weights_key`` (the weights' SHA-256) and
    ``code_version`` say what it would return.
    """

    def __init__(
        self,
        name: str,
        network_factory: Callable[[], nn.Module],
        *,
        weights_key: str,
        code_version: str,
        cache: Path | None,
        threads: int,
        max_batch: int = 1,
        dtype: Literal["fp32", "bf16"] = "fp32",
        outputs: tuple[str, ...] = ("depth",),
    ) -> None:
        """``outputs``: names of what the network returns; several are a tuple."""
        self.name, self.threads, self.outputs = name, threads, outputs
        self._dtype = torch.bfloat16 if dtype == "bf16" else torch.float32
        self._factory = network_factory
        self._made_from = {"network": name, "code": code_version, "weights": weights_key}
        self._cache = TraceCache(cache)
        self._max_batch = max_batch
        self._compiled: dict[Size, Any] = {}
        self._lock, self._closed = threading.Lock(), False
        self._local = threading.local()

    @property
    def max_batch(self) -> int:
        """1 unless asked otherwise: on a CPU a batch of four takes as long as four images."""
        return self._max_batch

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        """``pixels`` (N, 3, h, w) float32 -> ``depth`` (N, h, w) float32. Memory in NHWC order is taken as it is."""
        pixels = self._checked(inputs)
        network = self._network_for(Size(*pixels.shape[2:]))
        with torch.inference_mode():
            results = _run(network, _tensor(pixels).to(self._dtype), self.name)
        return {name: result.float().numpy() for name, result in zip(self.outputs, results, strict=True)}

    def prepare(self, size: Size) -> None:
        """Compile for this network size now, so that the first image does not wait for it. Raises EngineError."""
        self._network_for(size)

    def describe(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.name} by TorchScript on the CPU, {self._precision}, {threads}, torch {torch.__version__}"

    def close(self) -> None:
        with self._lock:
            self._compiled.clear()
            self._closed = True

    @property
    def _precision(self) -> str:
        return str(self._dtype).removeprefix("torch.")

    def _checked(self, inputs: dict[str, Floats]) -> Floats:
        pixels = inputs.get("pixels")
        if pixels is None or len(inputs) != 1:
            raise EngineError(f'{self.name} takes one input, "pixels"; got: {", ".join(inputs) or "none"}')
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != np.float32:
            raise EngineError(f"{self.name} takes (N, 3, h, w) float32; got {pixels.shape} {pixels.dtype}")
        if not 1 <= len(pixels) <= self._max_batch:
            raise EngineError(f"{self.name} takes 1 to {self._max_batch} images at once; got {len(pixels)}")
        return pixels

    def _network_for(self, size: Size) -> Any:
        self._use_threads()
        with self._lock:
            if self._closed:
                raise EngineError(f"{self.name}: this engine is closed")
            if size not in self._compiled:
                if len(self._compiled) >= MAX_SIZES:
                    self._compiled.pop(next(iter(self._compiled)))
                self._compiled[size] = self._ready(size)
            return self._compiled[size]

    def _use_threads(self) -> None:
        """torch keeps the number of threads for each calling thread apart."""
        if not getattr(self._local, "told", False):
            torch.set_num_threads(self.threads)
            self._local.told = True

    def _ready(self, size: Size) -> Any:
        key = json.dumps(
            self._made_from
            | {"torch": torch.__version__, "size": str(size), "precision": self._precision, "by": _VERSION}
        )
        file_name = f"{self.name}-{size}"
        _expect_deprecation()
        network = self._kept(file_name, key)
        if network is None:
            network = trace(self._factory(), size, self.name)
            if self._dtype == torch.bfloat16:
                network = in_bfloat16(network)
            buffer = io.BytesIO()
            torch.jit.save(network, buffer)
            self._cache.write(file_name, key, buffer.getvalue())
        with torch.inference_mode():
            for _ in range(WARM_UP_RUNS):
                _run(network, _example(1, size).to(self._dtype), self.name)
        return network

    def _kept(self, file_name: str, key: str) -> Any:
        content = self._cache.read(file_name, key)
        if content is None:
            return None
        try:
            return torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            self._cache.report(file_name, key, error)
            return None


def trace(network: nn.Module, size: Size, name: str) -> Any:
    """The frozen trace of ``network`` for images of ``size``, any number at once.

    Raises EngineError if the network does not take this size or if the trace answers otherwise than the network.
    """
    # torch's annotations forgot this argument
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    two = _example(2, size)
    with torch.inference_mode():
        expected = _run(network, two, name)  # before tracing, because a trace does not ask whether the size is right
        try:
            # torch ships no annotations for torch.jit.trace
            traced = torch.jit.trace(network, _example(1, size), check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)
        except RuntimeError as error:
            raise EngineError(f"{name} cannot be traced at {size}: {_last_line(error)}") from error
        for wanted, given in zip(expected, _run(frozen, two, name), strict=True):
            difference = float((given - wanted).abs().max())
            if not difference <= 1e-3 * float(wanted.abs().max()):
                raise EngineError(f"{name}: the trace at {size} differs from the network by {difference:g}")
    return frozen


def in_bfloat16(frozen: Any) -> Any:
    """A frozen float32 trace with its weights rounded to bfloat16: it takes and gives bfloat16.

    The trace has been checked, and batch normalisation folded, in float32: on the trained tiny half the error of a
    network that is converted before it is traced (0.5 instead of 1.0% of the depth's standard deviation).
    """
    graph = frozen.graph
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t" and node.t("value").dtype == torch.float32:
            node.t_("value", node.t("value").bfloat16())
    buffer = io.BytesIO()
    torch.jit.save(frozen, buffer)
    buffer.seek(0)
    # loaded again, because the module has run and its executor keeps the weights it has seen
    return torch.jit.load(buffer)  # type: ignore[no-untyped-call]


def _run(network: Callable[[Tensor], Any], pixels: Tensor, name: str) -> tuple[Tensor, ...]:
    """All that the network returns."""
    try:
        results = network(pixels)
        return results if isinstance(results, tuple) else (results,)
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"{name} cannot run at {Size(*pixels.shape[2:])}: {_last_line(error)}") from error


def _tensor(pixels: Floats) -> Tensor:
    """Shares the memory where torch allows it: not if it is read-only or runs backwards."""
    if not pixels.flags.writeable or min(pixels.strides) < 0:
        pixels = np.array(pixels, order="K")
    return torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)


def _example(n: int, size: Size) -> Tensor:
    noise = torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last)


def _expect_deprecation() -> None:
    """torch.jit says at every call that it is old; that is known, and said in this file's decision record.

    And that a trace keeps sizes as they are: that is what it is for, and ``trace`` compares the answers.

    Not by warnings.catch_warnings, which changes the filters of every thread and puts them back at a random moment.
    """
    for category in (DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=category)
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not in its list


def _last_line(error: BaseException) -> str:
    """TorchScript's messages are a whole stack of source lines; the last one is the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
