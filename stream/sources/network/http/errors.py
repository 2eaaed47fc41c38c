"""What went wrong with a camera that speaks HTTP: one line with the meaning and what to do next, never a password."""

from __future__ import annotations

import socket
import ssl
from errno import EHOSTUNREACH, ENETUNREACH

from stream.errors import AccessDenied, SourceBehind, SourceError
from stream.settings import NetworkCamera
from stream.sources.network.errors import ENCODING_ADVICE
from stream.sources.network.url import CameraUrl

_STATUSES = {
    400: "the camera does not understand the request (400); check the path, and whether it wants https://",
    404: "the camera knows no such path (404); check the part after its address",
    405: "the camera sends nothing at this path (405); check the path",
    406: "the camera sends no kind of image at this path (406); check the path",
    407: "a proxy asks for a password (407); give the address of the camera itself",
    408: "the camera did not get the request in time (408); check the network",
    410: "the camera no longer has this path (410); check the path",
    421: "the camera does not serve this host name (421); check the host",
    426: "the camera wants another protocol (426); try https://",
    429: "the camera has too many viewers or requests (429); close others, or lower fps",
    451: "the camera may not show this (451)",
    500: "the camera reports a fault of its own (500); check the path, or restart the camera",
    501: "the camera cannot do this (501); check the path",
    502: "a gateway gets no good answer from the camera (502); is the camera on?",
    503: "the camera is busy or starting (503); close other viewers, or wait",
    504: "a gateway gets no answer from the camera (504); is the camera on?",
    505: "the camera does not speak HTTP/1.1 (505); it is too old for this reader",
}
LONGEST_PLACE, LONGEST_REASON = 200, 500
"""Characters of a message that a camera can fill: where it leads to, and what is wrong with it."""


