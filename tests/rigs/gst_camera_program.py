"""The child process of gst_camera.py: Debian's GStreamer RTSP server, for /usr/bin/python3, which has ``gi``.

Reads its settings as one line of JSON from standard input, answers ``ready PORT``, then takes commands: ``stall``,
``resume``, ``size WxH``; each is answered by ``ok``. It ends with its standard input. Nothing of the product is
imported: another Python runs this.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import gi  # type: ignore[import-not-found, import-untyped, unused-ignore]

for name in ("Gst", "GstApp", "GstRtsp", "GstRtspServer"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore # noqa: E402

BITS, BLOCK_PX = 24, 8
"""A number in an image: ``BITS`` blocks, the lowest bit first, white for 1."""
ROW_PX = 16
"""Height of a row of blocks; the first row is the time, the second one the image's number."""
ENCODER = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max={fps} ! h264parse ! rtph264pay",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max={fps} log-level=error"
    " ! h265parse ! rtph265pay",
}
STEP_PX = 4
"""Movement of the background from image to image."""


def row_of_blocks(value: int) -> bytes:
    return b"".join((b"\xeb" if value >> bit & 1 else b"\x10") * BLOCK_PX for bit in range(BITS))


def image(width: int, height: int, number: int, time_ms: int) -> bytes:
    """An I420 image: a moving grey ramp under the two rows of blocks."""
    ramp = bytes(16 + 200 * x // width for x in range(width)) * 2
    start = number * STEP_PX % width
    line, rows = ramp[start : start + width], bytearray()
    for value in (time_ms, number):
        blocks = row_of_blocks(value)
        rows += (blocks + line[len(blocks) :]) * ROW_PX
    return bytes(rows) + line * (height - 2 * ROW_PX) + b"\x80" * (width * height // 2)


class Feed:
    """Raw images for the encoder of one media, paced by the monotonic clock."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self.width, self.height, self.fps, self.stalled = width, height, fps, False
        self._number = 0
        self._generation = 0

    def configured(self, factory: Any, media: Any) -> None:
        """Called when GStreamer has created the media for the first client."""
        del factory
        self._generation += 1
        source = media.get_element().get_by_name("images")
        self._say_size(source)
        self._source, self._started_s = source, time.monotonic()
        self._due = 0
        media.connect("unprepared", self._unprepared)
        self._next(self._generation)

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._say_size(self._source)

    def _unprepared(self, media: Any) -> None:
        del media
        self._generation += 1  # without viewers: ends the chain of images

    def _say_size(self, source: Any) -> None:
        size = f"width={self.width},height={self.height},framerate={self.fps}/1"
        source.set_property("caps", Gst.Caps.from_string(f"video/x-raw,format=I420,{size}"))

    def _next(self, generation: int) -> bool:
        if generation != self._generation:
            return False
        since_s = time.monotonic() - self._started_s
        if not self.stalled:
            self._push(since_s)
        self._due = max(self._due, int(since_s * self.fps)) + 1  # what was missed is left out, none comes early
        GLib.timeout_add(max(1, round((self._due / self.fps - since_s) * 1000)), self._next, generation)
        return False  # the next one is on its way

    def _push(self, since_s: float) -> None:
        time_ms = int(time.monotonic() * 1000) % (1 << BITS)
        data = Gst.Buffer.new_wrapped(image(self.width, self.height, self._number, time_ms))
        data.pts = int(since_s * Gst.SECOND)
        self._source.emit("push-buffer", data)
        self._number += 1


def factory_for(settings: dict[str, Any], feed: Feed) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    encode = ENCODER[settings["codec"]].format(fps=settings["fps"])
    factory.set_launch(f"( appsrc name=images is-live=true format=time ! {encode} name=pay0 pt=96 config-interval=1 )")
    factory.connect("media-configure", feed.configured)
    return factory


def protect(server: Any, factory: Any, user: str, password: str, method: str) -> None:
    """Require the user and the password."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("user", permission, True)
    factory.set_permissions(permissions)


def answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def obey(line: str, feed: Feed) -> bool:
    word, *rest = line.split()
    if word == "size":
        width, _, height = rest[0].partition("x")
        feed.resize(int(width), int(height))
    else:
        feed.stalled = word == "stall"
    answer("ok")
    return False


def listen(feed: Feed, loop: Any) -> None:
    for line in sys.stdin:
        GLib.idle_add(obey, line, feed)
    GLib.idle_add(loop.quit)


def main() -> int:
    Gst.init(None)
    settings = json.loads(sys.stdin.readline())
    feed = Feed(settings["width"], settings["height"], settings["fps"])
    server, factory, loop = GstRtspServer.RTSPServer(), factory_for(settings, feed), GLib.MainLoop()
    server.set_address("127.0.0.1")
    server.set_service(str(settings["port"]))
    server.get_mount_points().add_factory("/cam", factory)
    if settings["user"]:
        protect(server, factory, settings["user"], settings["password"], settings["auth"])
    if not server.attach(None):
        return 1
    answer(f"ready {server.get_bound_port()}")
    threading.Thread(target=listen, args=(feed, loop), daemon=True).start()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
