"""The hub: newest views, depth for probes, and a writer that never waits."""

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

from stream.web.live.hub import PROBE_HISTORY, Arrivals, WebSink
from stream.web.live.jpeg_encoder import JpegEncoder
from stream.web.live.notifier import Notifier


def test_the_newest_view_of_each_camera_is_kept(web_view) -> None:
    """A new view replaces the one before; the number counts the views written."""
    sink = WebSink(["left", "right"])
    assert sink.newest("left") is None
    for seq in (4, 5, 9):
        sink.write(web_view(seq, "left"))
    shown = sink.newest("left")
    assert shown is not None
    assert (shown.view.depth_map.frame.seq, shown.number) == (9, 3)
    assert sink.newest("right") is None
    assert sink.newest("unknown") is None


def test_announced_cameras_come_first(web_view) -> None:
    """Unannounced cameras follow when they deliver."""
    sink = WebSink(["b", "a"])
    sink.write(web_view(0, "c"))
    assert sink.cameras == ("b", "a", "c")


def test_cameras_come_and_go(web_view) -> None:
    """A removed one leaves nothing behind, and is another one if it comes back."""
    sink, news = WebSink(["a"]), list[int]()
    sink.write(web_view(7, "a"))
    with sink.notifying(lambda: news.append(1)):
        sink.announce("b")
        sink.remove("a")
        sink.remove("never there")
    assert len(news) == 3
    assert sink.cameras == ("b",)
    assert sink.newest("a") is None
    assert sink.depth_at("a", None, 0.5, 0.5) is None
    assert sink.rate("a").fps == 0.0


def test_a_probe_reads_the_pixel_of_the_requested_frame(web_view) -> None:
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
    """The last eight; older frames and unknown cameras give None."""
    sink = WebSink()
    for seq in range(20):
        sink.write(web_view(seq))
    known = [seq for seq in range(20) if sink.depth_at("front", seq, 0.5, 0.5)]
    assert known == list(range(20 - PROBE_HISTORY, 20))
    assert sink.depth_at("rear", None, 0.5, 0.5) is None


@pytest.mark.parametrize(
    ("value", "of_depth", "text"),
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
def test_a_probes_text_says_what_its_number_means(
    web_view, value: float, of_depth: dict[str, object], text: str
) -> None:
    """Relative depth is never taken for metres, a guess never for a measurement; JSON has no NaN, so it is None."""
    sink = WebSink()
    sink.write(web_view(depth=np.full((8, 8), value, np.float32), **of_depth))
    probe = sink.depth_at("front", 0, 0.5, 0.5)
    assert probe is not None
    assert probe.text == text
    assert probe.depth == (float(np.float32(value)) if math.isfinite(value) else None)


@pytest.mark.slow
def test_images_that_were_replaced_are_let_go(web_view) -> None:
    """Only the depth is kept for probes: the images of eight views would take most of the memory."""
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
    """Four threads write to four cameras at once: no view is missed, and the writer's stage is known."""
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


def test_an_image_is_encoded_once_for_all_viewers(web_view) -> None:
    """Twenty-five viewers want the same two images at once: two JPEGs, and the same bytes objects for all."""
    sink = WebSink()
    sink.write(web_view(7))
    shown = sink.newest("front")
    assert shown is not None

    async def encode() -> list[bytes]:
        with JpegEncoder(sink, 90) as encoder:
            pairs = await asyncio.gather(*(encoder.jpegs(shown, ("image", "depth")) for _ in range(25)))
            return [data for pair in pairs for data in pair]

    jpegs = asyncio.run(encode())
    assert sink.encodes == 2
    assert len({id(data) for data in jpegs}) == 2
    for data, level in zip(jpegs[:2], (7, 248), strict=True):
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (48, 64, 3)
        np.testing.assert_allclose(decoded, level, atol=2)
    assert sink.counts()["encode_seconds"] > 0


def test_a_viewer_that_leaves_does_not_cancel_the_encoding(web_view) -> None:
    """It is cancelled while it waits for the encoder; the other viewer still gets its JPEG."""
    sink = WebSink()
    sink.write(web_view(1, size=(240, 320), noise=True))
    shown = sink.newest("front")
    assert shown is not None

    async def leave() -> list[bytes]:
        with JpegEncoder(sink, 75) as encoder:
            leaving, staying = (asyncio.create_task(encoder.jpegs(shown, ("depth",))) for _ in range(2))
            await asyncio.sleep(0)
            leaving.cancel()
            return await staying

    (data,) = asyncio.run(leave())
    assert data.startswith(b"\xff\xd8")


def test_the_notifier_wakes_all_listeners_and_accumulates_no_backlog(web_view) -> None:
    """Ten thousand writes while the loop is busy are one wake-up; a write after it causes another."""
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
        notifier, woken = Notifier(loop), 0
        with sink.notifying(notifier.notify), notifier.listener() as first, notifier.listener() as second:
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
        sink.write(view)  # no listener is left
        return calls, woken, first.is_set()

    with asyncio.Runner(loop_factory=Counted) as runner:
        assert runner.run(listen()) == (1, 1, True)
    sink.write(view)


def test_a_notifier_of_a_closed_loop_does_nothing(web_view) -> None:
    """A server that has died must not make the pipeline fail."""
    loop = asyncio.new_event_loop()
    notifier, sink = Notifier(loop), WebSink()
    loop.close()
    with sink.notifying(notifier.notify):
        sink.write(web_view())
        sink.write(web_view())


def test_the_rate_covers_the_last_seconds() -> None:
    """25 views a second with ages of 10..59 ms; when views stop, the rate falls at once and ends at 0."""
    now = [0]
    arrivals = Arrivals(lambda: now[0])
    assert (arrivals.fps, arrivals.age_ms(0.5)) == (0.0, None)
    for number in range(250):
        now[0] = number * 40_000_000
        arrivals.add(now[0] - (10 + number % 50) * 1_000_000)
    assert arrivals.fps == pytest.approx(25, rel=0.01)
    assert arrivals.age_ms(0.5) == pytest.approx(34.5, abs=1)
    assert arrivals.age_ms(0.95) == pytest.approx(57, abs=1)
    now[0] += 2_000_000_000
    assert arrivals.fps == pytest.approx(12.5, rel=0.1)
    now[0] += 3_000_000_000
    assert (arrivals.fps, arrivals.age_ms(0.5)) == (0.0, None)
