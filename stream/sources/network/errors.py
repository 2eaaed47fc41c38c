"""Translates FFmpeg's exceptions into ours: one line with what went wrong and what to do next, never a password.

PyAV's exceptions contain the whole URL, in ``str``, ``args`` and ``filename``, and the last line of the log, even if
another camera caused it. So only the system's error text is shown, and they must not become a ``__cause__``.
"""

from __future__ import annotations

from errno import EHOSTUNREACH, EINVAL, EIO, ENETUNREACH, EPROTONOSUPPORT

from stream.errors import AccessDenied, SourceError, SourceStalled
from stream.sources.network.url import CameraUrl

ALMOST = 0.9
"""Share of a time-out that counts as all of it: FFmpeg may give up a little early, with any of several errors."""


class TransportRefused(SourceError):
    """The camera answers, but does not send over the requested transport (TCP or UDP)."""


_OPENING = {
    "HTTPNotFoundError": "the camera knows no such path (404); check the part after its address",
    "HTTPBadRequestError": "the camera does not understand the request (400); check the path",
    "HTTPTooManyRequestsError": "the camera has too many viewers (429); close others",
    "HTTPOtherClientError": "the camera refuses the request (4xx); check the path, and how many viewers it allows",
    "HTTPServerError": "the camera reports a fault of its own (5xx); restart it, or close other viewers",
    "ConnectionRefusedError": "connection refused; is the camera on, and is the port right?",
    "ConnectionResetError": "the camera cut the connection; is the port right?",
    "EOFError": "the camera ended the connection without an answer; is the port right?",
    "BrokenPipeError": "the camera ended the connection without an answer; is the port right?",
    "InvalidDataError": "the address sends no video stream; check the address, the port and the path",
    "ProtocolNotFoundError": "no such kind of address; use rtsp://, http://, https://, udp://, rtp:// or lavfi:",
    "DemuxerNotFoundError": "no such kind of stream",
    "FilterNotFoundError": "FFmpeg has no filter of this name; see ffmpeg.org/ffmpeg-filters.html",
    "DecoderNotFoundError": "no decoder for this codec; set the camera to H.264, H.265 or MJPEG",
    "FileNotFoundError": "no such file; check the path, or begin with rtsp:// if it is a camera",
    "PermissionError": "not permitted; check your right to read it",
}
_SYSTEM = {
    EIO: "the host is unknown or does not answer; check its name",
    EINVAL: "the address makes no sense; check it, the port above all",
    ENETUNREACH: "the network is unreachable; check this machine's connection",
    EHOSTUNREACH: "no way to the host; is the camera on, and is the address right?",
}
"""By errno, for errors without a PyAV class of their own."""
_READING = {
    "ConnectionResetError": "the camera cut the connection",
    "HTTPUnauthorizedError": "the camera no longer accepts the password",
    "HTTPNotFoundError": "the stream is gone (404)",
    "HTTPServerError": "the camera reports a fault of its own (5xx)",
}
# ExitError comes from the time-outs that av.open takes, TimeoutError from the socket's.
_INTERRUPTED = ("ExitError", "TimeoutError")
# A server that accepts and never answers ends in InvalidDataError, which also means "no video".
_HUNG_UP = (*_INTERRUPTED, "InvalidDataError", "EOFError", "OSError")
"""Exceptions with which opening may end when its time is over."""
ENCODING_ADVICE = (
    "write special characters of a password percent-encoded (@ is %40, / is %2F, : is %3A, # is %23, % is %25)"
)


