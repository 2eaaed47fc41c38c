"""TensorRT's part of running an engine: the engine, an execution context per batch size, and its CUDA graph.

The rules (NVIDIA's developer guide, "CUDA Graphs" and "Dynamic Shapes"; demo/Diffusion in NVIDIA/TensorRT):

- Never use the default stream, because TensorRT then synchronises the whole device.
- Each captured batch size has a context of its own, because a graph is void once its context changes.
- Run once before the capture, because the first run does work that no graph can hold.
- Observe the rules of every capture (``stream.engines.streams.capture_graph``).

This file has not yet run on a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stream.engines.onnx_export import INPUT, OUTPUT
from stream.engines.streams import capture_graph
from stream.engines.tensorrt.api import TensorRT
from stream.engines.tensorrt.build import Profile
from stream.errors import EngineError

log = logging.getLogger(__name__)


def deserialize(trt: TensorRT, plan: bytes, profile: Profile) -> Any:
    """The ICudaEngine of ``plan``.

    Raises EngineError if the plan is for another GPU or TensorRT release, or was not built for ``profile``.
    """
    trt.errors.take()  # what earlier calls left is not this one's cause
    try:
        engine = trt.module.Runtime(trt.logger).deserialize_cuda_engine(plan)
    except TypeError as error:  # its bindings raise this for a null pointer
        raise EngineError(f"{trt} cannot run here: {trt.errors.take()}") from error
    if engine is None:
        raise EngineError(f"{trt} does not load the engine here: {trt.errors.take()}")
    modes = {
        engine.get_tensor_name(i): engine.get_tensor_mode(engine.get_tensor_name(i))
        for i in range(engine.num_io_tensors)
    }
    mode, float32 = trt.module.TensorIOMode, trt.module.DataType.FLOAT
    inputs, outputs = ([name for name in modes if modes[name] == wanted] for wanted in (mode.INPUT, mode.OUTPUT))
    if inputs != [INPUT] or OUTPUT not in outputs or any(engine.get_tensor_dtype(name) != float32 for name in modes):
        raise EngineError(f"the engine must take {INPUT} and give {OUTPUT}, all float32; it has {', '.join(modes)}")
    shapes = tuple(tuple(shape) for shape in engine.get_tensor_profile_shape(INPUT, 0))
    if shapes != profile.shapes():
        raise EngineError(f"the engine was built for {shapes}, not for {profile.shapes()}")
    return engine


def output_shapes(trt: TensorRT, engine: Any) -> dict[str, tuple[int, ...]]:
    """Shapes by output name, without the batch. Raises EngineError if any dimension but the batch is dynamic."""
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    outputs = [name for name in names if engine.get_tensor_mode(name) == trt.module.TensorIOMode.OUTPUT]
    shapes = {name: tuple(engine.get_tensor_shape(name)) for name in outputs}
    for name, shape in shapes.items():
        if not shape or shape[0] not in (-1, 1) or min(shape[1:], default=1) < 1:
            raise EngineError(
                f"the engine's output {name} has the shape {shape}: only the first dimension, the batch, may be dynamic"
            )
    return {name: shape[1:] for name, shape in shapes.items()}


def runtime_options(trt: TensorRT, engine: Any, cache_file: Path | None) -> tuple[tuple[Any, ...], Any]:
    """Arguments of ``create_execution_context``, and TensorRT-RTX's cache of the kernels that it compiles for this GPU.

    For TensorRT the result is empty and None.
    """
    if trt.flavour != "tensorrt_rtx":
        return (), None
    config = engine.create_runtime_config()
    # compile for each batch size at once, else a graph would keep the slow generic kernel for ever
    config.dynamic_shapes_kernel_specialization_strategy = trt.module.DynamicShapesKernelSpecializationStrategy.EAGER
    cache = config.create_runtime_cache()
    if cache_file is not None and cache_file.is_file() and not cache.deserialize(cache_file.read_bytes()):
        log.info("%s: not usable here, compiling anew", cache_file)
    config.set_runtime_cache(cache)
    return (config,), cache


class BoundContext:
    """An execution context for one batch size, bound to buffers that never move, and its CUDA graph."""

    def __init__(
        self,
        trt: TensorRT,
        context: Any,
        stream: torch.cuda.Stream,
        shape: tuple[int, ...],
        addresses: Mapping[str, int],
    ) -> None:
        """``shape``: the input's. ``addresses``: device addresses of the input's and the outputs' memory, by name."""
        self._trt, self._context, self._stream = trt, context, stream
        self._graph: torch.cuda.CUDAGraph | None = None
        bound = context.set_input_shape(INPUT, shape)
        bound = bound and all(context.set_tensor_address(name, address) for name, address in addresses.items())
        # ``infer_shapes`` returns the names of inputs that are still missing.
        if not bound or context.infer_shapes():
            raise EngineError(f"{trt} does not take {shape}: {trt.errors.take()}")

    def __call__(self) -> None:
        """Enqueue one run on the stream."""
        if self._graph is not None:
            self._graph.replay()
        elif not self._context.execute_async_v3(self._stream.cuda_stream):
            raise EngineError(f"{self._trt} could not run: {self._trt.errors.take()}")

    def capture(self, name: str) -> None:
        """Capture a graph, which all later calls replay. If that is impossible, a warning is logged."""
        self()
        self._stream.synchronize()
        if self._trt.flavour == "tensorrt_rtx" and not self._context.is_stream_capturable(self._stream.cuda_stream):
            log.warning("%s runs without a CUDA graph: TensorRT-RTX says that it cannot be captured", name)
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with capture_graph(graph, self._stream):
                self()
        except (RuntimeError, EngineError) as error:
            log.warning("%s runs without a CUDA graph: %s", name, error)
            return
        self._graph = graph
