"""From an ONNX file to a TensorRT engine. TensorRT needs the GPU for it, TensorRT-RTX none ("ahead of time")."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.core.atomic_write import write_whole
from stream.engines.onnx_export import INPUT, OUTPUTS
from stream.engines.tensorrt.api import Gpu, TensorRT
from stream.engines.tensorrt.progress import Progress, progress_monitor
from stream.errors import EngineError
from stream.frames import Size

log = logging.getLogger(__name__)

WORKSPACE_BYTES = 4 << 30
"""The most GPU memory that a single operation may use as scratch."""

Targets = tuple[str, ...]
"""Names of TensorRT-RTX's ComputeCapability; none: its portable engine."""

PORTABLE = "portable"
"""TensorRT-RTX's engines for compute capability 8.0, 8.6, 8.9, 12.0 and later."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The inputs an engine is built for: one size, 1 to ``max_batch`` images, fastest for ``best_batch``."""

    size: Size
    max_batch: int
    best_batch: int

    def shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """(N, 3, h, w) of the smallest, the best and the largest input."""
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
    """The serialised engine, which must give ``outputs``.

    ``targets``: see ``rtx_targets``; nothing for TensorRT. ``timing_cache``: a file that makes TensorRT's next build
    faster; TensorRT-RTX, which times nothing, does not use it. Ctrl-C ends the build within a step of it. Raises
    EngineError with TensorRT's first complaint.
    """
    trt.errors.take()
    try:
        builder = trt.module.Builder(trt.logger)
    except TypeError as error:  # what its bindings say of a null pointer
        raise EngineError(f"{trt} cannot build here: {trt.errors.take()}") from error
    network = _parsed(trt, builder, onnx, outputs)
    config = _config(trt, builder, network, profile)
    _aim(trt, config, targets)
    kept = _timing_cache(trt, config, timing_cache)
    plan = _built(trt, builder, network, config, progress)
    if kept is not None and timing_cache is not None:
        write_whole(timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def rtx_targets(gpu: Gpu | None) -> tuple[Targets, ...]:
    """TensorRT-RTX's ``targets`` for this GPU, in the order to try them; the empty one gives a PORTABLE engine.

    A card that has no name of its own in TensorRT-RTX (9.0: H100, H200) is asked for as the current one first: it is
    outside the documented range, and the portable engine may run on it too.
    """
    if gpu is None:
        return ((),)
    name = "SM" + gpu.compute_capability.replace(".", "")
    named = name in ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
    return ((name,),) if named else (("CURRENT",), ())


def _parsed(trt: TensorRT, builder: Any, onnx: bytes, outputs: tuple[str, ...]) -> Any:
    flag = getattr(trt.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.module.OnnxParser(network, trt.logger)
    if not parser.parse(onnx):
        raise EngineError(f"{trt} cannot read the ONNX file: {_complaint(parser) or trt.errors.take()}")
    # of an empty file it says that all is well
    names = [network.get_input(i).name for i in range(network.num_inputs)]
    names += [network.get_output(i).name for i in range(network.num_outputs)]
    if names != [INPUT, *outputs]:
        wanted = ", ".join((INPUT, *outputs))
        raise EngineError(f"the ONNX file must have: {wanted}; it has: {', '.join(names) or 'nothing'}")
    return network


def _complaint(parser: Any) -> str:
    if not parser.num_errors:
        return ""
    error = parser.get_error(0)
    where = f" (node {error.node_name()}, {error.node_operator()})" if error.node_name() else ""
    return " ".join(f"{error.desc()}{where}".split())


def _config(trt: TensorRT, builder: Any, network: Any, profile: Profile) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.module.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.max_aux_streams = 0  # one stream is simplest to capture in a CUDA graph
    config.clear_flag(trt.module.BuilderFlag.TF32)  # its products have half precision's mantissa: fp32 is to be fp32
    ours, accepted = tuple(network.get_input(0).shape), (-1, 3, *profile.size)
    if ours != accepted or not 1 <= profile.best_batch <= profile.max_batch:
        raise EngineError(f"the ONNX file takes {ours}, an engine was asked for with {accepted} and {profile}")
    shapes = builder.create_optimization_profile()
    shapes.set_shape(INPUT, *profile.shapes())
    if config.add_optimization_profile(shapes) < 0:
        raise EngineError(f"{trt} does not accept {profile}: {trt.errors.take()}")
    return config


def _aim(trt: TensorRT, config: Any, targets: Targets) -> None:
    if not targets:
        return
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        if not config.set_compute_capability(getattr(trt.module.ComputeCapability, target), i):
            raise EngineError(f"{trt} does not build for {target}: {trt.errors.take()}")


def _timing_cache(trt: TensorRT, config: Any, path: Path | None) -> Any:
    if path is None or trt.flavour != "tensorrt":
        return None
    content = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(content)
    if not config.set_timing_cache(cache, False):
        log.warning("%s: begun anew, because TensorRT does not accept it: %s", path, trt.errors.take())
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _built(trt: TensorRT, builder: Any, network: Any, config: Any, progress: Progress | None) -> Any:
    """In a thread of its own: Ctrl-C reaches the main thread only between two lines of Python."""
    monitor = progress_monitor(trt.module, progress or (lambda step, total, phase: None))
    config.progress_monitor = monitor
    building: Future[Any] = Future()

    def run() -> None:
        try:
            building.set_result(builder.build_serialized_network(network, config))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            building.set_exception(error)

    # no pool: an interrupt while a pool starts its thread would leave that running
    thread = threading.Thread(target=run, name="tensorrt-build")
    try:
        thread.start()
        plan = building.result()
    except KeyboardInterrupt:
        monitor.cancelled = True
        wait([building])
        raise
    finally:
        if building.done():
            thread.join()
    if monitor.failure is not None:
        raise monitor.failure
    if plan is None:
        raise EngineError(f"{trt} could not build the engine: {trt.errors.take()}")
    return plan
