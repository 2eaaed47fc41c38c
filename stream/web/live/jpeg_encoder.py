"""JPEGs of what is shown: each image is encoded once, on threads of its own, however many viewers want it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Self

from stream.errors import SinkError
from stream.frames import Image
from stream.web.live.hub import ImageName, Shown, WebSink

THREADS = 2


class Encoder:
    """Two threads between ``__enter__`` and ``__exit__``, for one event loop; what they do is counted in the sink."""

    def __init__(self, sink: WebSink, quality: int) -> None:
        self._sink, self._quality = sink, quality
        self._pool = ThreadPoolExecutor(THREADS, "web-encode")
        self._under_way: dict[tuple[str, int, ImageName], asyncio.Future[None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Waits for the image that is being encoded: some milliseconds."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def jpegs(self, shown: Shown, names: Sequence[ImageName]) -> list[bytes]:
        """The camera's image, or its depth in colours; a viewer that leaves meanwhile disturbs no other."""
        for encoding in [self._encoding(shown, name) for name in names if name not in shown.jpegs]:
            await asyncio.shield(encoding)
        return [shown.jpegs[name] for name in names]

    def _encoding(self, shown: Shown, name: ImageName) -> asyncio.Future[None]:
        """On the loop's thread, so that nobody else begins the same."""
        key = (shown.view.depth_map.frame.camera, shown.number, name)
        if key not in self._under_way:
            loop = asyncio.get_running_loop()
            self._under_way[key] = loop.run_in_executor(self._pool, self._encode, shown, name)
            self._under_way[key].add_done_callback(lambda _: self._under_way.pop(key))
        return self._under_way[key]

    def _encode(self, shown: Shown, name: ImageName) -> None:
        start = perf_counter()
        image = shown.view.image if name == "depth" else shown.view.depth_map.frame.image
        shown.jpegs[name] = encode_jpeg(image, self._quality)
        self._sink.count("encodes")
        self._sink.count("encode_seconds", perf_counter() - start)


def encode_jpeg(image: Image, quality: int) -> bytes:
    """(H, W, 3) uint8 BGR -> JPEG; ``quality`` 1..100. Raises SinkError for an image that is no JPEG's (65535 px)."""
    import cv2

    try:
        is_done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise SinkError(f"cannot encode an image {image.shape} as JPEG: {error}") from error
    if not is_done:
        raise SinkError(f"cannot encode an image {image.shape} as JPEG: its sides must be 1 to 65535 px")
    return bytes(data.tobytes())
