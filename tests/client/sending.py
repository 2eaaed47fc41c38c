"""A plain PUB socket that sends real messages; most tests do not need a publisher.

As a program: ``python sending.py PORT SERVER_ID FPS`` sends depth/front until it is killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import zmq

from stream.core.clock import NS_PER_S, Stamp
from stream.frames import DepthMap, Floats, Frame, Intrinsics, Kind, Size
from stream.wire.codes import Compression, Encoding
from stream.wire.json_topics import pack_json
from stream.wire.message import Sender, largest_message, pack_depth

SIZE = Size(6, 8)
OPTICS = Intrinsics(10.0, 12.0, 3.5, 2.5, SIZE)


def depth_map(
    seq: int = 0,
    *,
    stream: str = "front",
    depth: Floats | None = None,
    kind: Kind = "metric",
    intrinsics: Intrinsics | None = OPTICS,
    stamp: Stamp | None = None,
) -> DepthMap:
    """8x6 pixels of ``seq`` + 1, or ``depth``."""
    depth = np.full(SIZE, seq + 1, np.float32) if depth is None else depth
    image = np.zeros((*depth.shape, 3), np.uint8)
    return DepthMap(depth, kind, Frame(image, stream, seq, stamp or Stamp.now(), intrinsics), "tiny")


def packed(
    made: DepthMap,
    *,
    age_s: float = 0.0,
    server_id: int = 7,
    encoding: Encoding = Encoding.F32,
    compression: Compression = Compression.RAW,
) -> bytes:
    """A whole message, ``age_s`` old when it was published, which is ``age_s`` after its capture time."""
    sender = Sender(server_id, encoding, compression)
    buffer = bytearray(largest_message(made.size, sender))
    publish_ns = made.frame.stamp.unix_ns + round(age_s * NS_PER_S)
    return bytes(buffer[: pack_depth(made, sender, publish_ns, memoryview(buffer))])


class Sending:
    """Bound from its construction to the end of ``with``."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*", *, server_id: int = 7) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.sndhwm = 100
        self.socket.ipv6 = "[" in endpoint
        self.socket.xpub_verboser = True
        self.socket.bind(endpoint)
        self.endpoint: str = self.socket.last_endpoint.decode()
        self.server_id = server_id

    def wait_for(self, *topics: str, seconds: float = 10.0) -> None:
        """Wait until each of the topics has a subscriber."""
        missing = {topic.encode() + b"\0" for topic in topics}
        end = time.monotonic() + seconds
        while missing:
            assert self.socket.poll(max(0.0, end - time.monotonic()) * 1000), f"nobody subscribed to {missing}"
            request = self.socket.recv()
            if request[:1] == b"\1":
                missing.discard(request[1:])

    def wait_for_end(self, topic: str, seconds: float = 10.0) -> None:
        """Until a subscription to it ends."""
        end = time.monotonic() + seconds
        while True:
            assert self.socket.poll(max(0.0, end - time.monotonic()) * 1000), f"somebody still reads {topic}"
            if self.socket.recv() == b"\0" + topic.encode() + b"\0":
                return

    def send(self, seq: int, *, stream: str = "front", age_s: float = 0.0, **how: Any) -> None:
        """A depth map, captured now less ``age_s``."""
        now = Stamp.now()
        stamp = Stamp(now.mono_ns, now.unix_ns - round(age_s * NS_PER_S))
        made = depth_map(seq, stream=stream, stamp=stamp, **how)
        self.send_raw(packed(made, age_s=age_s, server_id=self.server_id))

    def send_raw(self, message: bytes) -> None:
        self.socket.send(message)

    def tell(self, topic: str, data: Mapping[str, Any]) -> None:
        """On info/<stream> or status/<stream>."""
        self.socket.send(pack_json(topic, data))

    def close(self) -> None:
        self._context.destroy(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def main(port: str, server_id: str, fps: str) -> None:
    with Sending(f"tcp://127.0.0.1:{port}", server_id=int(server_id)) as sending:
        seq = 0
        while True:
            sending.send(seq)
            seq += 1
            time.sleep(1 / float(fps))


if __name__ == "__main__":
    main(*sys.argv[1:])
