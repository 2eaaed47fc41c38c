"""The image service: POST /api/depth takes an image and answers with its depth (docs/image_service.md)."""

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
from stream.web.depth_api.image_header import Header, check_claim, read_header
from stream.web.depth_api.jobs import Full, Job, SharedJobs
from stream.web.depth_api.options import Asked, read_options
from stream.web.depth_api.responses import Answer, Paint
from stream.web.depth_api.streaming import ImageResponse, while_connected
from stream.web.depth_api.upload import PATIENCE_S, UploadReader
from stream.web.depth_api.work import Estimate, ImageWork, Memory
from stream.web.http_errors import CLIENT_GONE, Refusal

MB = 1_000_000
LONGEST_RETRY_S = 60

Found: TypeAlias = Literal["hit", "miss", "shared"]
"""hit: the answer was kept; miss: it was made for this request; shared: another request was already waiting for it."""

_UNMADE = {429: "busy", CLIENT_GONE: "gone"}
"""How requests without an answer are counted; all others are refused."""


class ImageService:
    """Depth for images that people send, some at a time; a context manager, whose end is the end of its threads.

    ``estimate`` and ``paint`` are called by ``settings.image_workers`` threads at once; the first of ``models`` is
    the one that is asked when a request names none. What is in memory is bounded: the cache by ``cache_mb``, uploads by
    as many of the largest size as may run and wait, answers that are being read by the cache's size (or one answer).
    ``patience_s``: how long a sender may take in any case (see ``Body``).
    """

    def __init__(
        self,
        estimate: Estimate,
        models: Sequence[str],
        settings: WebSettings,
        *,
        paint: Paint,
        patience_s: float = PATIENCE_S,
    ) -> None:
        assert models, "a service without a network answers nobody"
        self._models, self._settings = tuple(models), settings
        cache_bytes, upload_bytes = int(settings.cache_mb * MB), int(settings.max_upload_mb * MB)
        self._work = ImageWork(estimate, paint, settings.image_workers, cache_bytes)
        self._jobs = SharedJobs[Answer](settings.image_workers, settings.image_queue)
        self._reader = UploadReader(upload_bytes, patience_s)
        self._uploads = Memory((settings.image_workers + settings.image_queue) * upload_bytes)
        self._answers = Memory(cache_bytes)
        self._counts: Counter[str] = Counter()
        self._last_s = 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, when what they are doing is done; may be called again."""
        self._work.close()

    def routes(self) -> list[Route]:
        """POST, and for who only looks a word of how to."""
        return [Route("/api/depth", self._post, methods=["POST"]), Route("/api/depth", _say_how)]

    def counts(self) -> Mapping[str, float]:
        """For tables and metrics: what became of all requests so far, and what is going on now."""
        done = {name: float(self._counts[name]) for name in ("hit", "miss", "shared", "busy", "gone", "refused")}
        now = {"running": self._jobs.running, "waiting": self._jobs.waiting, "askers": self._jobs.askers}
        held = {"uploads MB": self._uploads.held / MB, "answers MB": self._answers.held / MB}
        return done | now | held | {"kept": len(self._work.cache), "kept MB": self._work.cache.size / MB}

    async def _post(self, request: Request) -> Response:
        try:
            found, asked, answer = await self._answer(request)
            sending = self._answers.hold()
            sending.grow(len(answer.body))
        except Refusal as refusal:
            self._counts[_UNMADE.get(refusal.status, "refused")] += 1
            return refusal.response()
        self._counts[found] += 1
        headers = {**answer.headers, "X-Cache": found, "ETag": asked.tag, "Cache-Control": "no-store"}
        return ImageResponse(answer.body, answer.media_type, headers, sending)

    async def _answer(self, request: Request) -> tuple[Found, Asked, Answer]:
        given = dict(request.query_params)
        read_options(given, self._models)  # a mistake in the address is told before anything is read
        with self._uploads.hold() as hold:
            upload = await self._reader.read(request, hold)
            asked = Asked(await upload.digest(), read_options(given | upload.fields, self._models))
            kept = self._work.kept(asked)
            if kept is not None:
                return "hit", asked, kept
            job = self._jobs.find(asked)
            if job is None:
                with self._jobs.asking(asked, self._start(asked, upload.data)) as made:
                    return "miss", asked, await while_connected(request, made)
        del upload  # the job has the other one's
        with self._jobs.asking(asked, job) as made:
            return "shared", asked, await while_connected(request, made)

    def _start(self, asked: Asked, data: bytes) -> Job[Answer]:
        """Raises Refusal: for an image that is none or too large, and 429 when too many wait."""
        header = read_header(data)
        check_claim(header, int(self._settings.max_megapixels * 1e6))
        try:
            return self._jobs.start(asked, lambda: self._timed(asked, data, header))
        except Full:
            words = f"{self._jobs.running} images are worked on and {self._jobs.waiting} wait: come back a little later"
            raise Refusal(429, words, self._retry_s()) from None

    async def _timed(self, asked: Asked, data: bytes, header: Header) -> Answer:
        start = monotonic()
        answer = await self._work.answer(asked, data, header)
        self._last_s = monotonic() - start
        return answer

    def _retry_s(self) -> int:
        """When there will be a place, if those who wait take as long as the last one did."""
        waiting = self._jobs.waiting + 1
        return max(1, min(LONGEST_RETRY_S, math.ceil(waiting * self._last_s / self._settings.image_workers)))


async def _say_how(request: Request) -> Response:
    """For a person who opens the address."""
    words = "POST an image: curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' .../api/depth -o depth.png"
    refusal = Refusal(405, words).response()
    refusal.headers["Allow"] = "POST"
    return refusal
