"""Stages are generators: a list in, a list out, no threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.errors import SourceError
from stream.frames import Batch, DepthMap, Dropped, Frame, Size, View
from stream.inference.cpu_estimator import CpuEstimator
from stream.settings import ModelSettings, RenderSettings
from stream.stages.capture import capture, limited
from stream.stages.infer import infer
from stream.stages.numbering import Numbering
from stream.stages.preprocess import preprocess
from stream.stages.publish import publish
from stream.stages.render import Painter, render

FrameMaker = Callable[..., Frame]


class ThreeFrames:
    """A source that notes whether it was opened and closed."""

    def __init__(self, make_frame: FrameMaker, *, fails: bool = False) -> None:
        self._make_frame, self._fails = make_frame, fails
        self.events: list[str] = []

    def __enter__(self) -> Self:
        self.events.append("opened")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.events.append("closed")

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        yield from (self._make_frame(seq) for seq in range(3))
        if self._fails:
            raise SourceError("cut off")

    def describe(self) -> str:
        return "three frames"


class Notes:
    """A sink that keeps what was written."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.closed = True

    def write(self, item: object) -> None:
        self.items.append(item)


def depth_map(frame: Frame, depth: np.ndarray, **changes: object) -> DepthMap:
    return DepthMap(depth.astype(np.float32), "relative_inverse", frame, "tiny", **changes)  # type: ignore[arg-type]


def test_capture_opens_and_closes_its_source(make_frame: FrameMaker) -> None:
    """Every frame, in order."""
    source = ThreeFrames(make_frame)
    assert [frame.seq for frame in capture(source)(threading.Event())] == [0, 1, 2]
    assert source.events == ["opened", "closed"]


def test_capture_closes_its_source_when_it_fails(make_frame: FrameMaker) -> None:
    """Good frames first, then the error, and nothing stays open."""
    source = ThreeFrames(make_frame, fails=True)
    got = []
    with pytest.raises(SourceError):
        got.extend(frame.seq for frame in capture(source)(threading.Event()))
    assert source.events == ["opened", "closed"]


