"""EfficientViT-SAM's two halves can be handed to other engines: any number of images, any number of boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram, export

from stream.engines.onnx_export import export_onnx
from stream.frames import Size
from stream.models.networks.efficientvit_sam.network import Config, EfficientVitSam

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

SMALL = Config((8, 16, 32, 32, 64), (1, 1, 1, 1, 1), neck=1, neck_expansion=1, side=128, channels=64)
TOLERANCE = 1e-5
"""Of the largest value."""


@pytest.fixture
def network() -> EfficientVitSam:
    """Few channels; every operation of the official shapes."""
    torch.manual_seed(0)
    return EfficientVitSam(SMALL).eval()


def prompts(images: int, boxes: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the decoder takes, with every image in use."""
    corners = torch.rand(boxes, 2, 2).mul(400) + torch.tensor([[0.0, 0.0], [500.0, 500.0]])
    return torch.randn(images, SMALL.channels, 64, 64), corners.flatten(1), torch.arange(boxes) % images


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE * float(wanted.abs().max()))


def exported_decoder(network: EfficientVitSam, multimask: bool) -> ExportedProgram:
    """Both numbers are variables; control flow that depends on them would be refused."""
    shapes = ({0: Dim("images", min=1)}, {0: Dim("boxes", min=1)}, {0: Dim("boxes", min=1)})
    return export(network.decoder(multimask=multimask), prompts(2, 3), dynamic_shapes=shapes)


def test_traces_take_any_number_of_images_and_boxes(network: EfficientVitSam) -> None:
    """Traced with one image and one box, run with three and five."""
    pixels, decoder = torch.randn(3, 3, 128, 128), network.decoder()
    with torch.inference_mode():
        encoder = torch.jit.trace(network.image_encoder, pixels[:1], check_trace=False)
        close(encoder(pixels), network(pixels))
        trace = torch.jit.trace(decoder, prompts(1, 1), check_trace=False)
        many = prompts(3, 5)
        for found, wanted in zip(trace(*many), decoder(*many), strict=True):
            close(found, wanted)


@pytest.mark.parametrize("multimask", [False, True])
def test_one_export_of_the_decoder_takes_any_number(network: EfficientVitSam, multimask: bool) -> None:
    """One box of one image too, although it was exported with more."""
    graph, decoder = exported_decoder(network, multimask).module(), network.decoder(multimask=multimask)
    for numbers in ((1, 1), (3, 5)):
        arguments = prompts(*numbers)
        with torch.inference_mode():
            for found, wanted in zip(graph(*arguments), decoder(*arguments), strict=True):
                close(found, wanted)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_runtime_encodes_as_torch_does(network: EfficientVitSam, precision: str) -> None:
    """By the product's own exporter; in half precision to a hundredth."""
    model = export_onnx(network.image_encoder, Size(128, 128), precision=precision)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for n in (1, 3):
        pixels = torch.randn(n, 3, 128, 128)
        with torch.inference_mode():
            wanted = network(pixels).numpy()
        (found,) = session.run(None, {"pixels": pixels.numpy()})
        bound = 1e-4 if precision == "fp32" else 2e-2
        np.testing.assert_allclose(found, wanted, rtol=0, atol=bound * float(np.abs(wanted).max()))


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # torch's own exporter
def test_onnx_runtime_decodes_as_torch_does(network: EfficientVitSam, tmp_path: Path) -> None:
    """Without writing in place, which would be ScatterElements, and without guards, which TensorRT does not fuse."""
    program = torch.onnx.export(exported_decoder(network, False), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "decoder.onnx"))
    operations = {node.op_type for node in onnx.load(str(tmp_path / "decoder.onnx")).graph.node}
    assert not operations & {"ScatterElements", "ScatterND", "IsNaN", "Where", "NonZero"}
    session = onnxruntime.InferenceSession(str(tmp_path / "decoder.onnx"), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    for numbers in ((1, 1), (3, 5)):
        arguments = prompts(*numbers)
        with torch.inference_mode():
            wanted = network.decoder()(*arguments)
        found = session.run(None, dict(zip(names, (a.numpy() for a in arguments), strict=True)))
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4 * float(theirs.abs().max()))
