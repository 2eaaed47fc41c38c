"""Camera settings that can never work; checked before anything is opened, so that they are not retried for ever."""

from __future__ import annotations

import os
import re
import stat
import sys
from functools import lru_cache
from pathlib import Path

from stream.core.suggest import nearest
from stream.settings import NetworkCamera, WebcamCamera
from stream.sources.network.errors import ENCODING_ADVICE
from stream.sources.network.trust import BadAuthority, tls_context
from stream.sources.network.url import CameraUrl

HOST_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "mmsh", "mmst")
"""Schemes that need a host. With others it is optional: udp://:5000 receives at every address of this machine."""
OTHER_SCHEMES = (
    *("rtp", "udp", "udplite", "tcp", "tls", "dtls", "srt", "rist", "sctp", "sap", "hls", "icecast", "ftp", "sftp"),
    *("smb", "rtmpe", "rtmpt", "rtmpte", "rtmpts", "amqp", "zmq", "gopher", "gophers", "ipfs", "ipns", "httpproxy"),
    *("prompeg", "file", "pipe", "fd", "unix", "async", "bluray", "cache", "concat", "concatf", "crypto", "data"),
    *("md5", "subfile"),
)
"""The other protocols of FFmpeg (ffmpeg.org/ffmpeg-protocols.html); not every build has all of them."""
OPTIONAL_SCHEMES = ("srt", "rist", "smb", "sftp", "amqp", "zmq", "rtmpe", "rtmpte", "sctp", "bluray")
"""Protocols that need libraries which builds of FFmpeg may lack."""
CREATED_LATER = (".sdp", ".m3u8")
"""Suffixes of files that another program writes when it begins to send: they may be missing at the start."""
LAST_PORT = 65535
V4L_MAJOR = 81
"""Major number of Video4Linux devices (Linux: Documentation/admin-guide/devices.txt)."""

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>//)?", re.I)


def config_error(camera: NetworkCamera | WebcamCamera) -> str | None:
    """What is wrong with the camera's address or device, in one line without passwords; None if it may work."""
    if isinstance(camera, NetworkCamera):
        return _address_error(CameraUrl(camera.url)) or _certificates_error(camera)
    return _device_error(camera.device) if sys.platform == "linux" else None


def _certificates_error(camera: NetworkCamera) -> str | None:
    if camera.tls_ca is None:
        return None
    try:
        tls_context(camera)
    except BadAuthority as error:
        return str(error)
    return None


def _address_error(url: CameraUrl) -> str | None:
    found = _SCHEME.match(url.full)
    scheme = found["scheme"].lower() if found else ""
    if url.scheme == "lavfi":
        return None
    if found is None or (not found["slashes"] and scheme not in OTHER_SCHEMES):
        return _file_error(url)
    if scheme not in (*HOST_SCHEMES, *OTHER_SCHEMES):
        return f'"{url.label}": there are no {scheme}:// addresses{nearest(scheme, HOST_SCHEMES)}'
    if scheme in OPTIONAL_SCHEMES and not _is_built_in(scheme):
        return f'"{url.label}": the FFmpeg in PyAV was built without {scheme}://; source = "gstreamer" may read it'
    return _host_error(url) if found["slashes"] else None


@lru_cache
def _is_built_in(scheme: str) -> bool:
    """Whether PyAV's FFmpeg knows the protocol: it has no list of them, but refuses an unknown one at once."""
    import av

    try:
        av.open(f"{scheme}://", timeout=(0.2, 0.2)).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError):
        return True  # it misses the host
    return True


def _file_error(url: CameraUrl) -> str | None:
    path = Path(url.full)
    if path.suffix.lower() in CREATED_LATER or os.path.exists(path):
        return None
    # A URL that lost its rtsp:// may still hold a password, and CameraUrl finds none without a scheme.
    shown = f"***@{url.full.rpartition('@')[2]}" if "@" in url.full else url.label
    return f'"{shown}" is neither an address nor a file here; addresses begin with rtsp://, http:// or the like'


def _host_error(url: CameraUrl) -> str | None:
    host, port = url.host_and_port()
    if not host and url.scheme in HOST_SCHEMES:
        return f'"{url.label}" names no host; write {url.scheme}://HOST/PATH'
    if port is None or (port.isdecimal() and int(port) <= LAST_PORT):
        return None
    if port.isdecimal():
        return f'"{url.label}": there is no port {port}; the last one is {LAST_PORT}'
    # A port that is no number may be part of a password: it is shown only where the credentials were recognised.
    shown = url.label if url.has_credentials else f"{url.scheme}://{host}:***"
    return f'"{shown}": what follows the host\'s ":" is no port; {ENCODING_ADVICE}'


def _device_error(device: str) -> str | None:
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
