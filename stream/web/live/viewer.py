"""One browser at the WebSocket: the newest images at the pace that it can follow, and replies to its requests."""

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
from stream.web.live.flow_control import FlowControl, NextFrame
from stream.web.live.messages import (
    Acknowledgement,
    ClientMessage,
    ControlsRequest,
    ProbeRequest,
    Watch,
    controls_fields,
    frame_message,
    parse_message,
    probe_reply,
    to_json,
)
from stream.web.live.session import VIEWER_LIMIT_REACHED, LiveSession

MESSAGES_PER_S, MESSAGES_AT_ONCE = 200.0, 400.0
"""Limits for a viewer's messages. Acknowledgements of frames in flight do not count: our own sending bounds them."""
MAX_PENDING_REPLIES = 64
"""Replies waiting to be sent; when there are more, the oldest is dropped."""
GOING_AWAY, POLICY_VIOLATION, TRY_AGAIN_LATER = 1001, 1008, 1013
"""Close codes (RFC 6455, 7.4.1, and its registry)."""


def viewer_routes(live: LiveSession) -> list[WebSocketRoute]:
    """The WebSocket at /ws."""

    async def connect(websocket: WebSocket) -> None:
        # A close before the handshake ends in a plain 403, which shows a browser neither code nor reason.
        await websocket.accept()
        if live.is_full:
            await websocket.close(TRY_AGAIN_LATER, VIEWER_LIMIT_REACHED)
            return
        with live.viewer() as news:
            await Viewer(websocket, live, news).run()

    return [WebSocketRoute("/ws", connect)]


class Viewer:
    """One connection from its first message to its last; ``news`` is set when there may be something to send."""

    def __init__(self, websocket: WebSocket, live: LiveSession, news: asyncio.Event) -> None:
        self._websocket, self._live, self._news = websocket, live, news
        self._flow = FlowControl(live.sink)
        self._replies: deque[str] = deque(maxlen=MAX_PENDING_REPLIES)
        self._rate_limit = RateLimit(MESSAGES_PER_S, MESSAGES_AT_ONCE)
        self._sent_cameras: tuple[str, ...] | None = None
        self._sent_controls: Mapping[str, str] = {}
        self._sent_statistics = ""

    async def run(self) -> None:
        """Returns when either side has ended the connection."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send_news())
            await self._receive()
            sending.cancel()
        # Open on both sides only if ``_receive`` has returned because of the rate limit.
        if self._websocket.client_state is WebSocketState.CONNECTED is self._websocket.application_state:
            await self._websocket.close(POLICY_VIOLATION, f"more than {MESSAGES_PER_S:g} messages a second")

    async def _receive(self) -> None:
        """Handle messages until the viewer disconnects or exceeds the rate limit. An invalid message gets a reply."""
        while (text := await self._next_text()) is not None:
            message = self._parse(text)
            if isinstance(message, Acknowledgement) and self._flow.acknowledge(message.camera, message.seq):
                self._news.set()
                continue
            if not self._rate_limit.take():
                return
            if message is not None:
                self._handle(message)
            self._news.set()

    async def _next_text(self) -> str | None:
        """None at the end; a binary message counts as empty text, which is invalid like any other."""
        message = await self._websocket.receive()
        return None if message["type"] == "websocket.disconnect" else message.get("text") or ""

    def _parse(self, text: str) -> ClientMessage | None:
        try:
            return parse_message(text)
        except WireError as error:
            self._reply({"type": "error", "message": str(error)})
            return None

    def _handle(self, message: ClientMessage) -> None:
        if isinstance(message, Watch):
            self._flow.watch(message.cameras)
        elif isinstance(message, ProbeRequest):
            probe = self._flow.probe(message.camera, message.seq, message.x, message.y)
            self._reply(probe_reply(message, probe))
        elif isinstance(message, ControlsRequest):
            self._change_controls(message)

    def _change_controls(self, request: ControlsRequest) -> None:
        """Apply the change and wake all viewers, so that each of them reports it to its page."""
        if request.colormap is not None and request.colormap not in COLORMAPS:
            self._reply({"type": "error", "message": f"there is no such colour map: {', '.join(COLORMAPS)}"})
        elif request.colormap is not None:
            self._live.controls.choose_colormap(request.colormap)
        if request.range is not None:
            self._live.controls.freeze_ranges(self._current_ranges() if request.range == "hold" else {})
        self._live.notify_all()

    def _current_ranges(self) -> dict[str, tuple[float, float]]:
        newest = {camera: self._live.sink.newest(camera) for camera in self._live.sink.cameras}
        return {camera: (shared.view.low, shared.view.high) for camera, shared in newest.items() if shared}

    def _reply(self, message: Mapping[str, Any]) -> None:
        self._replies.append(to_json(message))

    async def _send_news(self) -> None:
        """Send one message after the other, so that at most one waits for a viewer that does not read."""
        with suppress(WebSocketDisconnect):
            while not self._live.is_closing:
                self._news.clear()  # before looking, or news in between would be lost
                while await self._send_one():
                    pass
                await self._news.wait()
            await self._websocket.close(GOING_AWAY, "the server ends")

    async def _send_one(self) -> bool:
        """Send the next message, texts before images. Returns False if there is nothing to send."""
        text = self._next_message()
        if text is not None:
            await self._websocket.send_text(text)
            return True
        frame = self._flow.next_frame()
        if frame is None:
            return False
        data = await self._pack(frame)
        del frame  # a viewer that does not read must not keep an image from being freed
        await self._websocket.send_bytes(data)
        self._live.sink.count("frames_sent")
        self._live.sink.count("bytes_sent", len(data))
        return True

    async def _pack(self, frame: NextFrame) -> bytes:
        self._flow.mark_sent(frame.shared)
        jpegs = await self._live.jpegs(frame.shared, frame.images)
        return frame_message(frame.shared.view, list(zip(frame.images, jpegs, strict=True)))

    def _next_message(self) -> str | None:
        """The next text: what has changed since this viewer's last message of its kind, then replies in order."""
        controls = controls_fields(self._live.controls)
        if self._sent_cameras != (cameras := self._live.sink.cameras):
            self._sent_cameras, self._sent_controls = cameras, controls
            return to_json({"type": "hello", "cameras": cameras, **self._server_fields(), **controls})
        if self._sent_controls != controls:
            self._sent_controls = controls
            return to_json({"type": "controls", **controls})
        if self._replies:
            return self._replies.popleft()
        if self._sent_statistics is not (statistics := self._live.statistics()):
            self._sent_statistics = statistics
            return statistics
        return None

    def _server_fields(self) -> dict[str, Any]:
        return {"colormaps": COLORMAPS, "version": _version(), "images": self._live.has_image_service}


class RateLimit:
    """A token bucket: ``burst`` messages at once, ``per_s`` a second in the long run."""

    def __init__(self, per_s: float, burst: float, now_ns: NowNs = monotonic_ns) -> None:
        self._per_s, self._burst, self._now_ns = per_s, burst, now_ns
        self._tokens, self._at_ns = burst, now_ns()

    def take(self) -> bool:
        """Use one token; False when none is left."""
        now = self._now_ns()
        self._tokens = min(self._burst, self._tokens + (now - self._at_ns) / NS_PER_S * self._per_s)
        self._at_ns = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@cache
def _version() -> str:
    return version("depthstream")