@pytest.mark.slow
def test_frames_become_depth_of_their_own_size(
    make_frame: FrameMaker, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Preprocess and infer, one after the other; each depth map knows its frame."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "stages-cache"))
    estimator = CpuEstimator(ModelSettings())
    frames = [make_frame(seq, height=48, width=64, level=40 * seq) for seq in range(3)]
    batches = list(preprocess(estimator)(frames))
    assert all(isinstance(batch, Batch) and batch.pixels.shape == (1, 3, 192, 256) for batch in batches)
    maps = list(infer(estimator)(batches))
    assert [m.frame.seq for m in maps] == [0, 1, 2]
    assert all(m.depth.shape == (48, 64) for m in maps)
    estimator.close()


@pytest.mark.slow
def test_several_images_at_a_time_come_out_in_order(
    make_frame: FrameMaker, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Three lanes give the same depth for the same frame, in the same order, as one lane."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "stages-cache"))
    rng = np.random.default_rng(0)
    frames = [replace(make_frame(seq), image=rng.integers(0, 255, (48, 64, 3), np.uint8)) for seq in range(12)]
    results = []
    for settings in (ModelSettings(), ModelSettings(layout="throughput", threads=3)):
        with CpuEstimator(settings) as estimator:
            results.append(list(infer(estimator)(preprocess(estimator)(frames))))
    assert [m.frame.seq for m in results[1]] == list(range(12))
    for alone, beside in zip(*results, strict=True):
        np.testing.assert_allclose(beside.depth, alone.depth, atol=1e-4)


def test_a_batch_holds_images_of_one_network_size(make_frame: FrameMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting frames are grouped by network size; none is lost or reordered within a size."""
    shapes = [(48, 64), (64, 48), (480, 640), (64, 48), (96, 128)]
    frames = [make_frame(seq, height=h, width=w) for seq, (h, w) in enumerate(shapes)]
    monkeypatch.setattr("stream.stages.preprocess.greedy_batches", lambda inbox, most, grace_s: [list(inbox)])
    batches = list(preprocess(CpuEstimator(ModelSettings(max_batch=8)))(frames))
    assert [[frame.seq for frame in batch.frames] for batch in batches] == [[0, 2, 4], [1, 3]]
    assert [batch.pixels.shape for batch in batches] == [(3, 3, 192, 256), (2, 3, 256, 192)]


def test_batches_give_what_single_images_give(
    make_frame: FrameMaker, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Up to rounding."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "stages-cache"))
    rng = np.random.default_rng(1)
    frames = [replace(make_frame(seq), image=rng.integers(0, 255, (48, 64, 3), np.uint8)) for seq in range(3)]
    with CpuEstimator(ModelSettings(max_batch=3)) as estimator:
        together = estimator.estimate(estimator.prepare(frames))
        single = [estimator.estimate(estimator.prepare([frame]))[0] for frame in frames]
    for one, other in zip(together, single, strict=True):
        assert one.frame is other.frame
        np.testing.assert_allclose(one.depth, other.depth, rtol=1e-4, atol=1e-4)


def test_a_failure_in_one_lane_is_raised(make_frame: FrameMaker) -> None:
    """Nothing hangs, and no thread stays."""

    class Failing(CpuEstimator):
        def load(self, expect: Sequence[Size] = ()) -> Self:
            return self

        def estimate(self, batch: Batch) -> list[DepthMap]:
            raise ArithmeticError("lane broke")

    batches = [Batch(None, (make_frame(seq),)) for seq in range(5)]
    with pytest.raises(ArithmeticError, match="lane broke"):
        list(infer(Failing(ModelSettings(layout="throughput", threads=2)))(batches))


def test_render_paints_near_and_far(make_frame: FrameMaker) -> None:
    """A fixed range: the far half has the first colour, the near half the last."""
    frame = make_frame(height=8, width=8)
    ramp = np.repeat([[0.0] * 4 + [1.0] * 4], 8, axis=0)
    settings = RenderSettings(colormap="gray", range="fixed", low=0.0, high=1.0)
    (view,) = render(settings)([depth_map(frame, ramp)])
    assert isinstance(view, View)
    assert view.image.shape == (8, 8, 3)
    assert view.image[0, 0].tolist() == [0, 0, 0]
    assert view.image[0, 7].tolist() == [255, 255, 255]
    assert (view.low, view.high) == (0.0, 1.0)


def test_each_camera_has_its_own_range(make_frame: FrameMaker) -> None:
    """A camera that sees other depths does not change another's colours."""
    rng = np.random.default_rng(0)
    left = [depth_map(make_frame(seq, "left", 32, 32), rng.uniform(0, 1, (32, 32))) for seq in range(2)]
    right = depth_map(make_frame(0, "right", 32, 32), rng.uniform(50, 60, (32, 32)))
    alone = list(render(RenderSettings())(left))
    mixed = list(render(RenderSettings())([left[0], right, left[1]]))
    assert (mixed[2].low, mixed[2].high) == (alone[1].low, alone[1].high)


def test_random_weights_are_burnt_into_the_image(make_frame: FrameMaker) -> None:
    """The same depth looks different when it means nothing."""
    frame, flat = make_frame(height=64, width=96), np.zeros((64, 96))
    trained, random = render(RenderSettings())([depth_map(frame, flat), depth_map(frame, flat, weights="random")])
    assert np.array_equal(np.unique(trained.image.reshape(-1, 3), axis=0), trained.image[0, :1])
    assert len(np.unique(random.image.reshape(-1, 3), axis=0)) > 1


def test_publish_writes_to_every_sink_before_it_passes_on() -> None:
    """An item counts as published only once it is written; sinks are closed at the end."""
    first, second = Notes(), Notes()
    body = publish(first, second)(iter(["a", "b"]))
    assert next(body) == "a"
    assert first.items == second.items == ["a"]
    assert list(body) == ["b"]
    assert first.closed
    assert second.closed


def stamped(make_frame: FrameMaker, at_s: Sequence[float]) -> list[Frame]:
    return [replace(make_frame(seq), stamp=Stamp(round(1e9 * s), 0)) for seq, s in enumerate(at_s, start=0)]


@pytest.mark.parametrize(
    ("fps", "most", "passed"), [(30, 10, 10), (30, 30, 30), (25, 10, 10), (10, 25, 10), (30, 12, 12)]
)
def test_a_rate_is_kept_on_average(fps: int, most: float, passed: int, make_frame: FrameMaker) -> None:
    """Four seconds with jitter: kept frames are evenly spaced, the others are Dropped as "rate"; no limit keeps all."""
    jitter = np.random.default_rng(0).uniform(-0.1, 0.1, 4 * fps) / fps
    frames = stamped(make_frame, 100 + np.arange(4 * fps) / fps + jitter)
    items = list(limited(iter(frames), most))
    assert len(items) == 4 * fps
    kept = [item for item in items if isinstance(item, Frame)]
    assert len(kept) == pytest.approx(4 * passed, abs=1 + 0.1 * 4 * passed * (fps == most))
    gaps = np.diff([frame.stamp.mono_ns for frame in kept]) / 1e9
    assert gaps.max() < 1 / min(fps, most) + 1.3 / fps
    assert {item.reason for item in items if isinstance(item, Dropped)} <= {"rate"}
    assert list(limited(iter(frames), None)) == frames


def test_a_limit_does_not_catch_up_after_a_pause(make_frame: FrameMaker) -> None:
    """A camera that was away for a minute is not passed unlimited for a while."""
    frames = stamped(make_frame, [*np.arange(10) / 10, *(60 + np.arange(30) / 30)])
    kept = [item.stamp.mono_ns / 1e9 for item in limited(iter(frames), 5) if isinstance(item, Frame)]
    assert sum(at >= 60 for at in kept) == 5


def test_what_a_stage_keeps_of_a_camera_is_released(make_frame: FrameMaker) -> None:
    """A camera of the same name that comes later begins with a colour range of its own."""
    near, far = np.linspace(1, 2, 48).reshape(6, 8), np.linspace(50, 90, 48).reshape(6, 8)
    paint = Painter(RenderSettings())
    fresh = paint(depth_map(make_frame(0, "front"), far))
    for seq in range(3):
        paint(depth_map(make_frame(seq, "rear"), near))
    paint.release("rear")
    paint.release("never there")
    view = paint(depth_map(make_frame(9, "rear"), far))
    assert (view.low, view.high) == (fresh.low, fresh.high)


def test_numbers_go_on_when_a_source_is_replaced(make_frame: FrameMaker) -> None:
    """Also after dropped frames, which have numbers as well."""
    numbering = Numbering()

    def source(stopping: object) -> Iterator[Frame | Dropped]:
        yield make_frame(0)
        yield make_frame(1)
        yield Dropped((make_frame(2), make_frame(3)), "rate")

    def numbers() -> list[int]:
        return [frame.seq for item in numbering.continued(source)(threading.Event()) for frame in item.frames]

    assert numbers() + numbers() == list(range(8))
