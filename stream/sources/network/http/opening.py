"""Opens the address of a camera that speaks HTTP, and finds out what comes from there.

The header is often wrong, so the first bytes decide. What is neither Motion JPEG nor an image is left to FFmpeg.
"""

from __future__ import annotations

from time import monotonic_ns

from stream.core.clock import NS_PER_S
from stream.settings import NetworkCamera
from stream.sources.network.access_unit import Reader
from stream.sources.network.http.client import Client
from stream.sources.network.http.jpeg import START, JpegWalk
from stream.sources.network.http.multipart import LARGEST_PART
from stream.sources.network.http.multipart_reader import MultipartReader
from stream.sources.network.http.snapshot_reader import BEFORE_CONTENT, SnapshotReader, image_codec, read_snapshot
from stream.sources.network.http.tcp import Piece
from stream.sources.network.url import CameraUrl

ENOUGH_BYTES = 16
"""They show what it is."""
ANOTHER_S = 1.0
"""After a first image, an answer that does not end within this time is taken for a stream."""
WITHOUT_CONTENT = (204, 205)
PLAYLISTS = (b"#EXTM3U", b"<MPD")
STREAM_TYPES = ("video/", "audio/", "application/vnd.apple.mpegurl", "application/x-mpegurl", "application/dash+xml")
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/xhtml+xml", "application/javascript")


def open_http(settings: NetworkCamera, url: CameraUrl) -> Reader | None:
    """A reader of Motion JPEG or of a polled snapshot; None: something that FFmpeg may know, such as HLS or MPEG-TS.

    Raises AccessDenied or SourceError, after ``open_s`` at the latest (a slow name server comes on top).
    """
    client = Client(settings, url)
    try:
        reader = _Opening(settings, client).reader()
    except TimeoutError:
        client.close()
        raise client.failures.no_data() from None
    except (OSError, ValueError) as error:
        client.close()
        raise client.failures.on_error(error) from None
    except BaseException:
        client.close()
        raise
    if reader is None:
        client.close()
    return reader


class _Opening:
    def __init__(self, settings: NetworkCamera, client: Client) -> None:
        self._settings, self._client = settings, client
        self._until_ns = monotonic_ns() + int(settings.open_s * NS_PER_S)
        self._answer = client.get(self._until_ns)
        self._pieces: list[Piece] = []
        self._data = bytearray()

    def reader(self) -> Reader | None:
        if self._answer.head.media_type.startswith("multipart/"):
            return self._stream()
        if self._answer.head.status in WITHOUT_CONTENT:
            raise self._client.failures.empty()
        while len(self._data) < ENOUGH_BYTES and self._receive(self._until_ns):
            pass
        if not self._data:
            raise self._client.failures.empty()
        return self._by_content(bytes(self._data).lstrip(BEFORE_CONTENT), self._answer.head.media_type)

    def _by_content(self, begin: bytes, kind: str) -> Reader | None:
        if begin.startswith(START):
            return self._stream() if self._goes_on() else self._snapshot("mjpeg")
        if begin.startswith(b"--") or begin[:8].lower() == b"content-":
            return self._stream()
        if codec := image_codec(begin):
            return self._snapshot(codec)
        if kind.startswith("image/"):
            raise self._client.failures.other_image()
        if begin.startswith(PLAYLISTS) or kind.startswith(STREAM_TYPES):
            return None
        if kind.startswith(TEXT_TYPES) or begin[:1] in (b"<", b"{"):
            raise self._client.failures.page(kind or "without a type")
        return None

    def _stream(self) -> Reader:
        return MultipartReader(self._client, self._answer, self._pieces)

    def _snapshot(self, codec: str) -> Reader:
        first = read_snapshot(self._client, self._answer, self._pieces, self._until_ns)
        return SnapshotReader(self._settings, self._client, first, codec)

    def _goes_on(self) -> bool:
        """Whether the JPEG file that begins the body is the first of many."""
        if self._answer.ends_within(LARGEST_PART):
            return False
        walk = JpegWalk()
        while (end := walk.end(self._data)) is None and len(self._data) <= LARGEST_PART:
            if not self._receive(self._until_ns):
                return False  # a part of one image
        wait_ns = min(self._until_ns, monotonic_ns() + int(ANOTHER_S * NS_PER_S))
        try:
            while end is not None and START not in self._data[end.position :]:
                if not self._receive(wait_ns):
                    return False
        except TimeoutError:
            pass  # the next image takes its time
        return True

    def _receive(self, until_ns: int) -> bool:
        """Whether there is more of the body. Raises OSError; TimeoutError at ``until_ns``; ValueError."""
        piece = self._answer.receive(until_ns)
        if piece.data:
            self._pieces.append(piece)
            self._data += piece.data
        return bool(piece.data)
