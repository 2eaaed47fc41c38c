"""The engine gate: a gate that cannot fail is worthless, so it is shown engines wrong in the ways of the field."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from stream.engines.base import Engine
from stream.engines.gate.comparison import GoldenInputs
from stream.engines.gate.gate import AT_LEAST, BOUNDS, FP32, REDUCED, Bounds, judge
from stream.engines.gate.golden_inputs import golden_inputs
from stream.engines.torchscript import TorchScriptEngine
from stream.errors import EngineError
from stream.frames import Floats, Size
from stream.models.networks import build
from stream.models.tiny import TINY
from stream.models.weights import load_into, load_state

MAX_BATCH = 4
Spoil = Callable[[Floats], Floats]

pytestmark = pytest.mark.usefixtures("one_thread")


def trained() -> nn.Module:
    network = build("tiny")
    load_into(network, load_state(TINY))
    return network


def torchscript(factory: Callable[[], nn.Module] = trained, dtype: str = "fp32") -> TorchScriptEngine:
    assert dtype in ("fp32", "bf16")
    return TorchScriptEngine(
        "tiny",
        factory,
        weights_key="w",
        code_version="1",
        cache=None,
        threads=1,
        max_batch=MAX_BATCH,
        dtype="bf16" if dtype == "bf16" else "fp32",
    )


class Eager:
    """The network run by torch as it is: right answers from another engine."""

    max_batch = MAX_BATCH

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        self._network, self._dtype = network.to(dtype), dtype

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(inputs["pixels"])).to(self._dtype)
            depth: Floats = self._network(pixels).float().numpy()
        return {"depth": depth}

    def prepare(self, size: Size) -> None:
        pass

    def describe(self) -> str:
        return f"tiny, eager {self._dtype}"

    def close(self) -> None:
        pass


class Remembering(Eager):
    """Runs the trained network once for every input that any test has."""

    answers: ClassVar[dict[bytes, Floats]] = {}

    def __init__(self) -> None:
        super().__init__(trained())

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        pixels = np.ascontiguousarray(inputs["pixels"])
        key = hashlib.sha256(pixels).digest()
        if key not in self.answers:
            self.answers[key] = super().infer(pixels=pixels)["depth"]
        return {"depth": self.answers[key].copy()}


class Spoiled(Remembering):
    """Right answers, and then something happens to them; or to what the network is shown."""

    def __init__(self, answer: Spoil = lambda depth: depth, pixels: Spoil = lambda pixels: pixels) -> None:
        super().__init__()
        self._answer, self._pixels = answer, pixels

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        depth = super().infer(pixels=self._pixels(np.array(inputs["pixels"])))["depth"]
        return {"depth": np.asarray(self._answer(depth), np.float32)}


@pytest.fixture(scope="module")
def images() -> GoldenInputs:
    """Below tiny's usual size, so that judging takes a second.

    At half of it bfloat16 is refused (docs/reference/engine-gate.md).
    """
    return golden_inputs(replace(TINY.spec, side=192), (Size(480, 640),))


@pytest.fixture(scope="module")
def reference() -> Engine:
    return Remembering()


class Memoized:
    """A real engine that computes each input once, however many tests judge it."""

    def __init__(self, engine: TorchScriptEngine) -> None:
        self._engine, self._outputs = engine, dict[bytes, Floats]()
        self.max_batch, self.describe, self.prepare, self.close = (
            engine.max_batch,
            engine.describe,
            engine.prepare,
            engine.close,
        )

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        pixels = np.ascontiguousarray(inputs["pixels"])
        key = hashlib.sha256(pixels).digest() + str(pixels.shape).encode()
        if key not in self._outputs:
            self._outputs[key] = self._engine.infer(pixels=pixels)["depth"].copy()
        return {"depth": self._outputs[key].copy()}


@pytest.fixture(scope="module")
def bfloat16() -> Engine:
    """Slow where the CPU does not multiply bfloat16: half a minute for one judgement."""
    return Memoized(torchscript(dtype="bf16"))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_engines_that_are_right_are_accepted(
    images: GoldenInputs, reference: Engine, bfloat16: Engine, precision: str
) -> None:
    """The real ones, with trained weights, against torch running the network as it is."""
    engine, bounds = (torchscript(), FP32) if precision == "fp32" else (bfloat16, REDUCED)
    verdict = judge(reference, engine, images, bounds)
    assert (verdict.accepted, verdict.reasons) == (True, ())
    metrics = verdict.metrics
    assert (metrics.batches, metrics.outputs) == ((1, 2, 4), 3 * 8 + 2 * 6)
    assert metrics.correlation > 0.999
    assert 0 <= metrics.abs_rel_median <= metrics.abs_rel


@pytest.mark.slow
def test_float32_bounds_notice_half_precision(images: GoldenInputs, reference: Engine, bfloat16: Engine) -> None:
    """An engine that was meant to compute in float32, and does not."""
    verdict = judge(reference, bfloat16, images, BOUNDS["fp32"])
    assert not verdict.accepted
    assert {reason.split()[0] for reason in verdict.reasons} >= {"correlation", "abs_rel", "scale_off", "level_off"}


def every_fourth_call(spoil: Spoil) -> Spoil:
    """Only some answers are wrong."""
    calls = count()
    return lambda depth: spoil(depth) if next(calls) % 4 == 3 else depth


def not_a_number(depth: Floats) -> Floats:
    depth = depth.copy()
    depth[0, 5, 7] = np.nan
    return depth


def black(depth: Floats) -> Floats:
    """What NaN looks like where it is clamped on the way out."""
    return depth * 0


def swapped(depth: Floats) -> Floats:
    """Images 0 and 1, 2 and 3 of a batch change places."""
    order = np.arange(len(depth)) ^ 1
    return depth[order] if len(depth) > 1 else depth


def last_of_four(depth: Floats) -> Floats:
    """Right for one and two, and the last of four is the first again."""
    return np.concatenate([depth[:3], depth[:1]]) if len(depth) == 4 else depth


def noisy(depth: Floats) -> Floats:
    """Three percent of the range."""
    return depth + 0.03 * np.ptp(depth) * np.random.default_rng(0).standard_normal(depth.shape, np.float32)


def breathing() -> Spoil:
    """Every call's answer is scaled a little otherwise: 5% up and down."""
    calls = count()
    return lambda depth: depth * (1 + 0.05 * np.sin(1.3 * next(calls)))


