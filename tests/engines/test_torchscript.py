"""The TorchScript engine on the real small network."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stream.engines.base import Engine
from stream.engines.torchscript import MAX_SIZES, TorchScriptEngine, to_bfloat16, trace
from stream.errors import EngineError
from stream.frames import Floats, Size
from stream.models.networks import build
from stream.models.tiny import TINY
from stream.models.weights import load_into, load_state

SIZE = Size(64, 96)
Build = Callable[[], nn.Module]


def trained() -> nn.Module:
    network = build("tiny")
    load_into(network, load_state(TINY))
    return network


def never() -> nn.Module:
    raise AssertionError("the network was built although a trace is there")


def engine(cache: Path | None, factory: Build = trained, *, max_batch: int = 4, **changes: str) -> TorchScriptEngine:
    made_from = {"weights_key": "w", "code_version": "1"} | changes
    return TorchScriptEngine("tiny", factory, cache=cache, threads=1, max_batch=max_batch, **made_from)


def images(n: int = 1, size: Size = SIZE) -> Floats:
    return np.random.default_rng(0).standard_normal((n, 3, *size), dtype=np.float32)


def in_torch(pixels: Floats) -> Floats:
    with torch.inference_mode():
        return trained()(torch.from_numpy(pixels.copy())).numpy()


@pytest.mark.slow
def test_it_answers_as_the_network_does(tmp_path: Path) -> None:
    """One image, then three with the same compiled network; float32, at the input's size."""
    runner: Engine = engine(tmp_path)
    for n in (1, 3, 1):
        depth = runner.infer(pixels=images(n))["depth"]
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, in_torch(images(n)), atol=1e-4)
    assert len(list(tmp_path.iterdir())) == 1


def nhwc(pixels: Floats) -> Floats:
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def read_only(pixels: Floats) -> Floats:
    pixels = pixels.copy()
    pixels.flags.writeable = False
    return pixels


def backwards(pixels: Floats) -> Floats:
    return np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [nhwc, read_only, backwards, np.asfortranarray])
def test_memory_may_lie_in_any_order(layout: Callable[[Floats], Floats]) -> None:
    """The same numbers give the same depth."""
    runner = engine(None)
    expected = runner.infer(pixels=images(2))["depth"].copy()
    np.testing.assert_array_equal(runner.infer(pixels=layout(images(2)))["depth"], expected)


def test_channels_last_memory_is_not_copied() -> None:
    """What preprocessing hands over is what the network reads."""
    from stream.engines.torchscript import _tensor

    pixels = nhwc(images())
    assert _tensor(pixels).data_ptr() == pixels.ctypes.data


@pytest.mark.slow
def test_a_warm_start_builds_no_network(tmp_path: Path) -> None:
    """The trace on disk is enough, and gives the same numbers."""
    cold = engine(tmp_path).infer(pixels=images())["depth"]
    np.testing.assert_array_equal(engine(tmp_path, never).infer(pixels=images())["depth"], cold)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"weights_key": "other"}, {"code_version": "2"}])
def test_other_weights_or_code_are_traced_anew(tmp_path: Path, change: dict[str, str]) -> None:
    """A trace is only used for what it was made from."""
    engine(tmp_path).prepare(SIZE)
    with pytest.raises(AssertionError, match="was built"):
        engine(tmp_path, never, **change).prepare(SIZE)
    engine(tmp_path, **change).prepare(SIZE)
    assert len(list(tmp_path.iterdir())) == 2


def cut(data: bytes) -> bytes:
    return data[:-1000]


def flip(data: bytes) -> bytes:
    return data[:200_000] + bytes([data[200_000] ^ 1]) + data[200_001:]


def foreign(data: bytes) -> bytes:
    return b"PK\x03\x04 some other file"


