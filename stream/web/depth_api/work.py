"""From an upload to an answer: decode, estimate, encode, in threads of its own; what was made is kept."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeAlias, TypeVar, cast

from stream.core.log import redact
from stream.errors import DepthStreamError, ImageError
from stream.frames import DepthMap, Image
from stream.web.depth_api.decoding import decode
from stream.web.depth_api.image_header import Header
from stream.web.depth_api.options import Asked
from stream.web.depth_api.responses import Answer, Depth, Paint, answer_with
from stream.web.http_errors import Refusal

T = TypeVar("T")


class _Kept(NamedTuple, Generic[T]):
    value: T
    size: int


class ImageCache(Generic[T]):
    """Least recently used first out; ``limit`` bytes in all, 0 keeps nothing. For any number of threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes kept, as their givers counted them."""
        return self._size

    def get(self, key: Hashable) -> T | None:
        """What is kept under ``key``, which is the newest from now on."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept.value

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Keep ``value``, of ``size`` bytes, and forget others for it; one larger than all room is not kept."""
        with self._lock:
            self._forget(key)
            if size > self._limit:
                return
            self._kept[key] = _Kept(value, size)
            self._size += size
            while self._size > self._limit:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: Hashable) -> None:
        old = self._kept.pop(key, None)
        self._size -= old.size if old else 0


RETRY_S = 2
"""When to come back: what is held is uploads and answers on their way, a matter of seconds."""


class Memory:
    """``limit`` bytes for everybody; who is alone gets what he asks for. For one thread, the event loop's."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0

    def hold(self) -> Hold:
        """Nothing yet; what it grows to is free again when it is left."""
        return Hold(self)


class Hold:
    """One request's share."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self.held = memory, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def grow(self, size: int) -> None:
        """Hold ``size`` bytes more. Raises Refusal 429 when others hold too much."""
        memory = self._memory
        if memory.held > self.held and memory.held + size > memory.limit:
            raise Refusal(429, "too many images are on their way at once: come back a little later", RETRY_S)
        self.held += size
        memory.held += size

    def release(self) -> None:
        """Let go of all; may be called again."""
        self._memory.held -= self.held
        self.held = 0


log = logging.getLogger(__name__)

Estimate: TypeAlias = Callable[[str, Image], DepthMap]
"""The depth of (H, W, 3) uint8 BGR by the network of that name; called by several threads at once."""


class ImageWork:
    """Depth and answers are kept side by side: other colours of the same image need no network."""

    def __init__(self, estimate: Estimate, paint: Paint, workers: int, cache_bytes: int) -> None:
        self._estimate, self._paint = estimate, paint
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="image")
        self._depths: dict[tuple[str, str], asyncio.Future[Depth]] = {}
        self.cache = ImageCache[Depth | Answer](cache_bytes)

    def close(self) -> None:
        """End the threads after what they are doing; what waits for them is cancelled."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def kept(self, asked: Asked) -> Answer | None:
        """The same answer, if it was given before and is still kept."""
        return cast("Answer | None", self.cache.get(asked))

    async def answer(self, asked: Asked, data: bytes, header: Header) -> Answer:
        """Raises Refusal, for an image that cannot be used or a network that cannot run."""
        options = asked.options
        depth = await self._depth(asked.digest, options.model, data, header)
        encode = partial(answer_with, depth, options.output, options.colormap, self._paint)
        answer = await asyncio.get_running_loop().run_in_executor(self._pool, encode)
        self.cache.put(asked, answer, len(answer.body))
        return answer

    async def _depth(self, digest: str, model: str, data: bytes, header: Header) -> Depth:
        """Kept, or on its way for another answer about the same image, or made now."""
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
        except ImageError as error:
            raise Refusal(400, str(error)) from error
        except DepthStreamError as error:  # its words may name files
            log.error("an image for %s got no depth: %s", model, redact(str(error)))
            raise Refusal(503, f'"{model}" cannot be run now: the log of the server says why') from error
        return Depth(depth_map, 1e3 * (perf_counter() - start))