def bobbing() -> Spoil:
    """Every call's answer is shifted a little otherwise."""
    calls = count()
    return lambda depth: depth + 0.05 * depth.std() * np.sin(1.3 * next(calls))


def blocks(depth: Floats) -> Floats:
    """Neighbours share a value: the last doubling of the size was left out."""
    return depth[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (every_fourth_call(not_a_number), "nan: "),
        (every_fourth_call(black), "correlation 0 (192x128, image 3), must be at least 0.998"),
        (lambda depth: -depth, "correlation -1 ("),
        (lambda depth: np.full_like(depth, 0.7), "correlation 0 ("),
        (lambda depth: depth[:, :, ::-1], "correlation "),
        (lambda depth: np.roll(depth, 1, axis=2), "correlation "),
        (swapped, "in a batch of "),
        (last_of_four, "in a batch of 4), must be"),
        (noisy, "abs_rel "),
        (blocks, "correlation "),
        (breathing(), "scale_drift "),
        (bobbing(), "level_drift "),
        (lambda depth: 1.05 * depth, "scale_off 0.0476, must be at most 0.02"),
        (lambda depth: 0.95 * depth, "scale_off 0.0526, must be at most 0.02"),
        (lambda depth: depth + 0.1 * depth.std(), "level_off "),
        (lambda depth: depth - 0.1 * depth.std(), "level_off "),
        (lambda depth: depth + (0.05 * np.ptp(depth) * np.eye(*depth.shape[1:]) if len(depth) > 1 else 0), "batch_dif"),
    ],
)
def test_wrong_answers_are_refused(images: GoldenInputs, reference: Engine, answer: Spoil, reason: str) -> None:
    """Each error is refused by the metric that names it."""
    verdict = judge(reference, Spoiled(answer), images, REDUCED)
    assert not verdict.accepted
    assert any(reason in line for line in verdict.reasons), verdict.reasons


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (lambda pixels: pixels[:, ::-1].copy(), "correlation "),
        (lambda pixels: pixels[:, :, ::-1].copy(), "correlation "),
        (lambda pixels: 0.25 * pixels + 0.45, "correlation "),
        (lambda pixels: pixels + 0.5, "abs_rel "),
    ],
    ids=["BGR", "upside down", "not normalised", "another mean"],
)
def test_wrong_inputs_are_refused(images: GoldenInputs, reference: Engine, pixels: Spoil, reason: str) -> None:
    """The network is the right one and is shown something else."""
    verdict = judge(reference, Spoiled(pixels=pixels), images, REDUCED)
    assert any(line.startswith(reason) for line in verdict.reasons), verdict.reasons


