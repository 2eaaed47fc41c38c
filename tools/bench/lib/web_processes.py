"""Processes of tools/bench/web.py: servers and viewers. Each is a function that runs until it receives "end"."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from pipelines import serve
from pipelines.components.depth import add_depth
from pipelines.components.web import Web
from stream.core.clock import Pacer, Stamp
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls
from stream.frames import Frame, Size
from stream.inference.open import estimator_for
from stream.runtime.pipeline import Pipeline, chain
from stream.settings import SyntheticCamera
from stream.sources.synthetic import SyntheticSource
from stream.stages.publish import publish
from stream.stages.render import render
from tools.bench.lib.time_code import burn

SIZE, FPS, CAMERA = Size(480, 640), 25.0, "bench"
SCENES = 25
"""Rendered images that are shown repeatedly; rendering each frame would cost more than the pipeline itself."""
TABLES: dict[str, Any] = {"pipeline": "serve", "web": {"address": "127.0.0.1:0"}}


def serve_live(pipe: Connection) -> None:
    """Serve a 640x480 camera at 25 fps, whose images carry their time of capture, with ``tiny`` and the page.

    Replies to "url" with the address, and to "cost" with the CPU seconds of this process and of its encoding threads
    and the number of images shown.
    """
    settings = parse(serve.ServeSettings, TABLES, "bench")
    web = Web(settings.web, settings.model, [CAMERA], ViewControls(settings.render.colormap))
    pipeline = Pipeline("bench")
    camera = pipeline.source(f"capture.{CAMERA}", timed_images)
    depth = add_depth(pipeline, estimator_for(settings.model), [camera], policy="latest", expect=[SIZE])
    steps = chain(render=render(settings.render, web.controls), show=publish(web.sink))
    pipeline.stage("show", steps, after=[depth], policy="latest")
    _serve(pipe, pipeline, web)


def serve_images(pipe: Connection, changes: dict[str, Any]) -> None:
    """Serve the image service alone, with ``changes`` to the table ``[web]``; replies to "url" with the address."""
    tables = {**TABLES, "web": {**TABLES["web"], **changes}}
    settings = parse(serve.ServeSettings, tables, "bench")
    web = serve.web_for(settings)
    _serve(pipe, serve.build(settings, web), web)


def timed_images(stopping: threading.Event) -> Iterator[Frame]:
    """Endless frames with a time code: the time at which the frame was yielded, in Unix milliseconds."""
    fast = SyntheticCamera(source="synthetic", width=SIZE.width, height=SIZE.height, fps=FPS, pace="fast")
    with SyntheticSource(fast) as source:
        scenes = [frame.image for _, frame in zip(range(SCENES), source.frames(stopping), strict=False)]
    pacer, seq = Pacer(stopping), 0
    while pacer.wait_until(seq / FPS):
        stamp, image = Stamp.now(), scenes[seq % SCENES].copy()
        burn(image, stamp.unix_ns // 1_000_000)
        image.flags.writeable = False
        yield Frame(image, CAMERA, seq, stamp)
        seq += 1


def look(pipe: Connection, url: str, viewers: int) -> None:
    """Run ``viewers`` viewers of image and depth that acknowledge at once, all in one process.

    Replies to any message with the number of frames that each viewer received since the last message.
    """
    asyncio.run(_look(pipe, url, viewers))


async def _look(pipe: Connection, url: str, viewers: int) -> None:
    counts = [0] * viewers
    watching = [asyncio.create_task(_watch(url, counts, number)) for number in range(viewers)]
    while not all(counts):
        await asyncio.sleep(0.01)
        for task in watching:
            if task.done():
                task.result()  # raises the error of a viewer that has failed
    pipe.send("ready")
    while await asyncio.to_thread(pipe.recv) != "end":
        pipe.send(counts.copy())
        counts[:] = [0] * viewers
    for task in watching:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*watching)


async def _watch(url: str, counts: list[int], number: int) -> None:
    from websockets.asyncio.client import connect

    # Compression would cost CPU in the viewers, and JPEG does not get smaller.
    async with connect(f"{url.replace('http', 'ws', 1).rstrip('/')}/ws", origin=None, compression=None) as socket:
        await socket.send(json.dumps({"type": "watch", "cameras": {CAMERA: "both"}}))
        async for message in socket:
            if isinstance(message, bytes):
                (length,) = struct.unpack_from("<I", message)
                seq = json.loads(message[4 : 4 + length])["seq"]
                await socket.send(json.dumps({"type": "shown", "camera": CAMERA, "seq": seq}))
                counts[number] += 1


def _serve(pipe: Connection, pipeline: Pipeline, web: Web) -> None:
    shown = threading.Event()
    with web.serving(pipeline) as url, web.sink.notifying(shown.set), pipeline:
        pipeline.ready.wait()
        if web.sink.cameras:  # the image service alone shows nothing
            shown.wait()
        pipe.send("ready")
        while (request := pipe.recv()) != "end":
            pipe.send(url if request == "url" else _cost(web))


def _cost(web: Web) -> tuple[float, float, int]:
    """CPU seconds since the start by the kernel's clocks, of the process and of its encoding threads; images shown."""
    encoding = [thread.ident for thread in threading.enumerate() if thread.name.startswith("web-encode")]
    clocks = [time.pthread_getcpuclockid(ident) for ident in encoding if ident is not None]
    shown = web.sink.newest(CAMERA)
    return time.process_time(), sum(map(time.clock_gettime, clocks)), shown.number if shown else 0
