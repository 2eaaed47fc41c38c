"""The hub: newest views, depth that can still be read, and a writer that never waits."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref
from typing import Any

import cv2
import numpy as np
import pytest

from stream.web.live.hub import KEPT, Recent, WebSink
from stream.web.live.jpeg_encoder import Encoder
from stream.web.live.notifier import Bell


def test_the_newest_view_of_each_camera_is_kept(web_view) -> None:
    """What came before is replaced; the number counts what was written."""
    sink = WebSink(["left", "right"])
    assert sink.newest("left") is None
    for seq in (4, 5, 9):
        sink.write(web_view(seq, "left"))
    shown = sink.newest("left")
    assert shown is not None
    assert (shown.view.depth_map.frame.seq, shown.number) == (9, 3)
    assert sink.newest("right") is None
    assert sink.newest("nobody") is None


def test_announced_cameras_come_first(web_view) -> None:
    """Others take their place behind them when they deliver."""
    sink = WebSink(["b", "a"])
    sink.write(web_view(0, "c"))
    assert sink.cameras == ("b", "a", "c")


def test_a_probe_reads_the_pixel_of_the_frame_that_was_asked_for(web_view) -> None:
    """The same number as in the depth map, at corners and in between; the right and lower edges belong to the last."""
    depth = np.random.default_rng(0).uniform(0.1, 9, (48, 64)).astype(np.float32)
    sink = WebSink()
    sink.write(web_view(1, depth=depth))
    sink.write(web_view(2))
    for x, y, pixel in (
        (0, 0, (0, 0)),
        (1, 1, (47, 63)),
        (0.5, 0.25, (12, 32)),
        (0.999, 0.001, (0, 63)),
        (0.305, 0.99, (47, 19)),
    ):
        probe = sink.depth_at("front", 1, x, y)
        assert probe is not None
        assert probe.depth == float(depth[pixel])
        assert (probe.kind, probe.unit) == ("metric", "m")
    newest = sink.depth_at("front", None, 0, 0)
    assert newest is not None
    assert newest.depth == 2.5


def test_only_the_last_frames_can_be_probed(web_view) -> None:
    """Eight of them; older ones, and cameras that nobody knows, have no answer."""
    sink = WebSink()
    for seq in range(20):
        sink.write(web_view(seq))
    known = [seq for seq in range(20) if sink.depth_at("front", seq, 0.5, 0.5)]
    assert known == list(range(20 - KEPT, 20))
    assert sink.depth_at("rear", None, 0.5, 0.5) is None


@pytest.mark.parametrize(
    ("value", "of_depth", "words"),
    [
        (2.31, {}, "2.31 m"),
        (2.31, {"scale_guessed": True}, "2.31 m (a guess)"),
        (2.31, {"weights": "random"}, "2.31 m (random weights: means nothing)"),
        (0.82, {"kind": "relative_inverse"}, "0.82, relative: larger is nearer"),
        (0.82, {"kind": "relative"}, "0.82, relative: larger is farther"),
        (1834.6, {"kind": "relative_inverse", "scale_guessed": True}, "1835, relative: larger is nearer"),
        (math.nan, {}, "not known here"),
        (math.inf, {}, "infinitely far"),
    ],
)
def test_a_probe_says_what_its_number_means(web_view, value: float, of_depth: dict[str, object], words: str) -> None:
    """Relative depth is never taken for metres, a guess never for a measurement; JSON has no NaN, so it is None."""
    sink = WebSink()
    sink.write(web_view(depth=np.full((8, 8), value, np.float32), **of_depth))
    probe = sink.depth_at("front", 0, 0.5, 0.5)
    assert probe is not None
    assert probe.words == words
    assert probe.depth == (float(np.float32(value)) if math.isfinite(value) else None)


def test_images_that_were_replaced_are_let_go(web_view) -> None:
    """What stays for probes is depth alone: the images of eight views would be most of the memory."""
    sink = WebSink()
    first = web_view(0)
    image, depth = weakref.ref(first.depth_map.frame.image), weakref.ref(first.depth_map.depth)
    sink.write(first)
    del first
    sink.write(web_view(1))
    gc.collect()
    assert image() is None
    assert depth() is not None


def test_many_writers_lose_nothing(web_view) -> None:
    """Cameras written from four threads at once: every number is there, and the writer's stage is known."""
    sink = WebSink()
    views = {camera: [web_view(seq, camera, (8, 8)) for seq in range(300)] for camera in "abcd"}
    threads = [
        threading.Thread(target=lambda own=own: [sink.write(view) for view in own], name="show")
        for own in views.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for camera in "abcd":
        newest = sink.newest(camera)
        assert newest is not None
        assert (newest.number, newest.view.depth_map.frame.seq) == (300, 299)
    assert sink.stage == "show"


def test_a_image_is_encoded_once_for_all_who_want_it(web_view) -> None:
    """Twenty-five viewers that want the same two images at the same time: two JPEGs, the same bytes for everybody."""
    sink = WebSink()
    sink.write(web_view(7))
    shown = sink.newest("front")
    assert shown is not None

    async def wish() -> list[bytes]:
        with Encoder(sink, 90) as encoder:
            pairs = await asyncio.gather(*(encoder.jpegs(shown, ("image", "depth")) for _ in range(25)))
            return [data for pair in pairs for data in pair]

    jpegs = asyncio.run(wish())
    assert sink.encodes == 2
    assert len({id(data) for data in jpegs}) == 2
    for data, level in zip(jpegs[:2], (7, 248), strict=True):
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (48, 64, 3)
        np.testing.assert_allclose(decoded, level, atol=2)
    assert sink.counts()["encode_seconds"] > 0


def test_a_viewer_that_leaves_does_not_take_the_image_along(web_view) -> None:
    """Cancelled while it waits for the encoder: the others get theirs all the same."""
    sink = WebSink()
    sink.write(web_view(1, size=(240, 320), noise=True))
    shown = sink.newest("front")
    assert shown is not None

    async def leave() -> list[bytes]:
        with Encoder(sink, 75) as encoder:
            leaving, staying = (asyncio.create_task(encoder.jpegs(shown, ("depth",))) for _ in range(2))
            await asyncio.sleep(0)
            leaving.cancel()
            return await staying

    (data,) = asyncio.run(leave())
    assert data.startswith(b"\xff\xd8")


def test_the_bell_wakes_everybody_and_gathers_no_backlog(web_view) -> None:
    """Ten thousand writes while the loop is busy are one ring; a write after it rings again."""
    sink = WebSink()
    view = web_view(size=(8, 8))

    class Counted(asyncio.SelectorEventLoop):
        calls = 0

        def call_soon_threadsafe(self, *args: Any, **more: Any) -> asyncio.Handle:
            self.calls += 1
            return super().call_soon_threadsafe(*args, **more)

    async def listen() -> tuple[int, int, bool]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Counted)
        bell, woken = Bell(loop), 0
        with sink.heard_by(bell.ring), bell.listener() as first, bell.listener() as second:
            for _ in range(10_000):
                sink.write(view)
            calls = loop.calls
            for _ in range(20):
                await asyncio.sleep(0)
                woken += first.is_set() and second.is_set()
                first.clear()
            second.clear()
            writer = loop.run_in_executor(None, sink.write, view)
            await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), 10)
            await writer
        sink.write(view)  # nobody listens
        return calls, woken, first.is_set()

    with asyncio.Runner(loop_factory=Counted) as runner:
        assert runner.run(listen()) == (1, 1, True)
    sink.write(view)


def test_the_bell_of_a_closed_loop_is_silent(web_view) -> None:
    """A server that died must not take the pipeline along."""
    loop = asyncio.new_event_loop()
    bell, sink = Bell(loop), WebSink()
    loop.close()
    with sink.heard_by(bell.ring):
        sink.write(web_view())
        sink.write(web_view())


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """25 a second and ages of 10..59 ms; when images stay away the rate falls at once, and ends at none."""
    now = [0]
    recent = Recent(lambda: now[0])
    assert (recent.fps, recent.age_ms(0.5)) == (0.0, None)
    for number in range(250):
        now[0] = number * 40_000_000
        recent.add(now[0] - (10 + number % 50) * 1_000_000)
    assert recent.fps == pytest.approx(25, rel=0.01)
    assert recent.age_ms(0.5) == pytest.approx(34.5, abs=1)
    assert recent.age_ms(0.95) == pytest.approx(57, abs=1)
    now[0] += 2_000_000_000
    assert recent.fps == pytest.approx(12.5, rel=0.1)
    now[0] += 3_000_000_000
    assert (recent.fps, recent.age_ms(0.5)) == (0.0, None)
