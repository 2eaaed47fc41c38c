"""A bound on the bytes that all requests together may hold, so that many of them cannot fill the memory."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from stream.web.http_errors import Refusal

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
            raise Refusal(429, "too many pictures are on their way at once: come back a little later", RETRY_S)
        self.held += size
        memory.held += size

    def release(self) -> None:
        """Let go of all; may be called again."""
        self._memory.held -= self.held
        self.held = 0
