"""The answer to DESCRIBE: a camera's tracks as a session description (RFC 4566)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pipelines.drill.camera.clip import Clip
from pipelines.drill.camera.encode import Codec
from pipelines.drill.camera.rtp import CLOCK_HZ

Side = Literal["audio", "metadata", "backchannel"]
"""Tracks that are no video: G.711 sound, ONVIF's metadata, and sound towards the camera."""

TRACK = "track"
"""With its number it is a track's control URL, after the camera's own."""
PAYLOAD_TYPES: dict[Codec, int] = {"h264": 96, "h265": 96, "mjpeg": 26}
"""RTP payload types: JPEG has a fixed one (RFC 3551), the others use the first dynamic one."""
ENCODING_NAMES: dict[Codec, str] = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}
AUDIO_TYPE, METADATA_TYPE = 0, 107
AUDIO_HZ = 8_000


def describe(tracks: Clip | Sequence[Clip | Side]) -> bytes:
    """The session description of one clip, or of several tracks in this order."""
    tracks = [tracks] if isinstance(tracks, Clip) else tracks
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
        *(line for number, track in enumerate(tracks) for line in _track(number, track)),
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


def _track(number: int, track: Clip | Side) -> list[str]:
    lines = _video(track) if isinstance(track, Clip) else _SIDES[track]
    return [*lines, f"a=control:{TRACK}{number}"]


def _video(clip: Clip) -> list[str]:
    number = PAYLOAD_TYPES[clip.codec]
    return [
        f"m=video 0 RTP/AVP {number}",
        f"a=rtpmap:{number} {ENCODING_NAMES[clip.codec]}/{CLOCK_HZ}",
        *([f"a=fmtp:{number} {clip.format_parameters}"] if clip.format_parameters else []),
        f"a=framerate:{clip.fps:g}",
        f"a=x-dimensions:{clip.width},{clip.height}",
    ]


_AUDIO = [f"m=audio 0 RTP/AVP {AUDIO_TYPE}", f"a=rtpmap:{AUDIO_TYPE} PCMU/{AUDIO_HZ}"]
_SIDES: dict[Side, list[str]] = {
    "audio": [*_AUDIO, "a=recvonly"],
    "metadata": [
        f"m=application 0 RTP/AVP {METADATA_TYPE}",
        f"a=rtpmap:{METADATA_TYPE} vnd.onvif.metadata/{CLOCK_HZ}",
    ],
    "backchannel": [*_AUDIO, "a=sendonly"],
}
