"""The workloads of the benchmarks; each runs as ``python -m pipelines.benchmark.workloads NAME CLIP SECONDS``.

A workload prints one JSON object. All but ``networks`` run MiDaS_small at 256x256; weights are random, because the
numbers are about speed only. Each has its own process, so that torch's threads, its allocator and cached files of one
do not affect the next.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from pipelines.benchmark.memory import resident_mib
from pipelines.components.depth import add_depth
from stream.frames import Batch, Size, View
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.estimator import Estimator
from stream.runtime.channel import Policy
from stream.runtime.pipeline import Pipeline
from stream.settings import ModelSettings, RenderSettings, VideoCamera
from stream.sources.video import VideoSource
from stream.stages.capture import capture
from stream.stages.render import render

FPS = 25
WIDTH, HEIGHT = 640, 480
SIDE = 256
SAME_SIZE = Size(192, 256)
"""Input size at which the networks are compared."""
WARM_UP = 5
"""Runs or frames that are not counted."""
Result = dict[str, Any]


def make_clip(path: Path, frames: int) -> Path:
    """Write an H.264 mp4 of FFmpeg's moving test pattern, 640x480 at 25 fps; returns ``path``."""
    import av

    pattern = av.open(f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS}", format="lavfi")
    with pattern, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _, frame in zip(range(frames), pattern.decode(video=0), strict=False):
            frame.pict_type = 0  # the pattern's frames are all marked as key frames; let the encoder choose
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def model_settings(layout: str) -> ModelSettings:
    """MiDaS_small at 256x256 with random weights; ``layout`` is "latency" or "throughput"."""
    return ModelSettings.model_validate(
        {"name": "midas_small", "weights": "random", "side": SIDE, "keep_aspect": False, "layout": layout}
    )


def engine(clip: Path, seconds: float) -> Result:
    """The bare engine: its input is ready before, its output is not read."""
    estimator = CpuEstimator(model_settings("latency")).load()
    batch = estimator.prepare([next(_images(clip))])
    times = [_timed(lambda: estimator.infer_raw(batch)) for _ in _turns(seconds)]
    return {"fps": 1 / median(times), "ms": 1e3 * median(times), "runs": len(times), "engine": estimator.describe()}


def networks(clip: Path, seconds: float) -> Result:
    """The bare engines of two networks in turn, at the same input size, each with its default number of threads."""
    pixels = np.random.default_rng(0).standard_normal((1, *SAME_SIZE, 3), np.float32).transpose(0, 3, 1, 2)
    estimators = {name: CpuEstimator(ModelSettings(name=name, weights="random")) for name in ("tiny", "midas_small")}
    times: dict[str, list[float]] = {name: [] for name in estimators}
    for _ in _turns(seconds):
        for name, estimator in estimators.items():
            times[name].append(_timed(partial(estimator.infer_raw, Batch(pixels, ()))))
    return {name: 1e3 * median(each[WARM_UP:]) for name, each in times.items()}


def lanes(clip: Path, seconds: float) -> Result:
    """The bare engine with one image per thread, as the pipeline's layout "throughput" uses it."""
    estimator = CpuEstimator(model_settings("throughput")).load()
    batch = estimator.prepare([next(_images(clip))])
    estimator.infer_raw(batch)
    with ThreadPoolExecutor(estimator.lanes) as pool:
        start = perf_counter()
        futures = [pool.submit(_count, estimator, batch, seconds) for _ in range(estimator.lanes)]
        counts = [future.result() for future in futures]
        return {"fps": sum(counts) / (perf_counter() - start), "lanes": estimator.lanes}


def pipeline(clip: Path, seconds: float) -> Result:
    """File mode: decode, preprocess, network and colour of every frame, without an encoder."""
    finished: list[float] = []
    pipe, _ = _build(clip, "throughput", "block", finished.append, pace="fast")
    with pipe:
        pipe.ready.wait()
        pipe.wait(seconds)
    stats = pipe.stats()
    times = np.diff(finished[WARM_UP:])
    steps = {name: 1e3 * spread.p50_s for stage in stats.stages for name, spread in stage.steps.items()}
    return {"fps": len(times) / float(times.sum()), "frames": len(finished), "steps_p50_ms": steps}


