"""The image service: POST /api/depth takes an image and responds with its depth (docs/reference/image-service.md)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Literal, Self, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stream.settings import WebSettings
from stream.web.depth_api.image_header import Header, check_size, read_header
from stream.web.depth_api.jobs import Job, QueueFull, SharedJobs
from stream.web.depth_api.memory import MemoryBudget
from stream.web.depth_api.options import RequestKey, parse_options
from stream.web.depth_api.responses import EncodedDepth, Paint
from stream.web.depth_api.streaming import ImageResponse, while_connected
from stream.web.depth_api.upload import GRACE_S, UploadReader
from stream.web.depth_api.work import Estimate, ImageWork
from stream.web.http_errors import CLIENT_CLOSED_REQUEST, RequestError

MB = 1_000_000
MAX_RETRY_S = 60

CacheStatus: TypeAlias = Literal["hit", "miss", "shared"]
"""hit: from the cache; miss: computed for this request; shared: computed for another request that already waited."""
_ERROR_RESULTS = {429: "busy", CLIENT_CLOSED_REQUEST: "disconnected"}
"""Status -> the counter of requests that ended with it; all other errors count as "refused"."""


class ImageService:
    """Depth for uploaded images, a limited number at a time; a context manager that ends its threads.

    ``estimate`` and ``paint`` are called by ``settings.image_workers`` threads at once. A request that names no network
    uses the first of ``models``. Memory is bounded: the cache by ``cache_mb``, uploads by the largest size times the
    number of images that may run and wait, responses in transit by the cache's size (or one response). ``grace_s`` is
    the time that even a slow sender has (see ``UploadBody``).
    """

    def __init__(
        self,
        estimate: Estimate,
        models: Sequence[str],
        settings: WebSettings,
        *,
        paint: Paint,
        grace_s: float = GRACE_S,
    ) -> None:
        assert models, "the image service needs at least one network"
        self._models, self._settings = tuple(models), settings
        cache_bytes, upload_bytes = int(settings.cache_mb * MB), int(settings.max_upload_mb * MB)
        self._work = ImageWork(estimate, paint, settings.image_workers, cache_bytes)
        self._jobs = SharedJobs[EncodedDepth](settings.image_workers, settings.image_queue)
        self._reader = UploadReader(upload_bytes, grace_s)
        # Uploads are bounded in all, not one by one: a slow sender then keeps no other client out.
        self._uploads = MemoryBudget((settings.image_workers + settings.image_queue) * upload_bytes)
        self._responses = MemoryBudget(cache_bytes)
        self._counts: Counter[str] = Counter()
        self._last_s = 1.0
        """Duration of the last job, seconds; the estimate for Retry-After."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads when they have finished their current images; may be called again."""
        self._work.close()

    def routes(self) -> list[Route]:
        """POST, and a usage line for every other method."""
        return [Route("/api/depth", self._post, methods=["POST"]), Route("/api/depth", _usage)]

    def counts(self) -> Mapping[str, float]:
        """For tables and metrics: requests by result since the start, and what is running and in memory now."""
        results = ("hit", "miss", "shared", "busy", "disconnected", "refused")
        done = {name: float(self._counts[name]) for name in results}
        jobs = {
            "running": self._jobs.running,
            "waiting": self._jobs.waiting,
            "pending_requests": self._jobs.pending_requests,
        }
        in_transit = {"uploads_mb": self._uploads.used / MB, "responses_mb": self._responses.used / MB}
        return done | jobs | in_transit | {"cached": len(self._work.cache), "cached_mb": self._work.cache.size / MB}

    async def _post(self, request: Request) -> Response:
        try:
            status, key, encoded = await self._respond(request)
            reservation = self._responses.reserve()
            reservation.grow(len(encoded.body))
        except RequestError as error:
            self._counts[_ERROR_RESULTS.get(error.status, "refused")] += 1
            return error.response()
        self._counts[status] += 1
        headers = {**encoded.headers, "X-Cache": status, "ETag": key.etag, "Cache-Control": "no-store"}
        return ImageResponse(encoded.body, encoded.media_type, headers, reservation)

    async def _respond(self, request: Request) -> tuple[CacheStatus, RequestKey, EncodedDepth]:
        query = dict(request.query_params)
        parse_options(query, self._models)  # reject a mistake in the address before any of the body is read
        with self._uploads.reserve() as reservation:
            upload = await self._reader.read(request, reservation)
            key = RequestKey(await upload.digest(), parse_options(query | upload.fields, self._models))
            cached = self._work.cached(key)
            if cached is not None:
                return "hit", key, cached
            job = self._jobs.find(key)
            if job is None:
                # Inside of the reservation: the job holds the upload in memory for as long as it waits and runs.
                with self._jobs.joined(key, self._start(key, upload.data)) as result:
                    return "miss", key, await while_connected(request, result)
        del upload  # the job keeps the equal upload that it was started with: do not hold a second copy
        with self._jobs.joined(key, job) as result:
            return "shared", key, await while_connected(request, result)

    def _start(self, key: RequestKey, data: bytes) -> Job[EncodedDepth]:
        """Raises RequestError for an unsupported or too large image, and 429 when too many wait."""
        header = read_header(data)
        check_size(header, int(self._settings.max_megapixels * 1e6))
        try:
            return self._jobs.start(key, lambda: self._timed_work(key, data, header))
        except QueueFull:
            message = (
                f"{self._jobs.running} images are worked on and {self._jobs.waiting} wait: come back a little later"
            )
            raise RequestError(429, message, self._retry_s()) from None

    async def _timed_work(self, key: RequestKey, data: bytes, header: Header) -> EncodedDepth:
        start = monotonic()
        encoded = await self._work.compute(key, data, header)
        self._last_s = monotonic() - start
        return encoded

    def _retry_s(self) -> int:
        """Seconds until a place is free, if the waiting images take as long as the last one did."""
        waiting = self._jobs.waiting + 1
        return max(1, min(MAX_RETRY_S, math.ceil(waiting * self._last_s / self._settings.image_workers)))


async def _usage(request: Request) -> Response:
    """For a person who opens the address in a browser."""
    message = "POST an image: curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' .../api/depth -o depth.png"
    response = RequestError(405, message).response()
    response.headers["Allow"] = "POST"
    return response
