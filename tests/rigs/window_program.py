"""A program with a preview window, as a pipeline's runner has one: two cameras with depth, a third that never delivers.

Images and depth move, but not with ``--still``. Prints a line for everything that the keys change, and ``ended: ...``
with the pipeline's account at the end.
"""
# ruff: noqa: T201  what it prints is its result

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator

import numpy as np

from stream.core.clock import Pacer, Stamp
from stream.core.view_controls import ViewControls
from stream.frames import DepthMap, Frame, View
from stream.render.colormap import lut, paint
from stream.render.panels import side_by_side
from stream.runtime.pipeline import Pipeline
from stream.runtime.worker import Body
from stream.sinks.window.sink import WindowLoop, WindowSink
from stream.stages.publish import publish

FPS = 25.0


def camera(name: str, height: int, width: int, *, moves: bool) -> Body:
    """A camera with a gradient; if it ``moves``, a bright bar travels through it."""

    def body(stopping: threading.Event) -> Iterator[Frame]:
        pacer, seq = Pacer(stopping), 0
        ramp = np.tile(np.linspace(20, 230, width).astype(np.uint8), (height, 1))
        while pacer.wait_until(seq / FPS):
            image = np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 90)], axis=2)
            if moves:
                left = seq * 4 % width
                image[:, left : left + width // 16] = 255
            yield Frame(image, name, seq, Stamp.now())
            seq += 1

    return body


def estimate(*, moves: bool) -> Body:
    """Depth of a sloping floor with a nearer bar; if it ``moves``, all of it comes and goes."""

    def body(frames: Iterable[Frame]) -> Iterator[DepthMap]:
        for frame in frames:
            height, width = frame.size
            depth = np.tile(np.linspace(1, 4, height, dtype=np.float32)[:, None], (1, width))
            depth[frame.image.min(axis=2) == 255] = 0.8
            yield DepthMap(depth + np.float32(moves * (frame.seq % 50) / 25), "metric", frame, "made up")

    return body


def render(controls: ViewControls) -> Body:
    """Render with the viewer's controls, like the render stage."""

    def body(maps: Iterable[DepthMap]) -> Iterator[View]:
        for depth_map in maps:
            present = float(depth_map.depth.max()), float(depth_map.depth.min())
            low, high = controls.frozen_ranges.get(depth_map.frame.camera, present)
            yield View(paint(depth_map.depth, low, high, lut(controls.colormap)), depth_map, low, high)

    return body


def main() -> int:
    """Exit status: 0 when the user ended it, 3 when the pipeline ended by itself."""
    sink, controls, moves = WindowSink(), ViewControls(), "--still" not in sys.argv
    pipe = Pipeline("rig")
    sources = [
        pipe.source("capture.door", camera("door", 240, 320, moves=moves)),
        pipe.source("capture.yard", camera("yard", 360, 640, moves=False)),
    ]
    views = pipe.stage("estimate", estimate(moves=moves), after=sources, policy="latest")
    painted = pipe.stage("render", render(controls), after=[views], policy="drop_oldest")
    pipe.stage("window", publish(sink), after=[painted], policy="drop_oldest")
    cameras = ["door", "yard", "attic"]
    with WindowLoop("rig", sink, controls, row=side_by_side, cameras=cameras) as window, pipe:
        has_asked = watch(pipe, window, controls)
    accounts = {a.camera: (a.captured, a.published, sum(a.dropped.values())) for a in pipe.stats().accounts}
    print("ended:", accounts, flush=True)
    return 0 if has_asked else 3


def watch(pipe: Pipeline, window: WindowLoop, controls: ViewControls) -> bool:
    """Show the window until the user ends it, as a runner's main thread does."""
    printed: object = None
    while not pipe.wait(0.0):
        if not window.poll():
            return True
        now = f"colormap={controls.colormap} range={'fixed' if controls.frozen_ranges else 'follows'}"
        if now != printed:
            printed = now
            print(now, flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
