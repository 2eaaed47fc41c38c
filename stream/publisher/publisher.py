"""Depth over ZeroMQ: to any number of readers, never older than promised, and nothing done for nobody."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from time import monotonic_ns
from typing import Any, Literal, Self, TypeAlias

from stream.core.clock import NowNs
from stream.errors import SinkError
from stream.frames import DepthMap, Image
from stream.publisher.accounting import Made, SendCounters
from stream.publisher.announcements import InfoStatusQueue
from stream.publisher.buffers import SendBuffers
from stream.publisher.endpoints import check
from stream.publisher.packing import Packing
from stream.publisher.socket import PublisherSocket, ReadersWait
from stream.publisher.subscriptions import Subscriptions
from stream.settings import PublishSettings
from stream.wire.json_topics import pack_json
from stream.wire.message import topic_bytes

SERVER_ID_BITS = 53
"""As many as every JSON reader keeps exactly."""

StatusOf = Callable[[str], Mapping[str, Any]]
PreviewOf: TypeAlias = Literal["depth", "objects"]

_log = logging.getLogger(__name__)


class Publisher:
    """Sends depth, previews, objects, and what is known of each stream to whoever subscribed: docs/wire.md.

    Any thread may call it while it is open, and no call waits for a reader. Several stages may share it: the last one
    to leave its ``with`` closes it. Its own thread answers new readers and sends every stream's status once a second.

    Construction raises UsageError for addresses other machines reach, if neither keys nor allow_anyone are set; opening
    raises SinkError for an endpoint that cannot be bound or a folder of keys that is not as it should be. Every method
    that takes a stream or a depth map raises WireError for what no message can hold (a name of more than 55 bytes).
    """

    def __init__(self, settings: PublishSettings, now_ns: NowNs = monotonic_ns) -> None:
        check(settings)
        self._settings, self._now_ns = settings, now_ns
        self.server_id = secrets.randbits(SERVER_ID_BITS) or 1
        """Random, so that readers notice a restart."""
        self._packing = Packing(settings, self.server_id)
        self._lock = threading.Lock()
        self._readers, self._buffers = Subscriptions(), SendBuffers()
        self._slow = InfoStatusQueue(self._readers, monotonic_ns())
        self._books = SendCounters(self.server_id, settings)
        self._status_of: StatusOf = lambda stream: {}
        self._socket: PublisherSocket | None = None
        self._failure: Exception | None = None
        self._refused = self._users = 0
        self._opening = threading.Lock()
        self.previews: PreviewOf = "depth"
        """What preview/<stream> shows, and so which stage makes it; set it before opening."""
        self.endpoints: tuple[str, ...] = ()
        """Where readers connect, once it is open: with the port that was got for ``*``."""

    def __enter__(self) -> Self:
        with self._opening:
            if not self._users:
                self._open()
            self._users += 1
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._opening:
            self._users -= 1
            if not self._users:
                self.close()

    def _open(self) -> None:
        with ExitStack() as undo:
            socket = PublisherSocket(self._settings)
            undo.callback(socket.close)
            self._wait = ReadersWait(socket.fileno)
            undo.callback(self._wait.close)
            undo.callback(setattr, self, "_socket", None)
            self._socket, self.endpoints = socket, socket.endpoints
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
            undo.pop_all()
        _log.info("publishing on %s", ", ".join(self.endpoints))

    def close(self) -> None:
        """Stop listening, whoever else uses it; what has not been sent is dropped. The second call does nothing."""
        with self._lock:
            socket, self._socket = self._socket, None
        if socket is None:
            return
        self._wait.wake()
        self._thread.join()
        self._wait.close()
        self._refused = socket.refused
        socket.close()

    def report(self, status_of: StatusOf) -> None:
        """What the pipeline knows of a stream, by its name; part of status/<stream> once a second. Call before opening.

        ``StreamStatus.facts`` says what it understands of it. It is called in the publisher's thread while somebody
        reads the status; what it raises, ``send_depth`` raises as SinkError.
        """
        self._status_of = status_of

    def declare(self, stream: str, info: Mapping[str, Any]) -> None:
        """What readers of a stream should know of it: sent on info/<stream> now, to each new reader, and on change."""
        topic = f"info/{stream}"
        message = pack_json(topic, {**info, "stream": stream, "server_id": self.server_id})
        with self._lock:
            self._books.status(stream, self._now_ns())
            self._slow.declare(topic, message)
            self._wake()

    def send_depth(self, depth_map: DepthMap) -> bool:
        """False if it is older than ``max_age_ms`` by the monotonic clock: dropped and counted.

        Without a reader nothing is packed, and the answer is the same as with one.
        """
        topic = topic_bytes(f"depth/{depth_map.frame.camera}")
        with self._lock:
            self._open_socket()
            wanted, now_ns = self._readers.want(topic), self._now_ns()
            if not wanted or self._books.is_too_old(depth_map, now_ns):
                return self._books.enter(depth_map, now_ns)
            buffer = self._buffers.take(self._packing.room(depth_map))
        used = self._packing.depth(depth_map, now_ns, buffer)
        with self._lock:
            socket = self._open_socket()
            if not self._books.enter(depth_map, self._now_ns()):  # compression takes its time
                return False
            self._buffers.send(socket, buffer, used)
            self._books.count_message("depth messages", used)
            self._listen(socket)
        return True

    def send_raw(self, depth_map: DepthMap) -> None:
        """The network's own values, where ``depth`` was steadied, while somebody reads raw/<stream>."""
        topic = topic_bytes(f"raw/{depth_map.frame.camera}")
        with self._lock:
            wanted = self._readers.want(topic)
        if wanted:
            self._send_young(self._packing.raw(depth_map, self._now_ns()), depth_map, "raw messages")

    def send_objects(self, depth_map: DepthMap, facts: Callable[[], Mapping[str, Any]]) -> bool:
        """What is in the image of ``depth_map``, as JSON; ``facts`` is called only while somebody reads it.

        False if it is older than ``max_age_ms``, as for depth.
        """
        topic = topic_bytes(f"objects/{depth_map.frame.camera}")
        with self._lock:
            self._open_socket()
            if self._books.is_too_old(depth_map, self._now_ns()):
                return self._books.count_stale("objects")
            if not self._readers.want(topic):
                return True
        return self._send_young(self._packing.objects(facts(), depth_map, self._now_ns()), depth_map, "objects")

    def wants_preview(self, stream: str, of: PreviewOf = "depth") -> bool:
        """Whether anybody looks at preview/<stream>, and it shows that; ask before painting an image."""
        topic = topic_bytes(f"preview/{stream}")
        with self._lock:
            return of == self.previews and self._readers.want(topic)

    def send_preview(self, image: Image, depth_map: DepthMap, of: PreviewOf = "depth") -> None:
        """``image`` (H, W, 3) uint8 BGR as JPEG; dropped and counted if its depth is older than ``max_age_ms``."""
        if not self.wants_preview(depth_map.frame.camera, of):
            return
        self._send_young(self._packing.preview(image, depth_map, self._now_ns()), depth_map, "previews")

    def statistics(self) -> Mapping[str, float]:
        """For the table: messages that somebody wanted, drops, refused keys; while it is open, readers of depth."""
        with self._lock:
            return {
                **({"readers": self._readers.count(b"depth/")} if self._socket else {}),
                **self._books.statistics(),
                "copied for lack of buffers": self._buffers.copied_for_lack,
                "refused keys": self._socket.refused if self._socket else self._refused,
            }

    def _send_young(self, message: bytes, depth_map: DepthMap, what: Made) -> bool:
        """False if its depth became too old while it was made."""
        with self._lock:
            socket = self._open_socket()
            if self._books.is_too_old(depth_map, self._now_ns()):
                return self._books.count_stale(what)
            socket.send(message)
            self._books.count_message(what, len(message))
            self._listen(socket)
        return True

    def _run(self) -> None:
        try:
            while (wait_s := self._turn()) is not None:
                self._wait.wait(wait_s)
        except Exception as error:  # noqa: BLE001  # raised again by the next send_depth
            self._failure = error

    def _turn(self) -> float | None:
        """Answer readers and send one slow message; how long to wait then, None: it is closed."""
        with self._lock:
            topic = self._slow.next(self._books.streams, monotonic_ns())
        message = self._slow_message(topic) if topic else None
        with self._lock:
            if self._socket is None:
                return None
            if message:
                self._socket.send(message)
            self._listen(self._socket)
            return self._slow.wait_s(monotonic_ns())

    def _slow_message(self, topic: str) -> bytes:
        if (info := self._slow.info(topic)) is not None:
            return info
        stream = topic.removeprefix("status/")
        known = self._status_of(stream)  # not under the lock: it may take others
        with self._lock:
            now_ns = self._now_ns()
            return pack_json(topic, self._books.status(stream, now_ns).facts(known, now_ns))

    def _listen(self, socket: PublisherSocket) -> None:
        """After every use of the socket, because its readability is told only once."""
        for request in socket.requests():
            prefix = self._readers.feed(request)
            if prefix is not None:
                self._slow.new_reader(prefix)
        self._wake()

    def _wake(self) -> None:
        if self._socket and self._slow.is_waiting and threading.current_thread() is not self._thread:
            self._wait.wake()

    def _open_socket(self) -> PublisherSocket:
        if self._failure:
            raise SinkError(f"the status of a stream could not be sent: {self._failure}") from self._failure
        if self._socket is None:
            raise SinkError("the publisher is not open: nothing can be sent")
        return self._socket
