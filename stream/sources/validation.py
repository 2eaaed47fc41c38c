"""What no waiting can make right in a camera's settings: found before anything is opened, so that nobody retries it."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

from stream.core.suggest import nearest
from stream.settings import NetworkCamera, WebcamCamera
from stream.sources.network.errors import ENCODE
from stream.sources.network.url import CameraUrl

NEED_A_HOST = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "mmsh", "mmst")
"""Of others it may be left out: udp://:5000 receives at every address of this machine."""
OTHERS = (
    *("rtp", "udp", "udplite", "tcp", "tls", "dtls", "srt", "rist", "sctp", "sap", "hls", "icecast", "ftp", "sftp"),
    *("smb", "rtmpe", "rtmpt", "rtmpte", "rtmpts", "amqp", "zmq", "gopher", "gophers", "ipfs", "ipns", "httpproxy"),
    *("prompeg", "file", "pipe", "fd", "unix", "async", "bluray", "cache", "concat", "concatf", "crypto", "data"),
    *("md5", "subfile"),
)
"""What else FFmpeg reads (ffmpeg.org/ffmpeg-protocols.html); not every build has all of them."""
MAY_COME_LATER = (".sdp", ".m3u8")
"""Files that another program writes when it begins to send."""
LAST_PORT = 65535
V4L_MAJOR = 81
"""Of the kernel's device numbers (Documentation/admin-guide/devices.txt)."""

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>//)?", re.I)


def config_error(camera: NetworkCamera | WebcamCamera) -> str | None:
    """What is wrong with the camera's address or device, in one line without passwords; None: it may work, or come."""
    if isinstance(camera, NetworkCamera):
        return _of_address(CameraUrl(camera.url))
    return _of_device(camera.device) if sys.platform == "linux" else None


def _of_address(url: CameraUrl) -> str | None:
    found = _SCHEME.match(url.full)
    scheme = found["scheme"].lower() if found else ""
    if url.scheme == "lavfi":
        return None
    if found is None or (not found["slashes"] and scheme not in OTHERS):
        return _of_file(url)
    if scheme not in (*NEED_A_HOST, *OTHERS):
        return f'"{url.label}": there are no {scheme}:// addresses{nearest(scheme, NEED_A_HOST)}'
    return _of_place(url) if found["slashes"] else None


def _of_file(url: CameraUrl) -> str | None:
    path = Path(url.full)
    if path.suffix.lower() in MAY_COME_LATER or os.path.exists(path):
        return None
    shown = f"***@{url.full.rpartition('@')[2]}" if "@" in url.full else url.label
    return f'"{shown}" is neither an address nor a file here; addresses begin with rtsp://, http:// or the like'


def _of_place(url: CameraUrl) -> str | None:
    host, port = url.place()
    if not host and url.scheme in NEED_A_HOST:
        return f'"{url.label}" names no host; write {url.scheme}://HOST/PATH'
    if port is None or (port.isdecimal() and int(port) <= LAST_PORT):
        return None
    if port.isdecimal():
        return f'"{url.label}": there is no port {port}; the last one is {LAST_PORT}'
    shown = url.label if url.has_credentials else f"{url.scheme}://{host}:***"
    return f'"{shown}": what follows the host\'s ":" is no port; {ENCODE}'


def _of_device(device: str) -> str | None:
    if device.isdigit():
        return None
    try:
        found = Path(device).stat()
    except OSError:
        absolute = Path(device).is_absolute()  # may be plugged in later
        return None if absolute else f'device "{device}" is neither a number nor a path such as /dev/video0'
    if stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == V4L_MAJOR:
        return None
    return f'device "{device}" is no camera; depthstream devices lists those that are'
