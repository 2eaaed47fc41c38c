"""A network that computes in half precision, all of it or apart from some parts, and still takes and gives float32."""

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
"""fp32: as trained. fp16: computes in half. mixed: in half, apart from the network's ``float32_parts``."""


def in_precision(
    network: nn.Module, precision: Precision, example: Tensor, float32_parts: Sequence[str] = ()
) -> nn.Module:
    """The same network computing so: itself for fp32, else a copy that still takes and gives float32.

    ``example``: input of a size that it takes. ``float32_parts`` names submodules that stay in float32 with "mixed";
    without any, those that the network names itself in an attribute of the same name. Raises EngineError.
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
    return InHalf(network, keep).eval()


def half_of(network: nn.Module) -> Precision:
    """Which kind of half precision is meant for it."""
    return "mixed" if getattr(network, "float32_parts", ()) else "fp16"


class InHalf(nn.Module):
    """A network that computes in float16 apart from some of its parts, and still takes and gives float32."""

    def __init__(self, network: nn.Module, float32_parts: Sequence[str] = ()) -> None:
        """``network`` is changed."""
        super().__init__()
        self.network = network.half()
        for name in float32_parts:
            self.network.set_submodule(name, InFloat32(self.network.get_submodule(name)))

    def forward(self, pixels: Tensor) -> Any:
        """What the network returns, one tensor or several, in float32."""
        return _cast(self.network(pixels.half()), torch.float32)


class InFloat32(nn.Module):
    """A part that computes in float32 within a network that computes in float16."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part.float()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        widened = {name: _cast(value, torch.float32) for name, value in named.items()}
        return _cast(self.part(*_cast(inputs, torch.float32), **widened), torch.float16)


def fold_batch_norm(network: nn.Module, example: Tensor) -> None:
    """Multiply each batch normalisation that follows a convolution into its weights, in float32.

    The exporter would do the same after the network was made half: that rounds three times instead of once, and a
    variance above 65504 would become infinite and the channel constant. Measured with onnxruntime, mean difference to
    float32 over the mean deviation of the depth: MiDaS small with random weights 3.7% by the exporter, 1.7% this way;
    tiny as shipped 0.13% and 0.10%.
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
    """Names of the modules of each convolution whose output goes into a batch normalisation and nowhere else."""
    owner = {node: name.rpartition(".")[0] for node, name in program.graph_signature.inputs_to_parameters.items()}
    pairs = []
    for norm in program.graph.nodes:
        if norm.target is not torch.ops.aten.batch_norm.default:
            continue
        conv, scale = norm.args[0], norm.args[1]
        if conv.target is not torch.ops.aten.conv2d.default or scale is None:
            continue
        weight = conv.args[1]
        if len(conv.users) == len(weight.users) == len(scale.users) == 1:
            pairs.append((owner[weight.name], owner[scale.name]))
    return pairs


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, tuple | list):
        return type(value)(_cast(part, dtype) for part in value)
    return value
