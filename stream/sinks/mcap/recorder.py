"""Records metric depth as sensor_msgs/Image and CameraInfo in MCAP files, for ROS 2 tools and Foxglove."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path
from time import monotonic_ns
from typing import Self

from stream.core.clock import NowNs
from stream.core.optional import require
from stream.errors import SinkError, WireError
from stream.frames import DepthMap
from stream.ros.cdr import camera_info_bytes, image_bytes
from stream.ros.definitions import CAMERA_INFO, IMAGE
from stream.ros.messages import camera_info, depth_image
from stream.ros.names import camera_info_topic, frame_id, image_topic
from stream.settings import McapSettings
from stream.sinks.base import finish_all
from stream.sinks.mcap.file import McapFile, Recorded, disk_failure
from stream.sinks.video_file import recording_path, unused_path


class McapRecorder:
    """Writes ``/<camera>/depth/image_rect_raw`` and, where the camera has intrinsics, ``/<camera>/depth/camera_info``.

    ``{camera}`` in the path stands for the camera's name; without it all cameras share one file. Both messages have the
    time of capture, as their stamp and as their time in the recording. One metadata record per camera names the network
    that made the depth. Leaving the ``with`` block finishes the files, also after an error; without frames no file is
    made. Raises MissingPackage if the extra ``robots`` is not installed.
    """

    def __init__(self, settings: McapSettings, *, now_ns: NowNs = monotonic_ns) -> None:
        require("mcap", extra="robots", purpose="recording MCAP")
        self._settings, self._now_ns = settings, now_ns
        self._files: dict[Path, McapFile] = {}
        self._has_released = False
        self._lock = threading.Lock()
        """``release`` is called by another thread than ``write``."""

    def __enter__(self) -> Self:
        """Create the folder. Raises SinkError if that fails or if it cannot be written."""
        path = Path(self._settings.path).expanduser()
        # The deepest folder that no camera's name changes; the "x" is a file in it where the text ends in a slash.
        folder = Path(str(path).partition("{camera}")[0] + "x").parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            # Renaming the part to a folder's name would fail, but only at the end of the recording.
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        except OSError as error:
            raise disk_failure(path, error, "nothing was recorded") from error
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Finish all files. Raises the first SinkError, unless an exception is already propagating."""
        finish_all(self._files.values(), exc_info[0])

    def write(self, item: DepthMap) -> None:
        """Record one depth map.

        Raises SinkError for relative depth, a full disk, and for two cameras whose topics would have the same name.
        """
        path = recording_path(self._settings.path, item.frame.camera)
        if item.kind != "metric":
            raise SinkError(
                f'{path}: model "{item.model}" gives {item.kind} depth, which has no unit: a ROS depth image is in '
                "metres; record with a metric model (depthstream models list), or without [mcap]"
            )
        try:
            messages = _messages(item, self._settings)
        except WireError as error:
            raise SinkError(f'{path}: depth of camera "{item.frame.camera}" cannot be recorded: {error}') from error
        with self._lock:
            if path not in self._files:
                # What was recorded in this run must not be overwritten by the same run.
                unused = unused_path(path) if self._has_released else path
                self._files[path] = McapFile(unused, self._settings.compression, self._now_ns)
            self._files[path].write(item, messages)

    def release(self, camera: str) -> None:
        """Finish the camera's file, if it has one of its own. Raises SinkError if that fails."""
        path = recording_path(self._settings.path, camera)
        with self._lock:
            if file := self._files.get(path):
                if "{camera}" in self._settings.path:
                    self._has_released = True
                    del self._files[path]
                    file.finish()
                else:
                    file.release(camera)


def _messages(item: DepthMap, settings: McapSettings) -> list[Recorded]:
    frame, name = item.frame, frame_id(item.frame.camera)
    stamp_ns = frame.stamp.unix_ns
    image = depth_image(item.depth, item.kind, stamp_ns=stamp_ns, frame_id=name, encoding=settings.encoding)
    messages = [Recorded(image_topic(frame.camera), IMAGE, image_bytes(image))]
    if frame.intrinsics is not None:
        info = camera_info(frame.intrinsics.scaled_to(item.size), stamp_ns=stamp_ns, frame_id=name)
        messages.append(Recorded(camera_info_topic(frame.camera), CAMERA_INFO, camera_info_bytes(info)))
    return messages
