"""Export of a torch network to ONNX: fixed height and width, any batch size, float32 input and output, one file.

TensorRT takes the types from the graph ("strongly typed"), so the precision is decided here.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from stream.core.optional import require
from stream.engines.precision import Precision, half_precision_for, to_precision
from stream.errors import EngineError, first_line
from stream.frames import Size

OPSET = 20
"""Opsets below 17 have no LayerNormalization, and the operations that replace it overflow in half precision."""

INPUT, OUTPUT = "pixels", "depth"
OUTPUTS = (OUTPUT,)
"""Output names of a network that returns only depth."""

MAX_FILE_BYTES = 1 << 31
"""Limit of a protobuf message, and so of an ONNX file with its weights inside."""

EXPORT_VERSION = 1
"""Increased whenever this file exports networks differently; built engines are found by it."""


def export_onnx(
    network: nn.Module,
    size: Size,
    *,
    precision: Precision = "fp32",
    float32_parts: Sequence[str] = (),
    outputs: tuple[str, ...] = OUTPUTS,
) -> bytes:
    """The content of an ONNX file: ``pixels`` (batch, 3, h, w) float32 -> ``depth`` (batch, h, w) float32.

    ``outputs``: names of the tensors that the network returns; several names stand for a tuple, all float32 with the
    batch first. ``float32_parts`` names submodules that stay in float32 with precision "mixed"; if it is empty, the
    network's own attribute of that name decides. The network is not changed. The same network gives the same bytes.
    Raises EngineError, and MissingPackage without onnx and onnxscript.
    """
    for package in ("onnx", "onnxscript"):
        require(package, extra="onnx", purpose="exporting a network to ONNX")
    from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

    _silence_known_warnings()
    # two images, because torch.export takes a dimension of size 1 for a constant
    name, example = type(network).__name__, torch.zeros(2, 3, *size)
    _check_bytes(network, precision)
    try:
        with torch.inference_mode():
            # run first for the network's own error about a size it does not take, which the exporter would hide
            results = network.eval()(example[:1])
            _check_count(name, results, outputs)
            return _serialize(_export(to_precision(network, precision, example, float32_parts), example, outputs))
    except EncodeError as error:
        raise EngineError(_too_large(network, f"protobuf says: {first_line(error)}", precision)) from error
    except (RuntimeError, ValueError, torch.onnx.OnnxExporterError) as error:
        raise EngineError(f"{name} cannot be exported to ONNX at {size}: {first_line(error)}") from error


def _check_bytes(network: nn.Module, precision: Precision) -> None:
    """Fail before minutes of exporting. With "mixed", parts in float32 are counted as half precision, too."""
    count = sum(value.numel() for value in network.state_dict().values())
    size = count * (4 if precision == "fp32" else 2)
    if size >= MAX_FILE_BYTES:
        raise EngineError(_too_large(network, f"its weights have {size / 1e9:.1f} GB", precision))


def _too_large(network: nn.Module, why: str, precision: Precision) -> str:
    smaller = {"fp32": half_precision_for(network), "mixed": "fp16", "fp16": None}[precision]
    use = (f'precision "{smaller}", or ' if smaller else "") + 'engine "cuda_graph", which needs no file'
    return f"{type(network).__name__} in {precision} does not fit into an ONNX file (less than 2 GiB): {why}; use {use}"


def _check_count(name: str, results: Any, outputs: tuple[str, ...]) -> None:
    """Without this check the exporter would silently drop names or invent some."""
    count = len(results) if isinstance(results, tuple) else 1
    if count != len(outputs):
        raise EngineError(f"{name} returns {count} tensors; {len(outputs)} were named: {', '.join(outputs)}")


def _export(network: nn.Module, example: Tensor, outputs: tuple[str, ...]) -> Any:
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
        external_data=False,  # the file's hash must cover the weights
        input_names=[INPUT],
        output_names=list(outputs),
        dynamic_shapes=({0: Dim("batch", min=1)},),
    )
    assert program is not None
    return program.model_proto


def _serialize(model: Any) -> bytes:
    """The file's bytes without the exporter's metadata, which holds the source folder and would change the hash."""
    graph = model.graph
    for element in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del element.metadata_props[:]
    # Protobuf leaves the order of maps open otherwise.
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _silence_known_warnings() -> None:
    """torch's exporter warns about its own code, and about torchvision, which we do not use, being absent."""
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*", category=FutureWarning)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