class Failures:
    """The errors of one camera. ``to`` names where the camera sent the request on to, if it did."""

    def __init__(self, settings: NetworkCamera, url: CameraUrl) -> None:
        self._settings, self._url = settings, url
        self._label = url.label

    def to(self, url: str) -> None:
        """From now on ``url`` is to blame, to which the camera's answer led."""
        self._label = f"{self._scrub(CameraUrl(url).label)[:LONGEST_PLACE]} (where {self._url.label} leads)"

    def opening(self, reason: str) -> SourceError:
        """The address cannot be opened because of ``reason``."""
        hint = f"; {ENCODING_ADVICE}" if self._url.is_ambiguous else ""
        return SourceError(f"{self._label}: cannot be opened: {self._scrub(reason)}{hint}")

    def breaking(self, error: OSError | ValueError) -> SourceError:
        """An open stream broke with ``error``."""
        if not isinstance(error, OSError):  # Python's errors of certificates are both
            return SourceError(f"{self._label}: the stream makes no sense: {error}; restart the camera")
        if isinstance(error, ConnectionResetError):
            reason = "the camera cut the connection"
        else:
            reason = self._url.scrub(str(error.strerror or type(error).__name__).lower())
        return SourceError(f"{self._label}: the connection broke: {reason}; check the network and the camera")

    def on_error(self, error: OSError | ValueError) -> SourceError:
        """The error for what a request raised."""
        return self.opening(self._system(error) if isinstance(error, OSError) else str(error))

    def on_status(self, status: int) -> SourceError:
        """The error for an answer that is neither a success, nor a redirect, nor about passwords."""
        kinds = {4: "refuses the request", 5: "reports a fault of its own"}
        advice = {4: "check the path", 5: "restart the camera, or close other viewers"}
        other = f"the camera {kinds.get(status // 100, 'answers oddly')} ({status}); " + advice.get(
            status // 100, "check the path"
        )
        return self.opening(_STATUSES.get(status, other))

    def no_data(self) -> SourceError:
        """The camera answered, and then sent no data in time."""
        return self.opening(
            f"the camera answered, but sent too little in {self._settings.open_s:g} s; check the path and the camera"
        )

    def empty(self) -> SourceError:
        """The answer was a success without content."""
        return self.opening("the camera answered with nothing; check the path")

    def page(self, kind: str) -> SourceError:
        """``kind``: text/html, ..."""
        return self.opening(
            f"a web page or text came ({kind}), no image; is it a login page, or is the path wrong? "
            "Look at the address in a browser, or find the camera's MJPEG or snapshot path in its manual"
        )

    def other_image(self) -> SourceError:
        """An image came in a format that is not read."""
        return self.opening("an image came that is neither JPEG, PNG, BMP nor WebP; set the camera to JPEG")

    def denied(self, status: int, *, had_user: bool, was_sent: bool, tried: str, offered: str) -> AccessDenied:
        """``tried``: the refused kinds of answers; ``offered``: the kinds that the camera asked for."""
        if not had_user:
            asks = "asks for a user name and a password" if status == 401 else "denies access without a password (403)"
            advice = f"write them in front of the host, user:password@; {ENCODING_ADVICE}"
            return AccessDenied(f"{self._label}: the camera {asks}; {advice}")
        if status == 403:
            how = "does not permit this to the user" if was_sent else "denies access without asking for the password"
            return AccessDenied(f"{self._label}: the camera {how} (403); check the user's rights and the path")
        if not tried:
            reason = (
                f"the camera asks for a kind of password check that is unknown ({self._scrub(offered) or 'none named'})"
            )
            return AccessDenied(f"{self._label}: {reason}; set it to Digest or Basic")
        return AccessDenied(
            f"{self._label}: the camera refused the user name or the password (401, {tried}); check both; "
            f"{ENCODING_ADVICE}"
        )

    def not_carried(self) -> AccessDenied:
        """Another host, to which the camera led, wants a password."""
        return AccessDenied(
            f"{self._label}: asks for a password, and the one of the first address is not sent to another host; "
            "write this address into the config, with the password"
        )

    def behind(self, waited_s: float) -> SourceBehind:
        """So much data waited here for ``waited_s`` seconds that more waits at the camera."""
        return SourceBehind(
            f"{self._label}: data waited {waited_s:.1f} s to be read, and more may wait at the camera; a new "
            "connection starts at the newest image; if it happens often, this machine is too busy"
        )

    def _scrub(self, text: str) -> str:
        """A camera's words must neither bring our secrets back nor control a terminal."""
        return self._url.scrub("".join(character for character in text if character.isprintable()))[:LONGEST_REASON]

    def _system(self, error: OSError) -> str:
        reason = _by_type(error, self._settings)
        if reason is None and isinstance(error, ssl.SSLError):
            reason = _tls(error)
        return reason or str(error.strerror or type(error).__name__).lower()


def _by_type(error: OSError, settings: NetworkCamera) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        why, against = error.verify_message.rstrip("."), settings.tls_ca or "the system's certificates"
        return (
            f"its certificate is not accepted ({why}; verified against {against}); set tls_ca to a file with the "
            'certificate that signed it, or tls = "insecure" to accept any, also an attacker\'s'
        )
    if isinstance(error, TimeoutError):
        return f"no answer in {settings.open_s:g} s; is the camera on? If it is only slow, raise open_s"
    if isinstance(error, socket.gaierror):
        return "the host is unknown; check its name, and this machine's name server"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the camera on, and is the port right?"
    if isinstance(error, ConnectionError):
        return "the camera ended the connection without an answer; is the port right?"
    unreachable = {
        ENETUNREACH: "the network is unreachable; check this machine's connection",
        EHOSTUNREACH: "no way to the host; is the camera on, and is the address right?",
    }
    return unreachable.get(error.errno or 0)


def _tls(error: ssl.SSLError) -> str:
    name = (error.reason or "").lower().replace("_", " ")
    if name in ("wrong version number", "record layer failure", "packet length too long"):
        return "the port does not speak TLS; begin the address with http://, or check the port"
    return f"TLS failed ({name or 'the connection ended'}); the camera's TLS may be too old: try http://"
