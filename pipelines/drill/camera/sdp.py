"""The answer to DESCRIBE: a clip as a session description (RFC 4566)."""

from __future__ import annotations

from pipelines.drill.camera.clip import Clip
from pipelines.drill.camera.encode import Codec

TRACK = "track0"
"""The only track's control URL, after the camera's own."""
CLOCK_HZ = 90_000
PAYLOAD_TYPES: dict[Codec, int] = {"h264": 96, "h265": 96, "mjpeg": 26}
"""RTP payload types: JPEG has a fixed one (RFC 3551), the others use the first dynamic one."""
ENCODING_NAMES: dict[Codec, str] = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}


def describe(clip: Clip) -> bytes:
    """The session description of ``clip``."""
    number = PAYLOAD_TYPES[clip.codec]
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {number}",
        f"a=rtpmap:{number} {ENCODING_NAMES[clip.codec]}/{CLOCK_HZ}",
        *([f"a=fmtp:{number} {clip.format_parameters}"] if clip.format_parameters else []),
        f"a=framerate:{clip.fps:g}",
        f"a=control:{TRACK}",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
