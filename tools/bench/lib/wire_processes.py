"""Processes of tools/bench/wire.py: publishers and readers. Each is a function that runs until it receives "end"."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from time import monotonic, monotonic_ns, time_ns
from typing import Any

import numpy as np

from pipelines.benchmark.memory import resident_mib
from stream.core.clock import Pacer, Stamp
from stream.frames import DepthMap, Frame, Size
from stream.settings import PublishSettings

SIZE = Size(480, 640)
STREAM = "cam"
HIGH_WATER_MARK = 2


def depth_maps(fps: float | None) -> Iterator[DepthMap]:
    """Endless 640x480 metric float32 depth maps, at ``fps`` or, with None, as fast as they are consumed."""
    rng = np.random.default_rng(0)
    depths = [rng.uniform(0.3, 10.0, SIZE).astype(np.float32) for _ in range(4)]
    image = np.zeros((*SIZE, 3), np.uint8)
    pacer, seq = Pacer(threading.Event()), 0
    while True:
        if fps:
            pacer.wait_until(seq / fps)
        yield DepthMap(depths[seq % 4], "metric", Frame(image, STREAM, seq, Stamp.now()), "bench")
        seq += 1


def publish(pipe: Connection, endpoint: str, fps: float | None) -> None:
    """Run our publisher; replies to any message with the resident memory of this process in MiB."""
    from stream.publisher.publisher import Publisher

    settings = PublishSettings(endpoints=(endpoint,), high_water_mark=HIGH_WATER_MARK)
    with Publisher(settings) as publisher:
        pipe.send("ready")
        for depth_map in depth_maps(fps):
            publisher.send_depth(depth_map)
            if pipe.poll():
                if pipe.recv() == "end":
                    return
                pipe.send(resident_mib())


def publish_raw(pipe: Connection, endpoint: str, copy: bool) -> None:
    """The simplest publisher with pyzmq: the same bytes over the same kind of socket, without checks or a pool."""
    import zmq

    message = np.zeros(256 + 4 * SIZE.height * SIZE.width, np.uint8)  # 256: as long as our header
    message[:64] = np.frombuffer(f"depth/{STREAM}".encode().ljust(64, b"\0"), np.uint8)
    payload = message[256:].view(np.float32).reshape(SIZE)
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.set(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.linger = 0
        socket.bind(endpoint)
        pipe.send("ready")
        for depth_map in depth_maps(None):
            np.copyto(payload, depth_map.depth)
            socket.get(zmq.EVENTS)  # makes ZeroMQ process what readers have taken, which makes this loop faster, too
            socket.send(message, copy=copy)  # type: ignore[call-overload]
            if pipe.poll():
                return


def publish_imagezmq(pipe: Connection, endpoint: str) -> None:
    """imagezmq's sender in its default mode, where the receiver replies to every image."""
    import imagezmq

    sender = imagezmq.ImageSender(connect_to=endpoint)
    pipe.send("ready")
    for depth_map in depth_maps(None):
        sender.send_image(STREAM, depth_map.depth)
        if pipe.poll():
            return


def count_ours(pipe: Connection, endpoint: str, seconds: float) -> None:
    """Send the frames per second of our client, which parses and checks every message and skips none on purpose."""
    from stream.client.subscriber import Subscriber

    with Subscriber(endpoint, STREAM, latest=False) as subscriber:
        subscriber.read(10.0)
        count, end = 0, monotonic() + seconds
        while monotonic() < end:
            assert subscriber.read(5.0).array().shape == SIZE
            count += 1
    pipe.send(count / seconds)


def count_raw(pipe: Connection, endpoint: str, seconds: float) -> None:
    """Send the frames per second of a bare SUB socket; the array is a view of the message."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, HIGH_WATER_MARK)
        socket.subscribe(f"depth/{STREAM}\0".encode())
        socket.connect(endpoint)
        socket.recv()  # the clock starts when the connection is there
        count, end = 0, monotonic() + seconds
        while monotonic() < end:
            message = socket.recv(copy=False)
            assert np.frombuffer(message.buffer, np.float32, offset=256).reshape(SIZE).shape == SIZE
            count += 1
    pipe.send(count / seconds)


def count_imagezmq(pipe: Connection, endpoint: str, seconds: float) -> None:
    """Send the frames per second of imagezmq's hub."""
    import imagezmq

    hub = imagezmq.ImageHub(open_port=endpoint)
    pipe.send("ready")
    count, end = 0, float("inf")
    while monotonic() < end:
        _, depth = hub.recv_image()
        hub.send_reply(b"OK")
        assert depth.shape == SIZE
        if count == 0 and end == float("inf"):  # the first image starts the clock and is not counted
            end, count = monotonic() + seconds, -1
        count += 1
    pipe.send(count / seconds)


def read_ages(pipe: Connection, endpoint: str, every_s: float | None, max_age_ms: float) -> None:
    """Record the age of frames when they are read, one every ``every_s`` seconds or, with None, each of them.

    Replies to any message with the samples since the last message.
    """
    from stream.client.subscriber import Subscriber
    from stream.errors import StaleFrame

    pacer, number = Pacer(threading.Event(), slack_s=0.0), 0
    samples: list[tuple[float, float, int]] = []
    """Monotonic seconds, age in ms (NaN: no fresh frame), server id."""
    with Subscriber(endpoint, STREAM) as subscriber:
        pipe.send("ready")
        while True:
            if every_s:
                pacer.wait_until(number * every_s)
                number += 1
            try:
                message: Any = subscriber.read_latest(max_age_ms) if every_s else subscriber.read(0.2)
                age_ms = (time_ns() - message.header.capture_ns) / 1e6
                samples.append((monotonic_ns() / 1e9, age_ms, message.header.server_id))
            except StaleFrame:
                samples.append((monotonic_ns() / 1e9, float("nan"), 0))
            if pipe.poll():
                if pipe.recv() == "end":
                    return
                pipe.send(samples)
                samples = []
