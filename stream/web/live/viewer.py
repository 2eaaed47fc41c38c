"""One browser at the WebSocket: newest images at the pace that it can follow, and answers to what it asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from time import monotonic_ns
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from stream.core.clock import NS_PER_S, NowNs
from stream.core.view_controls import COLORMAPS
from stream.errors import WireError
from stream.web.live.flow_control import Due, Watching
from stream.web.live.messages import (
    Choice,
    ClientMessage,
    Question,
    Seen,
    Watch,
    controls_now,
    frame_message,
    probe_message,
    read_message,
    to_json,
)
from stream.web.live.session import Live


class Allowance:
    """``burst`` things at once, ``per_s`` a second in the long run."""

    def __init__(self, per_s: float, burst: float, now_ns: NowNs = monotonic_ns) -> None:
        self._per_s, self._burst, self._now_ns = per_s, burst, now_ns
        self._left, self._at_ns = burst, now_ns()

    def take(self) -> bool:
        """False when it is used up."""
        now = self._now_ns()
        self._left = min(self._burst, self._left + (now - self._at_ns) / NS_PER_S * self._per_s)
        self._at_ns = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


MESSAGES_PER_S, MESSAGES_AT_ONCE = 200.0, 400.0
"""Besides acknowledgements of frames that are under way, which our own sending bounds."""
MOST_ANSWERS = 64
"""Answers that wait to be sent; the oldest gives way."""
GOING_AWAY, POLICY, TRY_LATER = 1001, 1008, 1013
"""Close codes, RFC 6455 and its registry."""


def viewer_routes(live: Live) -> list[WebSocketRoute]:
    """/ws."""

    async def look(websocket: WebSocket) -> None:
        await websocket.accept()
        if live.is_full:
            await websocket.close(TRY_LATER, "as many look as may")
            return
        with live.viewer() as news:
            await Viewer(websocket, live, news).run()

    return [WebSocketRoute("/ws", look)]


class Viewer:
    """One connection, from its first message to its last; ``news`` is set when there may be something to send."""

    def __init__(self, websocket: WebSocket, live: Live, news: asyncio.Event) -> None:
        self._websocket, self._live, self._news = websocket, live, news
        self._watching = Watching(live.sink)
        self._answers: deque[str] = deque(maxlen=MOST_ANSWERS)
        self._allowance = Allowance(MESSAGES_PER_S, MESSAGES_AT_ONCE)
        self._cameras: tuple[str, ...] | None = None
        self._controls: Mapping[str, str] = {}
        self._statistics = ""

    async def run(self) -> None:
        """Returns when either side has ended the connection."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send_news())
            await self._listen()
            sending.cancel()
        if self._websocket.client_state is WebSocketState.CONNECTED is self._websocket.application_state:
            await self._websocket.close(POLICY, f"more than {MESSAGES_PER_S:g} messages a second")

    async def _listen(self) -> None:
        """Do what the viewer says; returns when it is gone, or floods us. A mistake is only answered."""
        while (text := await self._next_text()) is not None:
            message = self._understood(text)
            if isinstance(message, Seen) and self._watching.acknowledge(message.camera, message.seq):
                self._news.set()
                continue
            if not self._allowance.take():
                return
            if message is not None:
                self._do(message)
            self._news.set()

    async def _next_text(self) -> str | None:
        """None at the end; a binary message reads as no text, which is a mistake like others."""
        message = await self._websocket.receive()
        return None if message["type"] == "websocket.disconnect" else message.get("text") or ""

    def _understood(self, text: str) -> ClientMessage | None:
        try:
            return read_message(text)
        except WireError as error:
            self._answer({"type": "error", "message": str(error)})
            return None

    def _do(self, message: ClientMessage) -> None:
        if isinstance(message, Watch):
            self._watching.watch(message.cameras)
        elif isinstance(message, Question):
            probe = self._watching.probe(message.camera, message.seq, message.x, message.y)
            self._answer(probe_message(message, probe))
        elif isinstance(message, Choice):
            self._choose(message)

    def _choose(self, choice: Choice) -> None:
        """For everybody: all viewers are told as soon as it is done."""
        if choice.colormap is not None and choice.colormap not in COLORMAPS:
            self._answer({"type": "error", "message": f"there is no such colour map: {', '.join(COLORMAPS)}"})
        elif choice.colormap is not None:
            self._live.controls.choose_colormap(choice.colormap)
        if choice.range is not None:
            self._live.controls.hold_range(self._ranges() if choice.range == "hold" else {})
        self._live.tell_all()

    def _ranges(self) -> dict[str, tuple[float, float]]:
        newest = {camera: self._live.sink.newest(camera) for camera in self._live.sink.cameras}
        return {camera: (shown.view.low, shown.view.high) for camera, shown in newest.items() if shown}

    def _answer(self, message: Mapping[str, Any]) -> None:
        self._answers.append(to_json(message))

    async def _send_news(self) -> None:
        """One thing at a time, so that a viewer that does not read has at most one of ours in its way."""
        with suppress(WebSocketDisconnect):
            while not self._live.is_closing:
                self._news.clear()
                while await self._send_one():
                    pass
                await self._news.wait()
            await self._websocket.close(GOING_AWAY, "the server ends")

    async def _send_one(self) -> bool:
        text = self._next_message()
        if text is not None:
            await self._websocket.send_text(text)
            return True
        due = self._watching.due()
        if due is None:
            return False
        data = await self._packed(due)
        del due  # a viewer that does not read must not keep an image from being freed
        await self._websocket.send_bytes(data)
        self._live.sink.count("frames_sent")
        self._live.sink.count("bytes_sent", len(data))
        return True

    async def _packed(self, due: Due) -> bytes:
        self._watching.sending(due.shown)
        jpegs = await self._live.jpegs(due.shown, due.images)
        return frame_message(due.shown.view, list(zip(due.images, jpegs, strict=True)))

    def _next_message(self) -> str | None:
        """What has changed since this viewer was told last; answers go in their order."""
        controls = controls_now(self._live.controls)
        if self._cameras != (cameras := self._live.sink.cameras):
            self._cameras, self._controls = cameras, controls
            takes = {"images": self._live.takes_images}
            about = {"cameras": cameras, "colormaps": COLORMAPS, "version": _version(), **takes}
            return to_json({"type": "hello", **about, **controls})
        if self._controls != controls:
            self._controls = controls
            return to_json({"type": "controls", **controls})
        if self._answers:
            return self._answers.popleft()
        if self._statistics is not (statistics := self._live.statistics()):
            self._statistics = statistics
            return statistics
        return None


@cache
def _version() -> str:
    return version("depthstream")
