"""GPU benchmarks of large networks: Depth Pro on its fastest engine, and all boxes of an image in one decoder run.

Every function takes the device, so that everything but CUDA graphs also runs, and is tested, on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np
import torch

from stream.frames import Size
from stream.models.catalog import find
from stream.segmentation.network import SegmenterNetwork
from stream.segmentation.segmenter import Encoded, Segmenter
from stream.segmentation.settings import SegmenterSettings
from tools.bench.lib.goals import GoalResult
from tools.bench.lib.gpu_measurements import Rig, Step, engine_only, rates, ratio

BOXES = 47
"""The number of boxes in the report that the goal goes back to (mit-han-lab/efficientvit, issue 154)."""
IMAGE = Size(720, 1280)
ROUNDS = 3


def measurements(seconds: float, engine: Any, weights: str = "random", device: str = "cuda") -> Iterator[GoalResult]:
    """Measure both goals; ``engine`` is the name of the fastest engine, as in ``Choice``."""
    yield depth_pro(seconds, engine, weights, device)
    settings = SegmenterSettings.model_validate({"device": device, "weights": weights, "max_boxes_at_once": BOXES})
    with Segmenter(settings) as segmenter:
        yield from boxes(segmenter, seconds, device)


def depth_pro(seconds: float, engine: Any, weights: str, device: str) -> GoalResult:
    """Compare the network alone on one image: eager torch in float32, and the fastest engine in half precision."""
    rig = Rig(find("depth_pro"), weights, IMAGE, device)
    with ExitStack() as stack:
        plain = stack.enter_context(rig.estimator("cuda"))
        fast = stack.enter_context(rig.estimator(engine, 1, "fp16"))
        steps = {"float32": engine_only(plain, 1, IMAGE), "fastest": engine_only(fast, 1, IMAGE)}
        rounds = rates(steps, ROUNDS, seconds, device)
        speedup, engine_line = ratio(rounds, "fastest", "float32"), fast.describe()
    fps = {name: median(values) for name, values in rounds.items()}
    measured = f"{speedup:.2f} ({1e3 / fps['float32']:.1f} ms, then {1e3 / fps['fastest']:.1f}; {engine_line})"
    return GoalResult("Depth Pro: fastest gated engine / eager float32, >= 8.3", measured, speedup >= 8.3)


def boxes(segmenter: Segmenter, seconds: float, device: str) -> Iterator[GoalResult]:
    """Compare one decoder run per box with one run for all boxes of an image that is encoded once."""
    noise = np.random.default_rng(0).integers(0, 256, (*IMAGE, 3), np.uint8)
    network, encoded = segmenter._network(), segmenter.encode([noise])
    ways = {"graphs off": steps_of(network, encoded)}
    if device == "cuda":
        ways["graphs on"] = steps_of(network, encoded, graphed)
    for name, steps in ways.items():
        rounds = rates(steps, ROUNDS, seconds, device)
        speedup = ratio(rounds, "together", "in turn")
        measured = f"{speedup:.1f} ({1e3 * BOXES / median(rounds['in turn']):.1f} ms in turn)"
        yield GoalResult(f"{BOXES} boxes together / in turn, {name}, >= 40", measured, speedup >= 40)


def steps_of(
    network: SegmenterNetwork, encoded: Encoded, prepared: Callable[[Step], Step] = lambda step: step
) -> dict[str, Step]:
    """Steps that run the decoder alone on ready inputs; ``prepared`` wraps each of them, as ``graphed`` does."""
    decoder, device = network._decoder, network.device
    corners = torch.tensor([100.0, 100.0, 400.0, 300.0], device=device).repeat(BOXES, 1)
    index = torch.zeros(BOXES, dtype=torch.int64, device=device)

    def run(count: int) -> Step:
        def step() -> int:
            with torch.inference_mode():
                decoder(encoded.embeddings, corners[:count], index[:count])
            return count

        return step

    one, together = prepared(run(1)), prepared(run(BOXES))
    return {"in turn": lambda: sum(one() for _ in range(BOXES)), "together": together}


def graphed(step: Step) -> Step:
    """The same step captured as a CUDA graph and replayed with one launch. Not yet run on a GPU."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # torch asks for runs on a side stream before a capture
            count = step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may allocate meanwhile
        step()

    def replay() -> int:
        graph.replay()
        return count

    return replay
