"""Our own client of RTSP cameras, because FFmpeg's

- completes an access unit only when the next one begins, one frame interval late; the marker bit tells it at once,
- hides lost packets, or tells them too late for the image that they belong to,
- authenticates with MD5 only, and follows redirects without a limit,
- accepts any certificate,
- keeps sender reports to itself until it believes them, and
- dates packets by the time of reading, not of arrival.

It reads H.264, H.265 and JPEG over TCP, UDP and TLS; for other codecs there is FFmpeg's reader.
"""

from stream.sources.network.rtsp.errors import UnsupportedCodec
from stream.sources.network.rtsp.reader import RtspReader

__all__ = ["RtspReader", "UnsupportedCodec"]
