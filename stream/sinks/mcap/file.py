"""One MCAP file of ROS messages; its content on the disk can be read at every moment.

A file is written as ``name.part.mcap`` in self-contained chunks (after a crash, ``mcap recover`` makes an ordinary file
of them) and gets its final name when its index is written.
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
"""A chunk ends after this time, or after 1 MiB; a crash loses no more than one chunk."""
UINT32 = 0xFFFF_FFFF

_log = logging.getLogger(__name__)


class Recorded(NamedTuple):
    """A serialised message to be written."""

    topic: str
    definition: Definition
    data: bytes
    """The message in CDR."""


class McapFile:
    """One file: opened with its first depth map, named ``.part.mcap`` until it is finished."""

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
            self._describe_camera(item, messages[0].topic)
            # Metadata is written at once, messages only with their chunk: growth from here on means whole messages.
            before = self._flush()
            for message in messages:
                self._add_message(message, item)
            if self._chunk_ends.passed:
                self._writer.flush()
                self._chunk_ends = Deadline.after(CHUNK_S, self._now_ns)
            self._holds_messages |= self._flush() > before

    def release(self, camera: str) -> None:
        """Forget a camera that has gone: another one may have its topics."""
        self._cameras = {topic: owner for topic, owner in self._cameras.items() if owner != camera}

    def finish(self) -> None:
        """Write the index and give the file its final name. Idempotent."""
        if self._ended:
            return
        with self._writing():
            self._writer.finish()
            self._flush()
            self._holds_messages = True
            self._file.close()
            os.replace(self._part, self.path)
        self._ended = True

    def _describe_camera(self, item: DepthMap, topic: str) -> None:
        """Write the metadata of a camera before its first depth map; two cameras must not share a topic."""
        frame = item.frame
        if topic not in self._cameras:
            metadata = {"camera": frame.camera, "model": item.model, "weights": item.weights, "unit": item.unit}
            metadata |= {"metres": "a guess"} if item.scale_guessed else {}
            self._writer.add_metadata("depthstream", metadata | {"depthstream": version("depthstream")})
            self._cameras[topic] = frame.camera
            if frame.intrinsics is None:
                _log.warning('%s: camera "%s" has no intrinsics: recording no camera_info', self.path, frame.camera)
        other = self._cameras[topic]
        if other != frame.camera:
            raise SinkError(f'{self.path}: cameras "{other}" and "{frame.camera}" would share {topic}; rename one')

    def _add_message(self, message: Recorded, item: DepthMap) -> None:
        topic, definition, data = message
        if definition not in self._schemas:
            self._schemas[definition] = self._writer.register_schema(
                definition.name, "ros2msg", definition.text.encode()
            )
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schemas[definition])
        capture_ns, seq = item.frame.stamp.unix_ns, item.frame.seq & UINT32  # MCAP has 32 bits for it
        self._writer.add_message(self._channels[topic], capture_ns, data, capture_ns, seq)

    def _flush(self) -> int:
        """Flush to the system and return the file's size in bytes, all of them whole records."""
        self._file.flush()
        # Not reached on a full disk, where ``flush`` raises: the size up to the last whole record stays.
        self._whole_bytes = self._file.tell()
        return self._whole_bytes

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a disk error into SinkError and end the file: whole chunks are kept, a partial one is cut off."""
        try:
            yield
        except OSError as error:
            self._ended = True
            raise disk_failure(self.path, error, self._leave_part()) from error

    def _leave_part(self) -> str:
        """Close the part and cut it to whole records; returns what is left of the recording, for the message."""
        with suppress(OSError, AttributeError):  # not even opened
            self._file.close()
        with suppress(OSError):
            if self._holds_messages:
                os.truncate(self._part, self._whole_bytes)
                return f'what was recorded before is in {self._part} ("mcap recover" makes an ordinary file of it)'
            self._part.unlink()
        return "nothing of it is left"


def disk_failure(path: Path, error: OSError, left: str) -> SinkError:
    """An error that states the disk's reason, what is left of the recording, and what to do."""
    full = error.errno in {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}
    advice = "free some space and record again" if full else "choose a folder that you may write to"
    return SinkError(f"{path}: cannot be written: {error.strerror}; {left}; {advice}")
