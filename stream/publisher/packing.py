"""Packs depth maps, previews and objects into messages of one publisher, with their capture and publish times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stream.frames import DepthMap, Image
from stream.settings import PublishSettings
from stream.wire.codes import Compression, Encoding
from stream.wire.json_topics import pack_json
from stream.wire.message import Sender, largest_message, pack_depth, pack_preview

COMPRESSIONS = {
    "raw": Compression.RAW,
    "zstd": Compression.ZSTD,
    "delta+zstd": Compression.DELTA_ZSTD,
    "png16": Compression.PNG16,
}


class Packer:
    """Packs with the encoding and compression of the settings. ``now_ns`` is the monotonic clock.

    Every method raises WireError for values that no message can hold.
    """

    def __init__(self, settings: PublishSettings, server_id: int) -> None:
        encoding, compression = Encoding[settings.encoding.upper()], COMPRESSIONS[settings.compression]
        self._sender = Sender(server_id, encoding, compression, settings.checksum)
        self._preview_quality = settings.preview_quality

    def max_bytes(self, depth_map: DepthMap) -> int:
        """Upper bound of the size of its message, in bytes."""
        return largest_message(depth_map.size, self._sender)

    def depth(self, depth_map: DepthMap, now_ns: int, into: memoryview) -> int:
        """Write a message of depth/<stream> into ``into``; returns the number of bytes used."""
        return pack_depth(depth_map, self._sender, publish_ns(depth_map, now_ns), into)

    def raw(self, depth_map: DepthMap, now_ns: int) -> bytes:
        """A message of raw/<stream>: the network's own values, before stabilisation."""
        network_map = depth_map if depth_map.raw is None else replace(depth_map, depth=depth_map.raw)
        message = bytearray(self.max_bytes(network_map))
        used = pack_depth(network_map, self._sender, publish_ns(network_map, now_ns), memoryview(message), "raw")
        return bytes(memoryview(message)[:used])

    def preview(self, image: Image, depth_map: DepthMap, now_ns: int) -> bytes:
        """A message of preview/<stream>: ``image`` (H, W, 3) uint8 BGR, as JPEG."""
        return pack_preview(image, depth_map, self._sender, self._preview_quality, publish_ns(depth_map, now_ns))

    def objects(self, facts: Mapping[str, Any], depth_map: DepthMap, now_ns: int) -> bytes:
        """A message of objects/<stream>: ``facts`` as JSON, with the same seq and times as the depth message."""
        frame = depth_map.frame
        moment = {
            "stream": frame.camera,
            "server_id": self._sender.server_id,
            "seq": frame.seq,
            "capture_ns": frame.stamp.unix_ns,
            "publish_ns": publish_ns(depth_map, now_ns),
        }
        return pack_json(f"objects/{frame.camera}", {**moment, **facts})


def publish_ns(depth_map: DepthMap, now_ns: int) -> int:
    """``capture_ns`` plus the age of the depth by the monotonic clock, so a step of the wall clock does not matter."""
    stamp = depth_map.frame.stamp
    return stamp.unix_ns + (now_ns - stamp.mono_ns)