def emptied(data: bytes) -> bytes:
    return b""


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, flip, foreign, emptied])
def test_a_damaged_trace_is_rebuilt(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, the right numbers, and a good file afterwards."""
    expected = engine(tmp_path).infer(pixels=images())["depth"]
    file = next(tmp_path.iterdir())
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(engine(tmp_path).infer(pixels=images())["depth"], expected)
    assert [record.getMessage().count("rebuilt") for record in caplog.records] == [1]
    engine(tmp_path, never).prepare(SIZE)


@pytest.mark.slow
def test_whole_but_useless_content_is_rebuilt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that passes our checks and that torch cannot read all the same."""
    from stream.engines.trace_cache import _with_header

    engine(tmp_path).prepare(SIZE)
    file = next(tmp_path.iterdir())
    key = file.read_bytes().split(b"\n")[2].decode()
    file.write_bytes(_with_header(b"not TorchScript", key))
    engine(tmp_path).prepare(SIZE)
    assert "rebuilt" in caplog.text
    engine(tmp_path, never).prepare(SIZE)


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The folder is a file: everything works, and the log is not flooded."""
    (tmp_path / "cache").write_text("in the way")
    runner = engine(tmp_path / "cache")
    runner.prepare(SIZE)
    runner.prepare(Size(32, 32))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (
            {"pixels": np.zeros((1, 3, 250, 256), np.float32)},
            "cannot run at 256x250: width and height must be multiples",
        ),
        ({"pixels": np.zeros((1, 3, 64, 96))}, "float64"),
        ({"pixels": np.zeros((3, 64, 96), np.float32)}, r"got \(3, 64, 96\)"),
        ({"pixels": np.zeros((5, 3, 64, 96), np.float32)}, "takes 1 to 4 images at once; got 5"),
        ({"pixels": np.zeros((0, 3, 64, 96), np.float32)}, "got 0"),
        ({"image": np.zeros((1, 3, 64, 96), np.float32)}, 'one input, "pixels"; got: image'),
        ({}, "got: none"),
    ],
)
def test_what_does_not_fit_is_said(inputs: dict[str, Floats], why: str) -> None:
    """Shape, type, number and name of the input."""
    with pytest.raises(EngineError, match=why):
        engine(None).infer(**inputs)


class Grey(nn.Module):
    """The smallest network there is."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean(1)


class Moody(nn.Module):
    """Answers something else every time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return pixels.sum(1) * self.calls


def test_a_trace_that_differs_from_its_network_is_refused() -> None:
    """A trace keeps one path through the code: a network that takes another each time cannot be traced."""
    with pytest.raises(EngineError, match="differs from the network"):
        trace(Moody(), SIZE, "moody")


def test_memory_is_bounded_when_every_image_has_another_shape() -> None:
    """A folder of images of all shapes keeps the newest few networks compiled."""
    runner = engine(None, Grey)
    for n in range(MAX_SIZES + 2):
        runner.prepare(Size(8, 8 + n))
    assert len(runner._compiled) == MAX_SIZES


@pytest.mark.slow
def test_threads_are_set_for_the_thread_that_runs() -> None:
    """torch counts threads for each calling thread."""
    before = torch.get_num_threads()
    try:
        engine(None).prepare(SIZE)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_it_describes_itself_and_closes() -> None:
    """One line with what matters; afterwards it says that it is closed."""
    runner = engine(None)
    assert runner.describe() == f"tiny by TorchScript on the CPU, float32, 1 thread, torch {torch.__version__}"
    runner.close()
    runner.close()
    with pytest.raises(EngineError, match="closed"):
        runner.infer(pixels=images())


def test_batches_of_one_unless_asked() -> None:
    """On a CPU a batch saves nothing and makes the first image wait for the last."""
    assert TorchScriptEngine("tiny", trained, weights_key="", code_version="", cache=None, threads=1).max_batch == 1


def bfloat16(cache: Path | None, factory: Build = trained) -> TorchScriptEngine:
    return TorchScriptEngine(
        "tiny", factory, weights_key="w", code_version="1", cache=cache, threads=1, max_batch=4, dtype="bf16"
    )


@pytest.mark.slow
def test_bfloat16_answers_nearly_the_same_in_float32(tmp_path: Path) -> None:
    """Really computed in 8 bits of mantissa, for any number of images; how near is the engine gate's question."""
    expected = in_torch(images(3))
    runner: Engine = bfloat16(tmp_path)
    for n in (1, 3):
        depth = runner.infer(pixels=nhwc(images(n)))["depth"]
        assert depth.dtype == np.float32
        np.testing.assert_array_equal(depth, torch.from_numpy(depth).bfloat16().float().numpy())
        assert 1e-4 < np.abs(depth - expected[:n]).max() / np.ptp(expected) < 0.1
    assert runner.describe() == f"tiny by TorchScript on the CPU, bfloat16, 1 thread, torch {torch.__version__}"


def test_bfloat16_weights_are_half_as_large() -> None:
    """No constant stays in float32 and is converted for every image."""
    frozen = trace(trained(), SIZE, "tiny")
    before, after = io.BytesIO(), io.BytesIO()
    torch.jit.save(frozen, before)
    torch.jit.save(to_bfloat16(frozen), after)
    assert after.tell() < 0.7 * before.tell()


@pytest.mark.slow
def test_bfloat16_and_float32_are_kept_apart(tmp_path: Path) -> None:
    """Neither is taken for the other; a warm start builds no network and gives the same numbers."""
    engine(tmp_path).prepare(SIZE)
    with pytest.raises(AssertionError, match="was built"):
        bfloat16(tmp_path, never).prepare(SIZE)
    cold = bfloat16(tmp_path).infer(pixels=images())["depth"]
    np.testing.assert_array_equal(bfloat16(tmp_path, never).infer(pixels=images())["depth"], cold)
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_allclose(engine(tmp_path, never).infer(pixels=images())["depth"], in_torch(images()), atol=1e-4)
