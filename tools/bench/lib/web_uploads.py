"""The client side of tools/bench/web.py: upload images to the image service and watch its memory."""

from __future__ import annotations

import http.client
import threading
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

from pipelines.benchmark.memory import resident_mib
from stream.frames import Size


class Client:
    """One connection to the image service."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)

    def post(self, jpeg: bytes) -> tuple[int, str]:
        """Upload an image; returns the HTTP status and the ``X-Cache`` header ("hit", "miss" or "shared")."""
        self._connection.request("POST", "/api/depth?output=color", jpeg, {"Content-Type": "image/jpeg"})
        response = self._connection.getresponse()
        response.read()
        return response.status, response.headers.get("X-Cache", "")

    def timed_s(self, jpeg: bytes, cache: str) -> float:
        """Seconds that an upload takes, which must succeed with this ``X-Cache``."""
        start = perf_counter()
        response = self.post(jpeg)
        seconds = perf_counter() - start
        assert response == (200, cache), response
        return seconds


class MemorySamples:
    """Within ``with``, a list that gets the resident memory of a process in MiB every 20 ms (Linux)."""

    def __init__(self, pid: int) -> None:
        self._pid, self._done, self._samples = pid, threading.Event(), [0.0]  # never empty: it has a maximum
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._samples

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self._samples.append(resident_mib(self._pid))


def new_jpeg(number: int, size: Size) -> bytes:
    """A JPEG that differs for every ``number``: soft shapes with a little noise."""
    import cv2

    rng = np.random.default_rng(number)
    soft = cv2.resize(
        rng.integers(0, 256, (9, 12, 3), np.uint8), (size.width, size.height), interpolation=cv2.INTER_CUBIC
    )
    noisy = cv2.add(soft, rng.integers(0, 8, soft.shape, np.uint8))
    return bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
