"""TorchScript on the CPU: traced, frozen, channels last (docs/why/decisions/0005-torchscript-on-the-cpu.md).

Compared with the plain module, freezing and channels-last memory make MiDaS small 1.5 times as fast. bfloat16 is faster
still on a CPU with instructions for it; the engine gate decides whether it is accurate enough
(docs/reference/engine-gate.md).
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
"""The executor specialises itself in its first runs: the first takes 2.5 times, the second 1.3 times as long."""

MAX_SIZES = 8
"""Limit of compiled networks in memory; if images of more sizes arrive, the oldest is dropped and loaded again."""

_VERSION = 1
"""Increased whenever this file compiles networks differently; older traces are then not used."""


class TorchScriptEngine:
    """Runs one network at any image size that it takes; each size is compiled at first use and kept on disk.

    ``network_factory`` is only called for a size that is not on disk; ``weights_key`` (the weights' SHA-256) and
    ``code_version`` identify the network that it would return.
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
        """``outputs``: names of the tensors that the network returns; several names stand for a tuple."""
        self.name, self.threads, self.outputs = name, threads, outputs
        self._dtype = torch.bfloat16 if dtype == "bf16" else torch.float32
        self._factory = network_factory
        self._key = {"network": name, "code": code_version, "weights": weights_key}
        self._cache = TraceCache(cache)
        self._max_batch = max_batch
        self._compiled: dict[Size, Any] = {}
        self._lock, self._closed = threading.Lock(), False
        self._local = threading.local()

    @property
    def max_batch(self) -> int:
        """1 by default: on a CPU a batch of four takes as long as four images."""
        return self._max_batch

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        """``pixels`` (N, 3, h, w) float32 -> ``depth`` (N, h, w) float32. Memory in NHWC order is not copied."""
        pixels = self._check_pixels(inputs)
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

    def _check_pixels(self, inputs: dict[str, Floats]) -> Floats:
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
                # Under the lock, so that lanes which meet a new size together compile it once.
                self._compiled[size] = self._load_or_compile(size)
            return self._compiled[size]

    def _use_threads(self) -> None:
        """Set the number of threads, which torch keeps per calling thread."""
        if not getattr(self._local, "threads_set", False):
            torch.set_num_threads(self.threads)
            self._local.threads_set = True

    def _load_or_compile(self, size: Size) -> Any:
        key = json.dumps(
            self._key | {"torch": torch.__version__, "size": str(size), "precision": self._precision, "by": _VERSION}
        )
        file_name = f"{self.name}-{size}"
        _silence_known_warnings()
        network = self._load(file_name, key)
        if network is None:
            network = trace(self._factory(), size, self.name)
            if self._dtype == torch.bfloat16:
                network = to_bfloat16(network)
            buffer = io.BytesIO()
            torch.jit.save(network, buffer)
            self._cache.write(file_name, key, buffer.getvalue())
        with torch.inference_mode():
            for _ in range(WARM_UP_RUNS):
                _run(network, _example(1, size).to(self._dtype), self.name)
        return network

    def _load(self, file_name: str, key: str) -> Any:
        content = self._cache.read(file_name, key)
        if content is None:
            return None
        try:
            return torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            self._cache.report(file_name, key, error)
            return None


def trace(network: nn.Module, size: Size, name: str) -> Any:
    """The frozen trace of ``network`` for images of ``size``, in batches of any size.

    Raises EngineError if the network does not take this size or if the outputs of trace and network differ.
    """
    # memory_format is missing from torch's annotations
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    two = _example(2, size)  # another batch size than the trace's, which must serve any
    with torch.inference_mode():
        # before tracing, because the networks do not check their input size while they are traced
        expected = _run(network, two, name)
        try:
            # torch ships no annotations for torch.jit.trace
            # torch's own check is off: it repeats the batch size of the trace, and ours below takes another.
            traced = torch.jit.trace(network, _example(1, size), check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)
        except RuntimeError as error:
            raise EngineError(f"{name} cannot be traced at {size}: {_last_line(error)}") from error
        for correct, traced_output in zip(expected, _run(frozen, two, name), strict=True):
            difference = float((traced_output - correct).abs().max())
            # Not ``>``, which would let NaN pass.
            if not difference <= 1e-3 * float(correct.abs().max()):
                raise EngineError(f"{name}: the trace at {size} differs from the network by {difference:g}")
    return frozen


def to_bfloat16(frozen: Any) -> Any:
    """The frozen float32 trace with its weights rounded to bfloat16; it takes and returns bfloat16.

    The trace was checked, and batch normalisation folded, in float32. On the trained tiny that halves the error
    compared with a network that is converted before tracing (0.5 instead of 1.0% of the depth's standard deviation).
    """
    graph = frozen.graph
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t" and node.t("value").dtype == torch.float32:
            node.t_("value", node.t("value").bfloat16())
    buffer = io.BytesIO()
    torch.jit.save(frozen, buffer)
    buffer.seek(0)
    # saved and loaded, because the module has run and its executor keeps the old weights
    return torch.jit.load(buffer)  # type: ignore[no-untyped-call]


def _run(network: Callable[[Tensor], Any], pixels: Tensor, name: str) -> tuple[Tensor, ...]:
    """The network's outputs as a tuple. Raises EngineError."""
    try:
        results = network(pixels)
        return results if isinstance(results, tuple) else (results,)
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"{name} cannot run at {Size(*pixels.shape[2:])}: {_last_line(error)}") from error


def _tensor(pixels: Floats) -> Tensor:
    """A channels-last tensor that shares the array's memory, unless that is read-only or has negative strides."""
    if not pixels.flags.writeable or min(pixels.strides) < 0:
        pixels = np.array(pixels, order="K")
    return torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)


def _example(n: int, size: Size) -> Tensor:
    noise = torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last)


def _silence_known_warnings() -> None:
    # Every call of torch.jit warns that it is deprecated; the decision record of this engine discusses that. Tracing
    # warns that sizes become constants, which is intended, and ``trace`` compares the outputs. warnings.catch_warnings
    # is no alternative: it changes the filters of all threads and restores them at an arbitrary moment.
    for category in (DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=category)
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not in its list


def _last_line(error: BaseException) -> str:
    """The cause of a TorchScript error, whose message is a whole stack of source lines that ends with it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