def tutorial(clip: Path, seconds: float) -> Result:
    """The loop that tutorials show: eager network, a single Python thread, torch's default number of threads."""
    import cv2
    import torch

    from stream.models.catalog import find
    from stream.models.networks import build
    from stream.models.weights import random_state

    network = build("midas_small")
    network.load_state_dict(random_state(find("midas_small")))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    reader, times = cv2.VideoCapture(str(clip)), []
    for _ in _turns(seconds):
        start = perf_counter()
        has_frame, image = reader.read()
        if not has_frame:  # end of the clip: start again, and do not count this turn
            reader.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        normalised: Any = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) / 255.0
        normalised = (cv2.resize(normalised, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) - mean) / std
        with torch.no_grad():
            pixels = torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1), np.float32))[None]
            inverse = torch.nn.functional.interpolate(
                network(pixels)[:, None], size=image.shape[:2], mode="bicubic", align_corners=False
            )[0, 0].numpy()
        levels = (255 * (inverse - inverse.min()) / (inverse.max() - inverse.min())).astype(np.uint8)
        cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
        times.append(perf_counter() - start)
    reader.release()
    return {"fps": 1 / median(times[WARM_UP:]), "frames": len(times), "threads": torch.get_num_threads()}


def live(clip: Path, seconds: float) -> Result:
    """Live mode: the clip at its own 25 fps, a network slower than that, always the newest frame."""
    samples: list[tuple[float, float]] = []
    ages: list[tuple[float, float]] = []
    pipe, _ = _build(clip, "latency", "latest", lambda now: None, pace="file", ages=ages)
    with pipe:
        pipe.ready.wait()
        start = monotonic()
        while monotonic() - start < seconds:
            pipe.wait(1.0)
            samples.append((monotonic() - start, resident_mib()))
    stats = pipe.stats()
    age_ms = np.array([1e3 * age for _, age in ages[WARM_UP:]])
    halves = np.array_split(age_ms, 2)
    rss = [mib for elapsed_s, mib in samples if elapsed_s > min(10.0, seconds / 4)]  # the first 10 s are warm-up
    return {
        "age_p50_ms": float(np.percentile(age_ms, 50)),
        "age_p95_ms": float(np.percentile(age_ms, 95)),
        "age_p50_ms_halves": [float(np.median(half)) for half in halves],
        "rss_mib_first_last": [rss[0], rss[-1]],
        "fps": stats.stages[-1].fps,
        "seconds": seconds,
        "network_p50_ms": next(1e3 * s.steps["infer"].p50_s for s in stats.stages if "infer" in s.steps),
        "account": [str(account) for account in stats.accounts],
    }


def _build(
    clip: Path,
    layout: str,
    policy: Policy,
    on_view: Callable[[float], None],
    *,
    pace: str,
    ages: list[tuple[float, float]] | None = None,
) -> tuple[Pipeline, Estimator]:
    estimator = CpuEstimator(model_settings(layout))
    camera = VideoCamera.model_validate({"source": "video", "path": str(clip), "pace": pace, "loop": True})

    def arrive(views: Iterable[View]) -> Iterator[View]:
        for view in views:
            now = monotonic()
            on_view(now)
            if ages is not None:
                ages.append((now, view.depth_map.frame.stamp.age_s()))
            yield view

    pipe = Pipeline("bench")
    source = pipe.source("capture", capture(VideoSource(camera)))
    depth = add_depth(pipe, estimator, [source], policy, expect=[Size(480, 640)])
    # as in the product: a live pipeline drops before its sink, a file pipeline drops nothing
    live_edge: Policy = "drop_oldest" if policy == "latest" else "block"
    views = pipe.stage("render", render(RenderSettings()), [depth], policy=live_edge)
    pipe.stage("arrive", arrive, [views], policy=live_edge)
    return pipe, estimator


def _images(clip: Path) -> Iterator[Any]:
    with VideoSource(VideoCamera(source="video", path=str(clip))) as source:
        yield from source.frames(threading.Event())


def _turns(seconds: float) -> Iterator[None]:
    """``WARM_UP`` turns, then as many as fit into ``seconds``."""
    for _ in range(WARM_UP):
        yield None
    end = monotonic() + seconds
    while monotonic() < end:
        yield None


def _count(estimator: Estimator, batch: Batch, seconds: float) -> int:
    runs = 0
    for _ in _turns(seconds):
        estimator.infer_raw(batch)
        runs += 1
    return runs


def _timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


WORKLOADS = {each.__name__: each for each in (engine, networks, lanes, pipeline, tutorial, live)}

if __name__ == "__main__":
    name, path, length = sys.argv[1:]
    print(json.dumps(WORKLOADS[name](Path(path), float(length))))
