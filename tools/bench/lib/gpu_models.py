"""What large networks gain on a GPU: Depth Pro by its fastest engine, boxes of an image together instead of in turn.

Every function takes the device, so that with "cpu" all but the graphs runs, and is tested, without a GPU.
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
from tools.bench.lib.goals import Kept
from tools.bench.lib.gpu_measurements import Rig, Step, engine_only, rates, ratio

BOXES = 47
"""As many as in the report that the wanted figure goes back to (mit-han-lab/efficientvit, issue 154)."""
IMAGE = Size(720, 1280)
ROUNDS = 3


def measurements(seconds: float, engine: Any, weights: str = "random", device: str = "cuda") -> Iterator[Kept]:
    """``engine``: the fastest there is, as in Choice."""
    yield depth_pro(seconds, engine, weights, device)
    settings = SegmenterSettings.model_validate({"device": device, "weights": weights, "max_boxes_at_once": BOXES})
    with Segmenter(settings) as segmenter:
        yield from boxes(segmenter, seconds, device)


def depth_pro(seconds: float, engine: Any, weights: str, device: str) -> Kept:
    """The network alone, one image, as torch runs it in float32 and by the fastest engine in half precision."""
    rig = Rig(find("depth_pro"), weights, IMAGE, device)
    with ExitStack() as opened:
        plain = opened.enter_context(rig.estimator("cuda"))
        fast = opened.enter_context(rig.estimator(engine, 1, "fp16"))
        steps = {"float32": engine_only(plain, 1, IMAGE), "fastest": engine_only(fast, 1, IMAGE)}
        found = rates(steps, ROUNDS, seconds, device)
        measured, words = ratio(found, "fastest", "float32"), fast.describe()
    fps = {name: median(values) for name, values in found.items()}
    told = f"{measured:.2f} ({1e3 / fps['float32']:.1f} ms, then {1e3 / fps['fastest']:.1f}; {words})"
    return Kept("Depth Pro: fastest gated engine / eager float32, >= 8.3", told, measured >= 8.3)


def boxes(segmenter: Segmenter, seconds: float, device: str) -> Iterator[Kept]:
    """47 boxes of one image, encoded once: one run of the decoder for each, and one for all."""
    noise = np.random.default_rng(0).integers(0, 256, (*IMAGE, 3), np.uint8)
    network, encoded = segmenter._ready(), segmenter.encode([noise])
    ways = {"graphs off": steps_of(network, encoded)}
    if device == "cuda":
        ways["graphs on"] = steps_of(network, encoded, graphed)
    for name, steps in ways.items():
        found = rates(steps, ROUNDS, seconds, device)
        measured = ratio(found, "together", "in turn")
        told = f"{measured:.1f} ({1e3 * BOXES / median(found['in turn']):.1f} ms in turn)"
        yield Kept(f"{BOXES} boxes together / in turn, {name}, >= 40", told, measured >= 40)


def steps_of(
    network: SegmenterNetwork, encoded: Encoded, prepared: Callable[[Step], Step] = lambda step: step
) -> dict[str, Step]:
    """The decoder alone, its inputs there already; ``prepared``: what becomes of each run of it before it is timed."""
    decoder, device = network._decoder, network.device
    places = torch.tensor([100.0, 100.0, 400.0, 300.0], device=device).repeat(BOXES, 1)
    index = torch.zeros(BOXES, dtype=torch.int64, device=device)

    def run(count: int) -> Step:
        def step() -> int:
            with torch.inference_mode():
                decoder(encoded.embeddings, places[:count], index[:count])
            return count

        return step

    one, together = prepared(run(1)), prepared(run(BOXES))
    return {"in turn": lambda: sum(one() for _ in range(BOXES)), "together": together}


def graphed(step: Step) -> Step:
    """The same work by one launch. Never met a GPU."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            count = step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()

    def replay() -> int:
        graph.replay()
        return count

    return replay
