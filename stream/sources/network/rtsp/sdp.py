"""The camera's session description (RFC 4566), as far as video needs it; what makes no sense is left out."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream.frames import Size
from stream.sources.network.rtsp.payloads.nal import START_CODE

MOST_LINES = 4000
MOST_TRACKS = 32
MOST_TYPES = 32
"""Payload types of one track."""
MOST_SPROP_BYTES = 64 * 1024
VIDEO_RATE_HZ = 90_000
STATIC_TYPES = {26: "JPEG", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263"}
"""Payload types of video that need no rtpmap (RFC 3551, table 5)."""
CODECS = {"H264": "h264", "H265": "hevc", "HEVC": "hevc", "JPEG": "mjpeg"}
"""FFmpeg's names of the encodings that we read."""
SPROPS = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
LARGEST_SIDE_PX = 16_384


@dataclass(frozen=True)
class Track:
    """One medium of the description."""

    kind: str
    """video, audio, application, ..."""
    payload_type: int = -1
    encoding: str = ""
    """In capital letters: H264, H265, JPEG, ...; empty if it is not given."""
    rate_hz: int = VIDEO_RATE_HZ
    format: Mapping[str, str] = field(default_factory=dict)
    """``a=fmtp``, names in lower case."""
    control: str = ""
    size: Size | None = None
    fps: float = 0.0
    is_backchannel: bool = False
    """It is for sound or data towards the camera."""

    @property
    def codec(self) -> str | None:
        """FFmpeg's name; None for an encoding that we do not read."""
        return CODECS.get(self.encoding)

    @property
    def extradata(self) -> bytes:
        """The parameter sets of ``a=fmtp``, with start codes; those that are damaged are left out."""
        sets = (text for name in SPROPS for text in self.format.get(name, "").split(","))
        units = [unit for text in sets if self._is_parameter_set(unit := _decoded(text))]
        return b"".join(START_CODE + unit for unit in units)[:MOST_SPROP_BYTES]

    def _is_parameter_set(self, unit: bytes) -> bool:
        if len(unit) < 3:
            return False
        if self.encoding == "H264":
            return unit[0] & 0x1F in (7, 8, 13, 15)
        return unit[0] >> 1 & 0x3F in (32, 33, 34)


@dataclass(frozen=True)
class Description:
    """A session description."""

    tracks: tuple[Track, ...]
    control: str
    """Of the whole session; empty if it is not given."""

    @property
    def kinds(self) -> str:
        """For messages: ``audio, application``."""
        return ", ".join(dict.fromkeys(track.kind for track in self.tracks))

    @property
    def videos(self) -> list[Track]:
        return [track for track in self.tracks if track.kind == "video" and not track.is_backchannel]


def parse(text: bytes) -> Description:
    """Read a description, whatever it is."""
    sections: list[list[tuple[str, str]]] = [[]]
    for line in text[:1_000_000].decode(errors="replace").splitlines()[:MOST_LINES]:
        name, equals, value = "".join(filter(str.isprintable, line)).strip().partition("=")
        if not equals or len(name) != 1:
            continue
        if name == "m":
            if len(sections) > MOST_TRACKS:
                break
            sections.append([])
        sections[-1].append((name, value.strip()))
    tracks = tuple(_track(section) for section in sections[1:])
    return Description(tracks, _attributes(sections[0]).get("control", ""))


def resolve(base: str, control: str) -> str:
    """The URL of a control attribute; ``*`` and nothing stand for the base itself.

    A relative one is appended, behind a query, too: cameras mean it so, although RFC 2326 (C.1.1) says it otherwise.
    """
    if control in ("", "*"):
        return base
    if re.match(r"[a-z][a-z0-9+.-]*://", control, re.I):
        return control
    if control.startswith("/"):
        return re.sub(r"^([a-z]+://[^/]*).*", r"\1", base, count=1, flags=re.I | re.S) + control
    separator = "" if base.endswith("/") or control.startswith("?") else "/"
    return base + separator + control


def _track(lines: list[tuple[str, str]]) -> Track:
    media, attributes = lines[0][1].split(), _attributes(lines[1:])
    numbers = [int(word) for word in media[3:][:MOST_TYPES] if word.isascii() and word.isdigit() and len(word) < 4]
    kind = media[0].lower()[:20] if media else ""
    number, encoding, rate_hz = _encoding(numbers, lines)
    return Track(
        kind,
        number,
        encoding,
        rate_hz,
        dict(_format(_of_type(lines, "fmtp", number))),
        attributes.get("control", ""),
        _size(attributes, _of_type(lines, "framesize", number)),
        _fps(attributes.get("framerate", "")),
        "sendonly" in attributes,
    )


def _encoding(numbers: list[int], lines: list[tuple[str, str]]) -> tuple[int, str, int]:
    """Payload type, encoding and clock rate: of the first type that we read, else of the first type."""
    found = []
    for number in numbers:
        name, _, rate = _of_type(lines, "rtpmap", number).partition("/")
        digits = re.match(r"\s*(\d{1,9})", rate)
        encoding = name.strip().upper() or STATIC_TYPES.get(number, "")
        found.append((number, encoding, int(digits[1]) if digits and int(digits[1]) else VIDEO_RATE_HZ))
    readable = (entry for entry in found if entry[1] in CODECS)
    return next(readable, found[0] if found else (-1, "", VIDEO_RATE_HZ))


def _attributes(lines: list[tuple[str, str]]) -> dict[str, str]:
    """The first value of each attribute."""
    attributes: dict[str, str] = {}
    for name, value in lines:
        if name == "a":
            key, _, text = value.partition(":")
            attributes.setdefault(key.strip().lower(), text.strip())
    return attributes


def _of_type(lines: list[tuple[str, str]], attribute: str, number: int) -> str:
    """The value of an attribute that begins with a payload type, such as ``a=rtpmap:96 H264/90000``."""
    start = f"{attribute}:"
    for name, value in lines:
        if name == "a" and value.lower().startswith(start):
            head, _, rest = value[len(start) :].strip().partition(" ")
            if head == str(number):
                return rest.strip()
    return ""


def _format(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            yield name.strip().lower(), value.strip()


def _size(attributes: Mapping[str, str], framesize: str) -> Size | None:
    """``a=x-dimensions:1920,1080`` or ``a=framesize:96 1920-1080``."""
    found = re.match(r"(\d{2,5})\s*[,x]\s*(\d{2,5})", attributes.get("x-dimensions", ""))
    found = found or re.match(r"(\d{2,5})-(\d{2,5})", framesize)
    if found is None:
        return None
    size = Size(int(found[2]), int(found[1]))
    return size if max(size) <= LARGEST_SIDE_PX else None


def _fps(text: str) -> float:
    """``25``, ``29.97`` or ``30000/1001``; 0 if it makes no sense."""
    found = re.match(r"(\d{1,6}(?:\.\d{1,6})?)\s*(?:/\s*(\d{1,5}))?", text)
    if found is None:
        return 0.0
    fps = float(found[1]) / (int(found[2] or 1) or 1)
    return fps if fps <= 1000 else 0.0


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text.strip() + "=" * (-len(text.strip()) % 4), validate=True)
    except (Base64Error, ValueError):
        return b""
