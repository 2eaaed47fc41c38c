"""The blocks that networks with a vision transformer share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import Tensor, nn
from torch.export import Dim, export
from torch.nn import functional

from stream.models.networks.layers.vit import (
    OFFSET,
    TRAINED_GRID,
    Attention,
    Block,
    Mlp,
    PatchEmbed,
    as_grid,
    resized_positions,
)

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH, HEADS, TOKENS = 12, 3, 7


@pytest.fixture
def tokens() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, TOKENS, WIDTH)


def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def plain_attention(attention: Attention, x: np.ndarray) -> np.ndarray:
    """One image, head by head and token by token."""
    depth, together = WIDTH // HEADS, linear(attention.qkv, x)
    seen = np.zeros_like(x)
    for head in range(HEADS):
        at = slice(head * depth, (head + 1) * depth)
        q, k, v = (together[:, part * WIDTH : (part + 1) * WIDTH][:, at] for part in range(3))
        for token in range(TOKENS):
            weights = np.exp(k @ q[token] / np.sqrt(depth))
            seen[token, at] = weights @ v / weights.sum()
    return linear(attention.proj, seen)


def test_attention_is_the_textbooks(tokens: Tensor) -> None:
    """A weighted mean of values, heads apart, in the order that official weights are stored in."""
    attention = Attention(WIDTH, HEADS)
    expected = np.stack([plain_attention(attention, image) for image in tokens.double().numpy()])
    with torch.inference_mode():
        np.testing.assert_allclose(attention(tokens).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_exported_attention_is_written_out_and_gives_the_same(tokens: Tensor) -> None:
    """Products and a softmax for any number of images; the fused operation would bring guards against NaN."""
    attention = Attention(WIDTH, HEADS)
    with torch.inference_mode():
        expected = attention(tokens)
        graph = export(attention, (tokens,), dynamic_shapes=({0: Dim("batch", min=1)},)).module()
        used = {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}
        torch.testing.assert_close(graph(tokens), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(graph(tokens[:1]), expected[:1], rtol=1e-5, atol=1e-6)
    assert "aten.softmax.int" in used
    assert not [name for name in used if "attention" in name or "isnan" in name]


def test_tokens_are_activated_by_the_exact_gelu(tokens: Tensor) -> None:
    """x * Phi(x): the approximation by tanh is another network."""
    mlp = Mlp(WIDTH)
    hidden = linear(mlp.fc1, tokens.double().numpy())
    expected = linear(mlp.fc2, hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))))
    with torch.inference_mode():
        np.testing.assert_allclose(mlp(tokens).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_a_layer_adds_what_it_learnt_scaled(tokens: Tensor) -> None:
    """With factors of zero it passes its input on; of its two halves, attention comes first."""
    block = Block(WIDTH, HEADS)
    with torch.no_grad():
        block.ls1.gamma.uniform_(0.5, 2)
        block.ls2.gamma.zero_()
        attended = tokens + block.attn(block.norm1(tokens)) * block.ls1.gamma
        torch.testing.assert_close(block(tokens), attended)
        block.ls1.gamma.zero_()
        assert torch.equal(block(tokens), tokens)


def test_patches_become_tokens_row_by_row() -> None:
    """The second token is the patch to the right of the first; ``as_grid`` puts all of them back."""
    embed = PatchEmbed(1, 14)
    with torch.no_grad():
        embed.proj.weight.fill_(1 / embed.proj.weight.numel())
        embed.proj.bias.zero_()
    numbers = torch.arange(6.0).reshape(1, 1, 2, 3)
    pixels = functional.interpolate(numbers, scale_factor=14.0, mode="nearest").expand(-1, 3, -1, -1)
    with torch.inference_mode():
        tokens = embed(pixels)
    torch.testing.assert_close(tokens, torch.arange(6.0).reshape(1, 6, 1), rtol=1e-4, atol=1e-4)
    assert torch.equal(as_grid(tokens, 2, 3).flatten(), tokens.flatten())


def cubic_weight(distance: float) -> float:
    """Keys' kernel with a = -0.75, as torch and OpenCV have it."""
    a, x = -0.75, abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def stretched(side: int) -> np.ndarray:
    """(side, 37): how much each learnt position counts for each of ``side`` patches."""
    matrix = np.zeros((side, TRAINED_GRID))
    for row in range(side):
        centre = (row + 0.5) * TRAINED_GRID / (side + OFFSET) - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            matrix[row, np.clip(tap, 0, TRAINED_GRID - 1)] += cubic_weight(centre - tap)
    return matrix


@pytest.fixture(scope="module")
def learnt() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 1 + TRAINED_GRID**2, 5)


@pytest.mark.parametrize("grid", [(5, 7), (37, 49), (37, 66), (66, 37), (1, 1), (18, 23)])
def test_positions_are_resized_as_dinov2_was_trained(learnt: Tensor, grid: tuple[int, int]) -> None:
    """Bicubic, each side a tenth of a patch longer than it is; the class token's position stays."""
    height, width = grid
    table = learnt[0, 1:].double().numpy().reshape(TRAINED_GRID, TRAINED_GRID, 5)
    expected = np.einsum("hi,wj,ijc->hwc", stretched(height), stretched(width), table).reshape(-1, 5)
    found = resized_positions(learnt, height, width)
    assert found.shape == (1, 1 + height * width, 5)
    assert torch.equal(found[:, 0], learnt[:, 0])
    np.testing.assert_allclose(found[0, 1:].numpy(), expected, rtol=0, atol=2e-4)


def test_the_tenth_of_a_patch_matters(learnt: Tensor) -> None:
    """Resizing to the plain size is another network: positions differ by a tenth of their deviation and more."""
    plain = functional.interpolate(as_grid(learnt[:, 1:], TRAINED_GRID, TRAINED_GRID), size=(5, 7), mode="bicubic")
    ours = as_grid(resized_positions(learnt, 5, 7)[:, 1:], 5, 7)
    assert float((plain - ours).abs().max()) > 0.1


def test_positions_of_the_trained_grid_are_not_touched(learnt: Tensor) -> None:
    """518x518 needs no arithmetic at all."""
    assert resized_positions(learnt, TRAINED_GRID, TRAINED_GRID) is learnt


def test_every_grid_gets_as_many_positions_as_it_has_patches() -> None:
    """No side is rounded down: that is what the tenth is for."""
    learnt = torch.zeros(1, 1 + TRAINED_GRID**2, 1)
    for side in range(1, 160):
        assert resized_positions(learnt, side, 1).shape == (1, 1 + side, 1)


def test_positions_in_half_precision_are_resized_in_float32(learnt: Tensor) -> None:
    """They are rounded once."""
    halved = learnt.half()
    assert torch.equal(resized_positions(halved, 5, 7), resized_positions(halved.float(), 5, 7).half())
