"""Conversion of a network to half precision, wholly or except for some parts; its input and output stay float32."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram, export
from torch.nn.utils.fusion import fuse_conv_bn_weights

from stream.errors import EngineError

Precision = Literal["fp32", "fp16", "mixed"]
"""fp32: as trained. fp16: all in half precision. mixed: half precision except for the network's ``float32_parts``."""


def to_precision(
    network: nn.Module, precision: Precision, example: Tensor, float32_parts: Sequence[str] = ()
) -> nn.Module:
    """``network`` itself for fp32, else a converted copy that still takes and returns float32.

    ``example``: an input of a size that the network takes. ``float32_parts`` names submodules that stay in float32 with
    "mixed"; if it is empty, the network's own attribute of that name decides. Raises EngineError.
    """
    if precision == "fp32":
        return network
    keep = tuple(float32_parts or getattr(network, "float32_parts", ())) if precision == "mixed" else ()
    known, name = dict(network.named_modules()), type(network).__name__
    if precision == "mixed" and not keep:
        raise EngineError(f'{name} names no float32_parts for precision "mixed": name some, or use "fp16" or "fp32"')
    if missing := [part for part in keep if part not in known or not part]:
        raise EngineError(f'{name} has no part "{missing[0]}" that could stay in float32')
    network = copy.deepcopy(network)
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        fold_batch_norm(network, example)
    return HalfPrecision(network, keep).eval()


def half_precision_for(network: nn.Module) -> Precision:
    """The kind of half precision that suits ``network``: "mixed" if it names parts that must stay in float32."""
    return "mixed" if getattr(network, "float32_parts", ()) else "fp16"


class HalfPrecision(nn.Module):
    """Runs a network in float16, except for some of its parts; takes and returns float32."""

    def __init__(self, network: nn.Module, float32_parts: Sequence[str] = ()) -> None:
        """``network`` is modified in place."""
        super().__init__()
        self.network = network.half()
        for name in float32_parts:
            self.network.set_submodule(name, Float32Part(self.network.get_submodule(name)))

    def forward(self, pixels: Tensor) -> Any:
        """The network's outputs, one tensor or several, in float32."""
        return _cast(self.network(pixels.half()), torch.float32)


class Float32Part(nn.Module):
    """Runs one part in float32 within a network that computes in float16."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part.float()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        arguments = {name: _cast(value, torch.float32) for name, value in named.items()}
        return _cast(self.part(*_cast(inputs, torch.float32), **arguments), torch.float16)


def fold_batch_norm(network: nn.Module, example: Tensor) -> None:
    """Fold each batch normalisation that follows a convolution into that convolution's weights, in float32.

    The exporter would do the same after the conversion to half precision. That rounds three times instead of once, and
    a variance above 65504 would become infinite and its channel constant. Measured with onnxruntime, as the mean
    difference to float32 over the mean deviation of the depth: MiDaS small with random weights 3.7% by the exporter and
    1.7% this way; tiny as shipped 0.13% and 0.10%.
    """
    for conv_name, norm_name in _conv_norm_pairs(export(network, (example,))):
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        network.set_submodule(norm_name, nn.Identity())


def _conv_norm_pairs(program: ExportedProgram) -> list[tuple[str, str]]:
    """Module names of each convolution whose output goes only into a batch normalisation, and of that normalisation."""
    owner = {node: name.rpartition(".")[0] for node, name in program.graph_signature.inputs_to_parameters.items()}
    pairs = []
    for norm in program.graph.nodes:
        if norm.target is not torch.ops.aten.batch_norm.default:
            continue
        conv, scale = norm.args[0], norm.args[1]
        if conv.target is not torch.ops.aten.conv2d.default or scale is None:
            continue
        weight = conv.args[1]
        # With a second user, folding would change that one's result or be done twice.
        if len(conv.users) == len(weight.users) == len(scale.users) == 1:
            pairs.append((owner[weight.name], owner[scale.name]))
    return pairs


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, tuple | list):
        return type(value)(_cast(part, dtype) for part in value)
    return value
