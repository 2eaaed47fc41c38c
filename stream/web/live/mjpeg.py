"""Motion JPEG for anything that shows an <img>: the newest image of one camera, as fast as the client reads it.

/stream/front.mjpg?show=depth      colourised depth (the default)
/stream/front.mjpg?show=image      the camera's image
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import get_args

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from stream.core.clock import Deadline
from stream.web.live.hub import ImageName
from stream.web.live.session import VIEWER_LIMIT_REACHED, LiveSession

BOUNDARY = "depthstream-next-image"
REPEAT_S = 5.0
"""A silent camera's last image is sent again after this time, so that proxies do not drop an idle connection."""


def mjpeg_routes(live: LiveSession) -> list[Route]:
    """/stream/<camera>.mjpg: 404 for an unknown camera, 400 for another value of ``show``, 503 at the viewer limit."""

    async def respond(request: Request) -> Response:
        camera, show = request.path_params["camera"], request.query_params.get("show", "depth")
        if camera not in live.sink.cameras:
            return _error(404, "there is no such camera; /api/cameras lists them")
        if show not in get_args(ImageName):
            return _error(400, "show=image or show=depth")
        if live.is_full:
            return _error(503, VIEWER_LIMIT_REACHED)
        name: ImageName = "image" if show == "image" else "depth"
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        # The body has no end, so no further request can follow on the same connection.
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        if request.method == "HEAD":
            return Response(media_type=media_type, headers=headers)
        return StreamingResponse(_parts(live, camera, name), media_type=media_type, headers=headers)

    return [Route("/stream/{camera:path}.mjpg", respond)]  # path: a camera's name may contain slashes


async def _parts(live: LiveSession, camera: str, name: ImageName) -> AsyncIterator[bytes]:
    """The multipart body; it ends when the camera is removed.

    Each boundary follows its image at once: browsers show a part when they see its end.
    """
    with live.viewer() as news:
        yield f"--{BOUNDARY}\r\n".encode()
        number, repeat = 0, Deadline.after(0)
        while not live.is_closing:
            news.clear()  # before looking, or news in between would be lost
            newest = live.sink.newest(camera)
            if newest is None and camera not in live.sink.cameras:
                return  # it was removed
            if newest is None or (newest.number == number and not repeat.passed):
                await news.wait()
                continue
            number, repeat = newest.number, Deadline.after(REPEAT_S)
            (jpeg,) = await live.jpegs(newest, (name,))
            del newest  # a slow client must not keep an image from being freed
            part = _part(jpeg)
            yield part
            live.sink.count("frames_sent")
            live.sink.count("bytes_sent", len(part))


def _part(jpeg: bytes) -> bytes:
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return b"".join([head.encode(), jpeg, f"\r\n--{BOUNDARY}\r\n".encode()])


def _error(status: int, line: str) -> Response:
    return PlainTextResponse(f"{line}\n", status)
