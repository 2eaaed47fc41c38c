"""ZeroMQ publisher of depth, previews, objects and stream status (docs/reference/wire.md is the protocol).

It drops depth that is older than ``max_age_ms`` and serialises only messages that have a subscriber.
"""

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
from stream.publisher.accounting import RETIRED, ExtraMessage, SendCounters
from stream.publisher.announcements import InfoStatusQueue
from stream.publisher.buffers import SendBuffers
from stream.publisher.endpoints import check_endpoints
from stream.publisher.packing import Packer
from stream.publisher.socket import PublisherSocket, RequestWaiter
from stream.publisher.subscriptions import Subscriptions
from stream.settings import PublishSettings
from stream.wire.json_topics import pack_json
from stream.wire.message import topic_bytes

SERVER_ID_BITS = 53
"""The largest integer that every JSON reader keeps exactly (JavaScript's numbers have 53 bits)."""

StatusOf = Callable[[str], Mapping[str, Any]]
PreviewOf: TypeAlias = Literal["depth", "objects"]

_log = logging.getLogger(__name__)


class Publisher:
    """Sends depth, previews, objects and stream status to the readers that subscribed.

    Any thread may call it while it is open, and no call waits for a reader. Several stages may share it: the last one
    to leave its ``with`` closes it. Its own thread answers new readers and sends every stream's status once a second.

    Construction raises UsageError for addresses that other machines reach if neither keys nor allow_anyone are set.
    Opening raises SinkError for an endpoint that cannot be bound or for an invalid folder of keys. Every method that
    takes a stream or a depth map raises WireError for values that no message can hold (a name of more than 55 bytes).
    """

    def __init__(self, settings: PublishSettings, now_ns: NowNs = monotonic_ns) -> None:
        check_endpoints(settings)
        self._settings, self._now_ns = settings, now_ns
        self.server_id = secrets.randbits(SERVER_ID_BITS) or 1
        """Random for each start, so that readers notice a restart."""
        self._packer = Packer(settings, self.server_id)
        self._lock = threading.Lock()
        self._subscriptions, self._buffers = Subscriptions(), SendBuffers()
        # By the real clock whatever ``now_ns`` is, because the thread waits in real time.
        self._announcements = InfoStatusQueue(self._subscriptions, monotonic_ns())
        self._counters = SendCounters(self.server_id, settings)
        self._status_of: StatusOf = lambda stream: {}
        self._socket: PublisherSocket | None = None
        self._failure: Exception | None = None
        self._refused = self._users = 0
        # Apart from ``_lock``, which the thread needs while ``close`` waits for its end.
        self._opening = threading.Lock()
        self.previews: PreviewOf = "depth"
        """Content of preview/<stream>, which decides which stage makes it; set it before opening."""
        self.endpoints: tuple[str, ...] = ()
        """Addresses for readers while it is open, with the port that the system assigned for ``*``."""

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
            self._waiter = RequestWaiter(socket.fileno)
            undo.callback(self._waiter.close)
            undo.callback(setattr, self, "_socket", None)
            self._socket, self.endpoints = socket, socket.endpoints
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
            undo.pop_all()
        _log.info("publishing on %s", ", ".join(self.endpoints))

    def close(self) -> None:
        """Close the socket even if other stages still use it; unsent messages are dropped. Idempotent."""
        with self._lock:
            socket, self._socket = self._socket, None
        if socket is None:
            return
        self._waiter.wake()
        self._thread.join()  # without the lock, which the thread takes to see that it must end
        self._waiter.close()
        self._refused = socket.refused
        socket.close()

    def set_status_source(self, status_of: StatusOf) -> None:
        """Set the function that returns the pipeline's facts about a stream, by its name. Call before opening.

        The facts become part of status/<stream>; ``StreamStatus.facts`` documents the keys with a meaning. The function
        is called in the publisher's thread while status/<stream> has a subscriber. If it raises, the next
        ``send_depth`` raises SinkError.
        """
        self._status_of = status_of

    def declare(self, stream: str, info: Mapping[str, Any]) -> None:
        """Set the content of info/<stream>: sent now, to each new reader, and again whenever it changes."""
        topic = f"info/{stream}"
        message = pack_json(topic, {**info, "stream": stream, "server_id": self.server_id})
        with self._lock:
            self._counters.revive(stream)
            self._counters.status(stream, self._now_ns())
            self._announcements.declare(topic, message)
            self._wake()

    def retire(self, stream: str) -> None:
        """Tell the readers of a stream that its camera was removed, for half a minute, and then forget the stream.

        Its status is OFFLINE with ``camera`` = "removed" meanwhile. ``declare`` brings it back.
        """
        with self._lock:
            self._announcements.withdraw(f"info/{stream}")
            self._counters.retire(stream, self._now_ns())

    def send_depth(self, depth_map: DepthMap) -> bool:
        """Send depth/<stream>; False if it is older than ``max_age_ms`` (monotonic clock): dropped and counted.

        Without a reader nothing is packed, and the return value is the same as with one.
        """
        topic = topic_bytes(f"depth/{depth_map.frame.camera}")
        with self._lock:
            self._open_socket()
            has_reader, now_ns = self._subscriptions.want(topic), self._now_ns()
            if not has_reader or self._counters.is_too_old(depth_map, now_ns):
                return self._counters.admit(depth_map, now_ns)
            buffer = self._buffers.take(self._packer.max_bytes(depth_map))
        # Packed without the lock, so that a slow compression holds up neither other cameras nor new readers.
        used = self._packer.depth(depth_map, now_ns, buffer)
        with self._lock:
            socket = self._open_socket()
            if not self._counters.admit(depth_map, self._now_ns()):  # compression takes its time
                return False
            self._buffers.send(socket, buffer, used)
            self._counters.count_message("depth messages", used)
            self._read_requests(socket)
        return True

    def send_raw(self, depth_map: DepthMap) -> None:
        """Send raw/<stream>: the network's own values, for maps whose ``depth`` was stabilised."""
        topic = topic_bytes(f"raw/{depth_map.frame.camera}")
        with self._lock:
            has_reader = self._subscriptions.want(topic)
        if has_reader:
            self._send_if_fresh(self._packer.raw(depth_map, self._now_ns()), depth_map, "raw messages")

    def send_objects(self, depth_map: DepthMap, facts: Callable[[], Mapping[str, Any]]) -> bool:
        """Send objects/<stream> as JSON; ``facts`` is called only while that topic has a reader.

        Returns False if ``depth_map`` is older than ``max_age_ms``, as ``send_depth`` does.
        """
        topic = topic_bytes(f"objects/{depth_map.frame.camera}")
        with self._lock:
            self._open_socket()
            if self._counters.is_too_old(depth_map, self._now_ns()):
                return self._counters.count_stale("objects")
            if not self._subscriptions.want(topic):
                return True
        return self._send_if_fresh(self._packer.objects(facts(), depth_map, self._now_ns()), depth_map, "objects")

    def wants_preview(self, stream: str, of: PreviewOf = "depth") -> bool:
        """True if preview/<stream> has a reader and shows this content; ask before painting an image."""
        topic = topic_bytes(f"preview/{stream}")
        with self._lock:
            return of == self.previews and self._subscriptions.want(topic)

    def send_preview(self, image: Image, depth_map: DepthMap, of: PreviewOf = "depth") -> None:
        """Send ``image`` (H, W, 3) uint8 BGR as JPEG; dropped and counted if its depth is older than ``max_age_ms``."""
        if not self.wants_preview(depth_map.frame.camera, of):
            return
        self._send_if_fresh(self._packer.preview(image, depth_map, self._now_ns()), depth_map, "previews")

    def statistics(self) -> Mapping[str, float]:
        """Counts of messages with a subscriber, drops and refused keys; while it is open, also of readers of depth."""
        with self._lock:
            return {
                **({"readers": self._subscriptions.count(b"depth/")} if self._socket else {}),
                **self._counters.statistics(),
                "copied for lack of buffers": self._buffers.copied_for_lack,
                "refused keys": self._socket.refused if self._socket else self._refused,
            }

    def _send_if_fresh(self, message: bytes, depth_map: DepthMap, kind: ExtraMessage) -> bool:
        """Return False if the depth became too old while its message was made."""
        with self._lock:
            socket = self._open_socket()
            if self._counters.is_too_old(depth_map, self._now_ns()):
                return self._counters.count_stale(kind)
            socket.send(message)
            self._counters.count_message(kind, len(message))
            self._read_requests(socket)
        return True

    def _run(self) -> None:
        try:
            while (wait_s := self._step()) is not None:
                self._waiter.wait(wait_s)
        except Exception as error:  # noqa: BLE001  # raised again by the next send_depth
            self._failure = error

    def _step(self) -> float | None:
        """Answer readers and send one announcement; returns the seconds to wait next, None once it is closed."""
        with self._lock:
            self._counters.forget_retired(self._now_ns())
            topic = self._announcements.next(self._counters.streams, monotonic_ns())
        message = self._announcement(topic) if topic else None
        with self._lock:
            if self._socket is None:
                return None
            if message:
                self._socket.send(message)
            self._read_requests(self._socket)
            return self._announcements.wait_s(monotonic_ns())

    def _announcement(self, topic: str) -> bytes | None:
        """The message to send; None for a stream that was forgotten meanwhile."""
        if (info := self._announcements.info(topic)) is not None:
            return info
        stream = topic.removeprefix("status/")
        with self._lock:
            is_retired = self._counters.is_retired(stream)
        known = RETIRED if is_retired else self._status_of(stream)  # not under the lock: it may take others
        with self._lock:
            if stream not in self._counters.streams:
                return None
            now_ns = self._now_ns()
            return pack_json(topic, self._counters.status(stream, now_ns).facts(known, now_ns))

    def _read_requests(self, socket: PublisherSocket) -> None:
        """Read subscriptions. Call it after every use of the socket, because its descriptor is edge-triggered."""
        for request in socket.requests():
            prefix = self._subscriptions.feed(request)
            if prefix is not None:
                self._announcements.new_reader(prefix)
        self._wake()

    def _wake(self) -> None:
        # The publisher's own thread looks at what is pending before each wait, so it need not wake itself.
        if self._socket and self._announcements.has_pending and threading.current_thread() is not self._thread:
            self._waiter.wake()

    def _open_socket(self) -> PublisherSocket:
        if self._failure:
            raise SinkError(f"the status of a stream could not be sent: {self._failure}") from self._failure
        if self._socket is None:
            raise SinkError("the publisher is not open: nothing can be sent")
        return self._socket
