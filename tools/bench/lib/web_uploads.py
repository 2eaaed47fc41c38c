"""The sending side of tools/bench/web.py: a client of the image service, images to send, a look at its memory."""

from __future__ import annotations

import http.client
import threading
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

from stream.frames import Size
from tools.bench.lib.memory import resident_mb


class Client:
    """One connection to the image service."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)

    def post(self, jpeg: bytes) -> tuple[int, str]:
        """Status, and whether the answer was kept from before."""
        self._connection.request("POST", "/api/depth?output=color", jpeg, {"Content-Type": "image/jpeg"})
        answered = self._connection.getresponse()
        answered.read()
        return answered.status, answered.headers.get("X-Cache", "")

    def timed(self, jpeg: bytes, cache: str) -> float:
        start = perf_counter()
        answered = self.post(jpeg)
        taken = perf_counter() - start
        assert answered == (200, cache), answered
        return taken


class Peak:
    """Inside, the resident memory of a process (Linux), megabytes, every 20 ms."""

    def __init__(self, pid: int) -> None:
        self._pid, self._done, self._seen = pid, threading.Event(), [0.0]
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._seen

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self._seen.append(resident_mb(self._pid))


def new_jpeg(number: int, size: Size) -> bytes:
    """An image like no other: soft shapes and a little noise, by its number."""
    import cv2

    rng = np.random.default_rng(number)
    soft = cv2.resize(
        rng.integers(0, 256, (9, 12, 3), np.uint8), (size.width, size.height), interpolation=cv2.INTER_CUBIC
    )
    noisy = cv2.add(soft, rng.integers(0, 8, soft.shape, np.uint8))
    return bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
