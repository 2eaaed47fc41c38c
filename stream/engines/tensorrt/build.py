"""Builds a TensorRT engine from an ONNX file. TensorRT needs the target GPU for it, TensorRT-RTX none."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.core.atomic_write import atomic_write
from stream.engines.onnx_export import INPUT, OUTPUTS
from stream.engines.tensorrt.api import Gpu, TensorRT
from stream.engines.tensorrt.progress import Progress, progress_monitor
from stream.errors import EngineError
from stream.frames import Size

log = logging.getLogger(__name__)

WORKSPACE_BYTES = 4 << 30
"""Limit of the scratch memory on the GPU for a single operation."""

Targets = tuple[str, ...]
"""Members of TensorRT-RTX's ComputeCapability; an empty tuple stands for its portable engine."""

PORTABLE = "portable"
"""Marks TensorRT-RTX's engines for compute capability 8.0, 8.6, 8.9, 12.0 and later."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The inputs that an engine is built for."""

    size: Size
    """Network input size, pixels."""
    max_batch: int
    """It takes 1 to this number of images at once."""
    best_batch: int
    """The batch size that it is fastest for."""

    def shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Input shapes (N, 3, h, w) of the smallest, the best and the largest batch."""
        return tuple((n, 3, *self.size) for n in (1, self.best_batch, self.max_batch))


def build(
    trt: TensorRT,
    onnx: bytes,
    profile: Profile,
    *,
    targets: Targets = (),
    timing_cache: Path | None = None,
    progress: Progress | None = None,
    outputs: tuple[str, ...] = OUTPUTS,
) -> bytes:
    """The serialised engine.

    ``targets``: see ``rtx_targets``; empty for TensorRT. ``timing_cache``: a file that makes TensorRT's next build
    faster; TensorRT-RTX, which times nothing, does not use it. ``outputs``: the output names that the ONNX file must
    have. Ctrl-C ends the build after its current step. Raises EngineError with TensorRT's first error message.
    """
    trt.errors.take()
    try:
        builder = trt.module.Builder(trt.logger)
    except TypeError as error:  # its bindings raise this for a null pointer
        raise EngineError(f"{trt} cannot build here: {trt.errors.take()}") from error
    network = _parse(trt, builder, onnx, outputs)
    config = _config(trt, builder, network, profile)
    _set_targets(trt, config, targets)
    cache = _load_timing_cache(trt, config, timing_cache)
    plan = _run_build(trt, builder, network, config, progress)
    if cache is not None and timing_cache is not None:
        atomic_write(timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def rtx_targets(gpu: Gpu | None) -> tuple[Targets, ...]:
    """TensorRT-RTX's ``targets`` for this GPU, in the order to try them; an empty one gives a PORTABLE engine.

    For a GPU without a name in TensorRT-RTX (compute capability 9.0: H100, H200) "CURRENT" is tried first. It is
    outside the documented range, and the portable engine may run on it too.
    """
    if gpu is None:
        return ((),)
    name = "SM" + gpu.compute_capability.replace(".", "")
    named = name in ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
    return ((name,),) if named else (("CURRENT",), ())


def _parse(trt: TensorRT, builder: Any, onnx: bytes, outputs: tuple[str, ...]) -> Any:
    # Without this flag TensorRT 10 chooses types itself; TensorRT 11 always takes the graph's.
    flag = getattr(trt.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.module.OnnxParser(network, trt.logger)
    if not parser.parse(onnx):
        raise EngineError(f"{trt} cannot read the ONNX file: {_parser_error(parser) or trt.errors.take()}")
    # the parser accepts an empty file without an error
    names = [network.get_input(i).name for i in range(network.num_inputs)]
    names += [network.get_output(i).name for i in range(network.num_outputs)]
    if names != [INPUT, *outputs]:
        wanted = ", ".join((INPUT, *outputs))
        raise EngineError(f"the ONNX file must have: {wanted}; it has: {', '.join(names) or 'nothing'}")
    return network


def _parser_error(parser: Any) -> str:
    if not parser.num_errors:
        return ""
    error = parser.get_error(0)
    where = f" (node {error.node_name()}, {error.node_operator()})" if error.node_name() else ""
    return " ".join(f"{error.desc()}{where}".split())


def _config(trt: TensorRT, builder: Any, network: Any, profile: Profile) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.module.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.max_aux_streams = 0  # a single stream is simplest to capture in a CUDA graph
    config.clear_flag(
        trt.module.BuilderFlag.TF32
    )  # its products have half precision's mantissa, and fp32 should be full float32
    exported, required = tuple(network.get_input(0).shape), (-1, 3, *profile.size)
    if exported != required or not 1 <= profile.best_batch <= profile.max_batch:
        raise EngineError(f"the ONNX file takes {exported}, an engine was requested with {required} and {profile}")
    shapes = builder.create_optimization_profile()
    shapes.set_shape(INPUT, *profile.shapes())
    if config.add_optimization_profile(shapes) < 0:
        raise EngineError(f"{trt} does not accept {profile}: {trt.errors.take()}")
    return config


def _set_targets(trt: TensorRT, config: Any, targets: Targets) -> None:
    if not targets:
        return
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        if not config.set_compute_capability(getattr(trt.module.ComputeCapability, target), i):
            raise EngineError(f"{trt} does not build for {target}: {trt.errors.take()}")


def _load_timing_cache(trt: TensorRT, config: Any, path: Path | None) -> Any:
    if path is None or trt.flavour != "tensorrt":
        return None
    content = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(content)
    if not config.set_timing_cache(cache, False):  # False: a cache of another GPU or release is a mismatch
        log.warning("%s: started anew, because TensorRT does not accept it: %s", path, trt.errors.take())
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _run_build(trt: TensorRT, builder: Any, network: Any, config: Any, progress: Progress | None) -> Any:
    """Build in a separate thread, and cancel the build at Ctrl-C.

    Ctrl-C reaches the main thread only between two lines of Python, so that must not be inside TensorRT.
    """
    monitor = progress_monitor(trt.module, progress or (lambda step, total, phase: None))
    config.progress_monitor = monitor
    building: Future[Any] = Future()

    def run() -> None:
        try:
            building.set_result(builder.build_serialized_network(network, config))
        except BaseException as error:  # noqa: BLE001 - raised again by building.result()
            building.set_exception(error)

    # no thread pool: an interrupt while a pool starts its thread would leave that thread running
    thread = threading.Thread(target=run, name="tensorrt-build")
    try:
        thread.start()
        plan = building.result()
    except KeyboardInterrupt:
        monitor.cancelled = True
        wait([building])
        raise
    finally:
        # A second Ctrl-C leaves before the build has ended, and must not wait for it here.
        if building.done():
            thread.join()
    if monitor.failure is not None:
        raise monitor.failure
    if plan is None:
        raise EngineError(f"{trt} could not build the engine: {trt.errors.take()}")
    return plan
