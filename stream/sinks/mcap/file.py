"""One MCAP file of ROS messages; what is on the disk can be read at every moment.

A file is written as ``name.part.mcap`` in chunks that are whole by themselves (after a crash, ``mcap recover`` makes an
ordinary file of them) and is given its name when its index is written.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from time import monotonic_ns
from typing import Any, NamedTuple

from stream.core.clock import Deadline, NowNs
from stream.errors import SinkError
from stream.frames import DepthMap
from stream.ros.definitions import Definition

CHUNK_S = 1.0
"""A chunk ends after so long, or after 1 MiB: no more than this is lost in a crash."""
UINT32 = 0xFFFF_FFFF

_log = logging.getLogger(__name__)


class Recorded(NamedTuple):
    """A message on its way into a file."""

    topic: str
    definition: Definition
    data: bytes
    """CDR."""


class McapFile:
    """One file: opened with its first depth map, under its ``.part.mcap`` name until it is finished."""

    def __init__(self, path: Path, compression: str, now_ns: NowNs = monotonic_ns) -> None:
        from mcap.writer import CompressionType, Writer

        self.path, self._part = path, path.with_name(f"{path.stem}.part.mcap")
        self._now_ns, self._chunk_ends = now_ns, Deadline.after(CHUNK_S, now_ns)
        self._cameras: dict[str, str] = {}
        self._schemas: dict[Definition, int] = {}
        self._channels: dict[str, int] = {}
        self._ended = self._holds_messages = False
        self._whole_bytes = 0
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
            self._writer: Any = Writer(self._file, compression=CompressionType[compression.upper()])
            self._writer.start("ros2", f"depthstream {version('depthstream')}")

    def write(self, item: DepthMap, messages: Sequence[Recorded]) -> None:
        if self._ended:
            raise SinkError(f"{self.path}: the recording has already ended after an error; start a new one")
        with self._writing():
            self._know_camera(item, messages[0].topic)
            before = self._reach_disk()
            for message in messages:
                self._put(message, item)
            if self._chunk_ends.passed:
                self._writer.flush()
                self._chunk_ends = Deadline.after(CHUNK_S, self._now_ns)
            self._holds_messages |= self._reach_disk() > before

    def finish(self) -> None:
        """Write the index and give the file its name; nothing happens the second time."""
        if self._ended:
            return
        with self._writing():
            self._writer.finish()
            self._reach_disk()
            self._holds_messages = True
            self._file.close()
            os.replace(self._part, self.path)
        self._ended = True

    def _know_camera(self, item: DepthMap, topic: str) -> None:
        """A camera is described before its first depth."""
        frame = item.frame
        if topic not in self._cameras:
            about = {"camera": frame.camera, "model": item.model, "weights": item.weights, "unit": item.unit}
            about |= {"metres": "a guess"} if item.scale_guessed else {}
            self._writer.add_metadata("depthstream", about | {"depthstream": version("depthstream")})
            self._cameras[topic] = frame.camera
            if frame.intrinsics is None:
                _log.warning('%s: camera "%s" has no intrinsics: recording no camera_info', self.path, frame.camera)
        other = self._cameras[topic]
        if other != frame.camera:
            raise SinkError(f'{self.path}: cameras "{other}" and "{frame.camera}" would share {topic}; rename one')

    def _put(self, message: Recorded, item: DepthMap) -> None:
        topic, definition, data = message
        if definition not in self._schemas:
            self._schemas[definition] = self._writer.register_schema(
                definition.name, "ros2msg", definition.text.encode()
            )
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schemas[definition])
        taken_ns, seq = item.frame.stamp.unix_ns, item.frame.seq & UINT32
        self._writer.add_message(self._channels[topic], taken_ns, data, taken_ns, seq)

    def _reach_disk(self) -> int:
        """Bytes up to here are whole records, out of this process's hands."""
        self._file.flush()
        self._whole_bytes = self._file.tell()
        return self._whole_bytes

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the disk refuses ends the file: whole chunks are kept, half a chunk is not."""
        try:
            yield
        except OSError as error:
            self._ended = True
            raise disk_failure(self.path, error, self._leave_part()) from error

    def _leave_part(self) -> str:
        """What is left, in words."""
        with suppress(OSError, AttributeError):  # not even opened
            self._file.close()
        with suppress(OSError):
            if self._holds_messages:
                os.truncate(self._part, self._whole_bytes)
                return f'what was recorded before is in {self._part} ("mcap recover" makes an ordinary file of it)'
            self._part.unlink()
        return "nothing of it is left"


def disk_failure(path: Path, error: OSError, left: str) -> SinkError:
    """What the disk said, what is left of the recording, and what to do."""
    full = error.errno in {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}
    advice = "free some space and record again" if full else "choose a folder that you may write to"
    return SinkError(f"{path}: cannot be written: {error.strerror}; {left}; {advice}")
