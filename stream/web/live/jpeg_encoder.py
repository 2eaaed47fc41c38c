"""JPEG encoding of views: each image is encoded once, on threads of its own, however many viewers want it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Self

from stream.errors import SinkError
from stream.frames import Image
from stream.web.live.hub import ImageName, SharedView, WebSink

THREADS = 2


class JpegEncoder:
    """Encodes for one event loop on two threads, inside ``with``; counts its work in the sink."""

    def __init__(self, sink: WebSink, quality: int) -> None:
        self._sink, self._quality = sink, quality
        self._pool = ThreadPoolExecutor(THREADS, "web-encode")
        self._in_progress: dict[tuple[str, int, ImageName], asyncio.Future[None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Waits for the image that is being encoded: some milliseconds."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def jpegs(self, shared: SharedView, names: Sequence[ImageName]) -> list[bytes]:
        """JPEGs of the camera's image ("image") or of its colourised depth ("depth"), in the order of ``names``."""
        # The list starts all encodings before the first is awaited, so that two threads share an image and its depth.
        for encoding in [self._encoding(shared, name) for name in names if name not in shared.jpegs]:
            await asyncio.shield(encoding)  # a viewer that leaves must not cancel what others wait for
        return [shared.jpegs[name] for name in names]

    def _encoding(self, shared: SharedView, name: ImageName) -> asyncio.Future[None]:
        """The running encoding of this image, or a new one. Runs on the loop's thread only, so none starts twice."""
        key = (shared.view.depth_map.frame.camera, shared.number, name)
        if key not in self._in_progress:
            loop = asyncio.get_running_loop()
            self._in_progress[key] = loop.run_in_executor(self._pool, self._encode, shared, name)
            self._in_progress[key].add_done_callback(lambda _: self._in_progress.pop(key))
        return self._in_progress[key]

    def _encode(self, shared: SharedView, name: ImageName) -> None:
        start = perf_counter()
        image = shared.view.image if name == "depth" else shared.view.depth_map.frame.image
        shared.jpegs[name] = encode_jpeg(image, self._quality)
        self._sink.count("encodes")
        self._sink.count("encode_seconds", perf_counter() - start)


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Encode (H, W, 3) uint8 BGR; ``quality`` is 1..100.

    Raises SinkError for an image that JPEG cannot hold (sides above 65535 px).
    """
    import cv2

    try:
        is_done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise SinkError(f"cannot encode an image {image.shape} as JPEG: {error}") from error
    if not is_done:
        raise SinkError(f"cannot encode an image {image.shape} as JPEG: its sides must be 1 to 65535 px")
    return bytes(data.tobytes())
