"""From an upload to a response: decode, estimate and encode on a thread pool, with cached results."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import TypeAlias, cast

from stream.core.log import redact
from stream.errors import DepthStreamError, ImageError
from stream.frames import DepthMap, Image
from stream.web.depth_api.decoding import decode
from stream.web.depth_api.image_header import Header
from stream.web.depth_api.memory import LruCache
from stream.web.depth_api.options import RequestKey
from stream.web.depth_api.responses import DepthResult, EncodedDepth, Paint, encode_depth
from stream.web.http_errors import RequestError

Estimate: TypeAlias = Callable[[str, Image], DepthMap]
"""Depth of (H, W, 3) uint8 BGR by the network of that name; called by several threads at once."""

log = logging.getLogger(__name__)


class ImageWork:
    """Computes responses. Depth maps and responses are cached separately: other colours need no second inference."""

    def __init__(self, estimate: Estimate, paint: Paint, workers: int, cache_bytes: int) -> None:
        self._estimate, self._paint = estimate, paint
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="image")
        self._estimating: dict[tuple[str, str], asyncio.Future[DepthResult]] = {}
        """(digest, model) -> the estimation that is running."""
        self.cache = LruCache[DepthResult | EncodedDepth](cache_bytes)

    def close(self) -> None:
        """End the threads when they have finished their current images; cancel what still waits for a thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def cached(self, key: RequestKey) -> EncodedDepth | None:
        """The response to an equal request, if it is in the cache."""
        return cast("EncodedDepth | None", self.cache.get(key))

    async def compute(self, key: RequestKey, data: bytes, header: Header) -> EncodedDepth:
        """Raises RequestError for an image that cannot be decoded or a network that cannot be run."""
        options = key.options
        result = await self._depth(key.digest, options.model, data, header)
        encode = partial(encode_depth, result, options.output, options.colormap, self._paint)
        # Compressing a large PNG on the event loop would halt the live video of all viewers.
        encoded = await asyncio.get_running_loop().run_in_executor(self._pool, encode)
        self.cache.put(key, encoded, len(encoded.body))
        return encoded

    async def _depth(self, digest: str, model: str, data: bytes, header: Header) -> DepthResult:
        """The depth from the cache, from a running estimation of the same image, or from a new one."""
        key = (digest, model)
        cached = cast("DepthResult | None", self.cache.get(key))
        if cached is not None:
            return cached
        estimating = self._estimating.get(key)
        if estimating is None:
            estimating = asyncio.get_running_loop().run_in_executor(self._pool, self._run, model, data, header)
            self._estimating[key] = estimating
            estimating.add_done_callback(lambda _: self._estimating.pop(key))
        result = await asyncio.shield(estimating)  # another request may wait for the same estimation
        self.cache.put(key, result, result.nbytes)
        return result

    def _run(self, model: str, data: bytes, header: Header) -> DepthResult:
        """Decode and estimate, on a thread of the pool."""
        image = decode(data, header)
        start = perf_counter()
        try:
            depth_map = self._estimate(model, image)
        except ImageError as error:
            raise RequestError(400, str(error)) from error
        except DepthStreamError as error:
            # The message may name files of this machine, so only the log gets it.
            log.error("an image for %s got no depth: %s", model, redact(str(error)))
            raise RequestError(503, f'"{model}" cannot be run now: the log of the server says why') from error
        return DepthResult(depth_map, 1e3 * (perf_counter() - start))
