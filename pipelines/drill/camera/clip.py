"""A clip: the images of a camera, encoded and split into RTP payloads before sending."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from pipelines.drill.camera.encode import Codec, encode, numbered_images
from pipelines.drill.camera.numbered import Image
from pipelines.drill.camera.payload import h264_payloads, h265_payloads, jpeg_payloads, nal_units

H264_SPS, H264_PPS = 7, 8
H265_VPS, H265_SPS, H265_PPS = 32, 33, 34


class AccessUnit(NamedTuple):
    """One image, ready to be sent."""

    payloads: tuple[bytes, ...]
    keyframe: bool


@dataclass(frozen=True, eq=False)
class Clip:
    """The images that a camera shows in a loop."""

    codec: Codec
    width: int
    height: int
    fps: float
    units: tuple[AccessUnit, ...]
    """The index is the number that ``read_number`` reads from a test pattern. The first one is a key frame."""
    format_parameters: str
    """The codec parameters for SDP (``a=fmtp``): parameter sets of the first image; empty for JPEG."""

    @classmethod
    def test_pattern(
        cls, codec: Codec = "h264", width: int = 320, height: int = 240, fps: float = 25, seconds: float = 4,
        keyframe_every: int = 25,
    ) -> Clip:  # fmt: skip
        """A moving pattern with numbered images, from 0; cached per process for the same arguments."""
        return _test_pattern(codec, width, height, fps, round(seconds * fps), keyframe_every)

    @classmethod
    def from_images(
        cls, images: Iterable[Image], codec: Codec = "h264", fps: float = 25, keyframe_every: int = 25
    ) -> Clip:
        """Encode (H, W, 3) uint8 BGR images of one even size; raises ValueError for none, or a JPEG beyond RTP."""
        following = iter(images)
        first = next(following, None)
        if first is None:
            raise ValueError("a clip needs at least one image")
        coded = list(encode(chain([first], following), codec, fps, keyframe_every))
        units = tuple(AccessUnit(_payloads(codec, data), keyframe) for data, keyframe in coded)
        return cls(codec, first.shape[1], first.shape[0], fps, units, _format_parameters(codec, coded[0].data))

    def __len__(self) -> int:
        """The number of images in one pass."""
        return len(self.units)

    def is_spared(self, number: int) -> bool:
        """Whether a fault that spares key frames spares this image; false for JPEG, which has only key frames."""
        return self.units[number].keyframe and self.codec != "mjpeg"

    def next_keyframe(self, number: int) -> int:
        """The first key frame at or after ``number``, if necessary in the next pass."""
        following = range(number, number + len(self.units))
        return next(n % len(self.units) for n in following if self.units[n % len(self.units)].keyframe)


@lru_cache(maxsize=32)
def _test_pattern(codec: Codec, width: int, height: int, fps: float, count: int, keyframe_every: int) -> Clip:
    return Clip.from_images(numbered_images(width, height, fps, count), codec, fps, keyframe_every)


def _payloads(codec: Codec, data: bytes) -> tuple[bytes, ...]:
    if codec == "mjpeg":
        return tuple(jpeg_payloads(data))
    cut = h264_payloads if codec == "h264" else h265_payloads
    return tuple(cut(nal_units(data)))


def _format_parameters(codec: Codec, first: bytes) -> str:
    if codec == "mjpeg":
        return ""
    units = nal_units(first)
    if codec == "h264":
        sps, pps = (next(unit for unit in units if unit[0] & 0x1F == kind) for kind in (H264_SPS, H264_PPS))
        sets = f"{_base64(sps)},{_base64(pps)}"
        return f"packetization-mode=1;profile-level-id={sps[1:4].hex()};sprop-parameter-sets={sets}"
    kinds = {"sprop-vps": H265_VPS, "sprop-sps": H265_SPS, "sprop-pps": H265_PPS}
    found = {name: next(unit for unit in units if unit[0] >> 1 & 0x3F == kind) for name, kind in kinds.items()}
    return ";".join(f"{name}={_base64(unit)}" for name, unit in found.items())


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
