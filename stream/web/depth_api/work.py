"""From an upload to an answer: decode, estimate, encode, in threads of its own; what was made is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import TypeAlias, cast

from stream.core.log import redact
from stream.errors import DepthStreamError, PictureError
from stream.frames import DepthMap, Image
from stream.web.depth_api.decoding import decode
from stream.web.depth_api.image_header import Header
from stream.web.depth_api.options import Asked
from stream.web.depth_api.responses import Answer, Depth, Paint, answer_with
from stream.web.http_errors import Refusal
from stream.web.picture_cache import PictureCache

log = logging.getLogger(__name__)

Estimate: TypeAlias = Callable[[str, Image], DepthMap]
"""The depth of (H, W, 3) uint8 BGR by the network of that name; called by several threads at once."""


class PictureWork:
    """Depth and answers are kept side by side: other colours of the same picture need no network."""

    def __init__(self, estimate: Estimate, paint: Paint, workers: int, cache_bytes: int) -> None:
        self._estimate, self._paint = estimate, paint
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="picture")
        self._depths: dict[tuple[str, str], asyncio.Future[Depth]] = {}
        self.cache = PictureCache[Depth | Answer](cache_bytes)

    def close(self) -> None:
        """End the threads after what they are doing; what waits for them is cancelled."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def kept(self, asked: Asked) -> Answer | None:
        """The same answer, if it was given before and is still kept."""
        return cast("Answer | None", self.cache.get(asked))

    async def answer(self, asked: Asked, data: bytes, header: Header) -> Answer:
        """Raises Refusal, for a picture that cannot be used or a network that cannot run."""
        options = asked.options
        depth = await self._depth(asked.digest, options.model, data, header)
        encode = partial(answer_with, depth, options.output, options.colormap, self._paint)
        answer = await asyncio.get_running_loop().run_in_executor(self._pool, encode)
        self.cache.put(asked, answer, len(answer.body))
        return answer

    async def _depth(self, digest: str, model: str, data: bytes, header: Header) -> Depth:
        """Kept, or on its way for another answer about the same picture, or made now."""
        key = (digest, model)
        kept = cast("Depth | None", self.cache.get(key))
        if kept is not None:
            return kept
        made = self._depths.get(key)
        if made is None:
            made = asyncio.get_running_loop().run_in_executor(self._pool, self._make, model, data, header)
            self._depths[key] = made
            made.add_done_callback(lambda _: self._depths.pop(key))
        depth = await asyncio.shield(made)
        self.cache.put(key, depth, depth.nbytes)
        return depth

    def _make(self, model: str, data: bytes, header: Header) -> Depth:
        """On a thread of the pool."""
        image = decode(data, header)
        start = perf_counter()
        try:
            depth_map = self._estimate(model, image)
        except PictureError as error:
            raise Refusal(400, str(error)) from error
        except DepthStreamError as error:  # its words may name files
            log.error("a picture for %s got no depth: %s", model, redact(str(error)))
            raise Refusal(503, f'"{model}" cannot be run now: the log of the server says why') from error
        return Depth(depth_map, 1e3 * (perf_counter() - start))
