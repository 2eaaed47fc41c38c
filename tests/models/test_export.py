"""Every network can be handed to other engines: exported once, it takes any batch, and any size it is made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export

from stream.models.networks import build

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["midas_small", "tiny"], scope="module")
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return build(request.param)


@pytest.fixture(scope="module")
def exported(network: nn.Module) -> ExportedProgram:
    """Its batch and sides are variables; control flow that depends on data would be refused."""
    height, width = Dim("rows", min=1, max=32), Dim("columns", min=1, max=32)
    shapes = ({0: Dim("batch", min=1, max=64), 2: 32 * height, 3: 32 * width},)
    return export(network, (torch.rand(2, 3, 96, 128),), dynamic_shapes=shapes)


@pytest.mark.slow
def test_one_export_takes_any_batch_and_size(network: nn.Module, exported: ExportedProgram) -> None:
    """The graph gives what the network gives, to rounding."""
    graph = exported.module()
    for shape in ((1, 3, 64, 96), (3, 3, 192, 256), (5, 3, 128, 64)):
        pixels = torch.rand(shape)
        with torch.inference_mode():
            torch.testing.assert_close(graph(pixels), network(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tiny"], indirect=True)  # midas_small: tests/engines/test_onnx_export.py
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # torch's own exporter
def test_onnx_runtime_gives_what_torch_gives(network: nn.Module, exported: ExportedProgram, tmp_path: Path) -> None:
    """An independent engine reads the ONNX file, with batches of one, three and five."""
    program = torch.onnx.export(exported, dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "network.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    for batch in (1, 3, 5):
        pixels = torch.rand(batch, 3, 192, 256)
        with torch.inference_mode():
            expected = network(pixels).numpy()
        (found,) = session.run(None, {entry.name: pixels.numpy()})
        assert found.shape == (batch, 192, 256)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
