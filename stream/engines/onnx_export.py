"""A torch network as ONNX, for other engines: fixed height and width, any batch, float32 in and out, one file.

TensorRT takes types as they are written in the graph, so the precision is decided here.
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
from stream.engines.precision import Precision, half_of, in_precision
from stream.errors import EngineError, first_line
from stream.frames import Size

OPSET = 20
"""Below 17 there is no LayerNormalization, and the operations that stand for it overflow in half precision."""

INPUT, OUTPUT = "pixels", "depth"
OUTPUTS = (OUTPUT,)
"""Of a network that gives nothing but depth."""

MOST_BYTES = 1 << 31
"""Of a protobuf message, so of an ONNX file whose weights are within."""

EXPORT_VERSION = 1
"""Counts changes in how this file writes networks."""


def export_onnx(
    network: nn.Module,
    size: Size,
    *,
    precision: Precision = "fp32",
    float32_parts: Sequence[str] = (),
    outputs: tuple[str, ...] = OUTPUTS,
) -> bytes:
    """``network`` as an ONNX file: ``pixels`` (batch, 3, h, w) float32 -> ``depth`` (batch, h, w) float32.

    ``outputs``: names of what the network returns; several are a tuple, all float32 with the batch first.
    ``float32_parts`` names submodules that stay in float32 with precision "mixed"; without any, those that the network
    names itself in an attribute of the same name. The network is not changed. The same network gives the same bytes.
    Raises EngineError, and MissingPackage without onnx and onnxscript.
    """
    for package in ("onnx", "onnxscript"):
        require(package, extra="onnx", purpose="exporting a network to ONNX")
    from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

    _expect_noise()
    name, example = type(network).__name__, torch.zeros(2, 3, *size)
    _check_bytes(network, precision)
    try:
        with torch.inference_mode():
            found = network.eval()(example[:1])  # its own words on a size it does not take; the exporter's hide them
            _check_count(name, found, outputs)
            return _written(_exported(in_precision(network, precision, example, float32_parts), example, outputs))
    except EncodeError as error:
        raise EngineError(_too_large(network, f"protobuf says: {first_line(error)}", precision)) from error
    except (RuntimeError, ValueError, torch.onnx.OnnxExporterError) as error:
        raise EngineError(f"{name} cannot be exported to ONNX at {size}: {first_line(error)}") from error


def _check_bytes(network: nn.Module, precision: Precision) -> None:
    """Before minutes of exporting. Of "mixed" the parts that stay in float32 are counted as half, too."""
    count = sum(value.numel() for value in network.state_dict().values())
    size = count * (4 if precision == "fp32" else 2)
    if size >= MOST_BYTES:
        raise EngineError(_too_large(network, f"its weights have {size / 1e9:.1f} GB", precision))


def _too_large(network: nn.Module, why: str, precision: Precision) -> str:
    smaller = {"fp32": half_of(network), "mixed": "fp16", "fp16": None}[precision]
    use = (f'precision "{smaller}", or ' if smaller else "") + 'engine "cuda_graph", which needs no file'
    return f"{type(network).__name__} in {precision} does not fit into an ONNX file (less than 2 GiB): {why}; use {use}"


def _check_count(name: str, found: Any, outputs: tuple[str, ...]) -> None:
    """The exporter would drop names, or invent some, without a word."""
    count = len(found) if isinstance(found, tuple) else 1
    if count != len(outputs):
        raise EngineError(f"{name} returns {count} tensors; {len(outputs)} were named: {', '.join(outputs)}")


def _exported(network: nn.Module, example: Tensor, outputs: tuple[str, ...]) -> Any:
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
        external_data=False,
        input_names=[INPUT],
        output_names=list(outputs),
        dynamic_shapes=({0: Dim("batch", min=1)},),
    )
    assert program is not None
    return program.model_proto


def _written(model: Any) -> bytes:
    """Without the exporter's notes: they hold the folder that the code is in, and a file must not depend on that."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del noted.metadata_props[:]
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _expect_noise() -> None:
    """torch's exporter warns about its own code, and that torchvision, which we do not use, is not installed."""
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*", category=FutureWarning)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