def loud() -> nn.Module:
    """The same function as ``trained`` in float32; inside, one activation is a million times as large."""
    network = trained()
    block = next(module for module in network.modules() if hasattr(module, "depthwise"))
    with torch.no_grad():
        block.expand[1].weight *= 1e6
        block.expand[1].bias *= 1e6
        block.depthwise[0].weight /= 1e6
    return network


@pytest.mark.slow
def test_float16_that_overflows_is_refused(images: GoldenInputs, reference: Engine) -> None:
    """A real one: beyond 65504 there is only infinity, and infinity times zero; bfloat16 has room for it."""
    few = GoldenInputs(tuple(pixels[:2] for pixels in images.images))
    assert judge(reference, Eager(loud()), few, FP32).accepted
    assert judge(reference, torchscript(loud, "bf16"), few, REDUCED).accepted
    verdict = judge(reference, Eager(loud(), torch.float16), few, REDUCED)
    assert verdict.reasons[0].startswith(("nan: ", "inf: ")), verdict.reasons


@pytest.mark.slow
def test_extreme_inputs_must_be_answered_with_numbers(images: GoldenInputs, reference: Engine) -> None:
    """A black image is no occasion for infinity, even if all others are right."""
    candidate = Spoiled()
    dark = images.extremes[0][:1]

    def infer(**inputs: Floats) -> dict[str, Floats]:
        depth = Spoiled.infer(candidate, **inputs)["depth"]
        return {"depth": depth + np.float32(np.inf)} if np.array_equal(inputs["pixels"], dark) else {"depth": depth}

    candidate.infer = infer  # type: ignore[method-assign]
    verdict = judge(reference, candidate, images, REDUCED)
    assert verdict.reasons == (f"inf: {128 * 192} values, and there must be none",)


def test_an_engine_that_only_answers_nan_is_refused(images: GoldenInputs, reference: Engine) -> None:
    """No metric can be computed, and none counts as good."""
    verdict = judge(reference, Spoiled(lambda depth: depth * np.nan), images, REDUCED)
    assert verdict.reasons[0].startswith("nan: ")
    assert "correlation nan (nowhere), must be at least 0.998" in verdict.reasons


@pytest.mark.parametrize("spoil", [lambda depth: depth * 0, lambda depth: depth * np.nan])
def test_a_reference_without_depth_judges_nothing(images: GoldenInputs, spoil: Spoil) -> None:
    """Flat or NaN on the reference's side is no reason to accept the same from the engine."""
    with pytest.raises(EngineError, match="image 0: the float32 reference's depth is flat or not finite"):
        judge(Spoiled(spoil), Spoiled(spoil), images, REDUCED)


def test_an_answer_of_another_size_is_an_error(images: GoldenInputs, reference: Engine) -> None:
    """It could not be compared pixel by pixel."""
    with pytest.raises(EngineError, match=r"answered with depth \(1, 128, 96\)"):
        judge(reference, Spoiled(lambda depth: depth[:, :, ::2]), images, REDUCED)


@pytest.mark.slow
@pytest.mark.parametrize(("most", "batches"), [(1, (1,)), (2, (1, 2)), (11, (1, 2, 11))])
def test_batches_up_to_the_largest_are_run(
    images: GoldenInputs, reference: Engine, most: int, batches: tuple[int, ...]
) -> None:
    """Also one that is larger than the number of images."""
    seen = set()

    def noted(depth: Floats) -> Floats:
        seen.add(len(depth))
        return depth

    candidate = Spoiled(noted)
    candidate.max_batch = most
    verdict = judge(reference, candidate, GoldenInputs(images.images), FP32)
    assert verdict.accepted
    assert (verdict.metrics.batches, seen) == (batches, set(batches))


def test_every_bound_of_float32_is_tighter() -> None:
    """Nothing may be called float32 that would not also pass as half precision."""
    tight, loose = FP32, REDUCED
    for name in AT_LEAST:
        assert getattr(tight, name) > getattr(loose, name)
    for name in set(Bounds.__slots__) - set(AT_LEAST):
        assert getattr(tight, name) < getattr(loose, name)