def on_opening(error: Exception, url: CameraUrl, waited_s: float, open_s: float) -> SourceError:
    """The error for the exception that ``av.open`` raised after ``waited_s`` seconds."""
    kind = type(error).__name__
    if kind in ("HTTPUnauthorizedError", "HTTPForbiddenError"):
        return _denied(url, "401" if kind == "HTTPUnauthorizedError" else "403")
    if _errno(error) == EPROTONOSUPPORT:  # RTSP 461
        return TransportRefused(f"{url.label}: the camera does not offer the transport; set transport to another one")
    if kind in _INTERRUPTED or (kind in _HUNG_UP and waited_s >= ALMOST * open_s):
        reason = f"no answer in {waited_s:.1f} s; is the camera on? If it is only slow, raise open_s ({open_s:g} s)"
    else:
        reason = _OPENING.get(kind) or _SYSTEM.get(_errno(error)) or _system_text(error)
    return SourceError(f"{url.label}: cannot be opened: {reason}{_hint(url)}")


def on_reading(error: Exception, url: CameraUrl, waited_s: float, stall_s: float) -> SourceError:
    """The error for the exception that reading the next packet raised after ``waited_s`` seconds."""
    kind = type(error).__name__
    if kind in _INTERRUPTED or waited_s >= ALMOST * stall_s:
        return stalled(url, waited_s, stall_s)
    if kind in ("HTTPUnauthorizedError", "HTTPForbiddenError"):
        return _denied(url, "401" if kind == "HTTPUnauthorizedError" else "403")
    reason = _READING.get(kind) or ("it ended in the middle" if _errno(error) == EIO else _system_text(error))
    return SourceError(f"{url.label}: the connection broke: {reason}; check the network and the camera")


def ended(url: CameraUrl) -> SourceError:
    """The error for a live stream that ended: it should go on for ever."""
    return SourceError(f"{url.label}: the camera ended the stream; it may have restarted: connect again")


def stalled(url: CameraUrl, waited_s: float, stall_s: float) -> SourceStalled:
    """The error for a stream without packets for longer than allowed."""
    advice = f"check the camera and the network, or raise stall_s ({stall_s:g} s) if it is slow by nature"
    return SourceStalled(f"{url.label}: no image for {waited_s:.1f} s; {advice}")


def silent(url: CameraUrl, open_s: float) -> SourceStalled:
    """The error for a camera that answers everything and then sends nothing."""
    return SourceStalled(
        f"{url.label}: the camera answers, but sends nothing for {open_s:g} s; has it too many viewers, or does a "
        'firewall stop UDP? Try the other transport ("tcp", "udp")'
    )


def undecodable(url: CameraUrl, waited_s: float, limit_s: float, codec: str, words: str) -> SourceStalled:
    """The error for data that came for longer than allowed without an image; ``words``: the decoder's, if any."""
    says = f"; its {codec} decoder says: {words}" if words else ""
    return SourceStalled(
        f"{url.label}: data comes, but no image could be decoded for {waited_s:.1f} s (allowed: {limit_s:g} s){says}; "
        f"set the camera to send key frames more often, once a second say, or open_s to more than their distance, and "
        f"check that it sends {codec}"
    )


def no_video(url: CameraUrl, kinds: str) -> SourceError:
    """``kinds``: the kinds of streams that the camera sends instead."""
    return SourceError(f"{url.label}: sends no video ({kinds or 'nothing at all'}); check the path and the camera")


def no_decoder(url: CameraUrl) -> SourceError:
    """The error for a codec that this build of FFmpeg cannot decode."""
    return SourceError(f"{url.label}: no decoder for its codec; set the camera to H.264, H.265 or MJPEG")


def _denied(url: CameraUrl, status: str) -> AccessDenied:
    if not url.has_credentials:
        wanted = "asks for a user name and a password; write them in front of the host, user:password@"
        return AccessDenied(f"{url.label}: the camera {wanted}; {ENCODING_ADVICE}")
    return AccessDenied(
        f"{url.label}: the camera refused the user name or the password ({status}); check both; {ENCODING_ADVICE}"
    )


def _hint(url: CameraUrl) -> str:
    return f"; {ENCODING_ADVICE}" if url.is_ambiguous else ""


def _errno(error: Exception) -> int:
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) else 0


def _system_text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__).lower()
