"""Motion JPEG for anything that shows an <img>: the newest image of one camera as often as the reader takes it.

/stream/front.mjpg?show=depth      depth in colours (the default)
/stream/front.mjpg?show=image    what the camera sees
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import get_args

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from stream.core.clock import Deadline
from stream.web.live.hub import ImageName
from stream.web.live.session import Live

BOUNDARY = "depthstream-next-image"
REPEAT_S = 5.0
"""A camera that is silent: its last image again, so that whoever is between us and the reader stays awake."""


def mjpeg_routes(live: Live) -> list[Route]:
    """/stream/<camera>.mjpg; 404 for a camera that is not there, 400 for anything else to show, 503 when full."""

    async def answer(request: Request) -> Response:
        camera, show = request.path_params["camera"], request.query_params.get("show", "depth")
        if camera not in live.sink.cameras:
            return _refusal(404, "there is no such camera; /api/cameras lists them")
        if show not in get_args(ImageName):
            return _refusal(400, "show=image or show=depth")
        if live.is_full:
            return _refusal(503, "as many look as may; try again later")
        name: ImageName = "image" if show == "image" else "depth"
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        headers = {"Cache-Control": "no-store", "Connection": "close"}  # it has no end that a next request could follow
        if request.method == "HEAD":
            return Response(media_type=kind, headers=headers)
        return StreamingResponse(_parts(live, camera, name), media_type=kind, headers=headers)

    return [Route("/stream/{camera:path}.mjpg", answer)]


async def _parts(live: Live, camera: str, name: ImageName) -> AsyncIterator[bytes]:
    """A boundary goes with the image before it: browsers show a part when they see its end."""
    with live.viewer() as news:
        yield f"--{BOUNDARY}\r\n".encode()
        number, repeat = 0, Deadline.after(0)
        while not live.is_closing:
            news.clear()
            shown = live.sink.newest(camera)
            if shown is None or (shown.number == number and not repeat.passed):
                await news.wait()
                continue
            number, repeat = shown.number, Deadline.after(REPEAT_S)
            (jpeg,) = await live.jpegs(shown, (name,))
            del shown  # a reader that is slow must not keep an image from being freed
            part = _part(jpeg)
            yield part
            live.sink.count("frames_sent")
            live.sink.count("bytes_sent", len(part))


def _part(jpeg: bytes) -> bytes:
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return b"".join([head.encode(), jpeg, f"\r\n--{BOUNDARY}\r\n".encode()])


def _refusal(status: int, line: str) -> Response:
    return PlainTextResponse(f"{line}\n", status)
