"""What an RTSP camera's refusals mean, and what to do: one line for each, never with a password."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from errno import EHOSTUNREACH, ENETUNREACH

from stream.errors import AccessDenied, SourceError
from stream.sources.network.errors import ENCODING_ADVICE, TransportRefused
from stream.sources.network.rtsp.address import Address
from stream.sources.network.rtsp.connection import HandshakeTimeout
from stream.sources.network.url import CameraUrl

LONGEST_PLACE, LONGEST_REASON = 200, 500
"""Characters of a message that a camera can fill: where it redirects to, and what is wrong with it."""


class UnsupportedCodec(SourceError):
    """The camera's codec is not one of ours; FFmpeg's own reader may know it."""


STATUSES: Mapping[int, str] = {
    400: "the camera does not understand the request (400); check the path",
    404: "the camera knows no such path (404); check the part after its address",
    405: "the camera does not allow this at this path (405); check the path",
    406: "the camera cannot describe the stream by SDP (406); choose another stream of the camera",
    408: "the camera waited too long for us (408); check the network",
    410: "the stream is gone for ever (410); check the path",
    415: "the camera cannot send this stream by RTP (415); choose another stream of the camera",
    451: "the camera does not understand a part of the path (451); check what stands behind the question mark",
    453: "the camera has too many viewers, or no bandwidth for one more (453); close others, or take a smaller stream",
    454: "the camera forgot the session (454); it may have restarted: connect again",
    455: "the camera cannot do this now (455); another viewer may control the stream: close others",
    457: "the camera does not accept the time range (457); check the path: recordings are not live",
    459: "the camera wants its tracks to be controlled one by one (459); choose another stream of the camera",
    460: "the camera wants its tracks to be controlled together (460); choose another stream of the camera",
    462: "the camera cannot reach this machine (462); check the network, or set transport to tcp",
    500: "the camera reports a fault of its own (500); restart the camera, or close other viewers",
    501: "the camera cannot do what every player needs (501); check the path, or update its firmware",
    502: "the server cannot reach the camera behind it (502); check that camera",
    503: "the camera is busy or still starts (503); wait, or close other viewers",
    504: "the server waited too long for the camera behind it (504); check that camera",
    505: "the camera speaks another version of RTSP (505); update its firmware",
    551: "the camera does not support an option of the request (551); update its firmware",
}
_SYSTEM = {
    ENETUNREACH: "the network is unreachable; check this machine's connection",
    EHOSTUNREACH: "no way to the host; is the camera on, and is the address right?",
}


class Blame:
    """Makes errors of one camera, each on the address that gave it."""

    def __init__(self, url: CameraUrl, open_s: float) -> None:
        self._url, self._open_s = url, open_s
        self._address: Address | None = None

    def turn_to(self, address: Address) -> None:
        """From now on errors are those of ``address``, to which the camera redirected."""
        self._address = address

    @property
    def label(self) -> str:
        """The camera's URL, and where it redirected to."""
        if self._address is None:
            return self._url.label
        return f"{self._url.label} -> {self._scrub(self._address.url.label)[:LONGEST_PLACE]}"

    def opening(self, reason: str) -> SourceError:
        hint = f"; {ENCODING_ADVICE}" if self._url.is_ambiguous else ""
        return SourceError(f"{self.label}: cannot be opened: {self._scrub(reason)}{hint}")

    def status(self, status: int, reason: str, method: str) -> SourceError:
        """The error for an answer other than 200, 401 or a redirect."""
        if status == 403:
            return self._forbidden()
        if status == 461:
            return self.transport_refused()
        if status in STATUSES:
            return self.opening(STATUSES[status])
        words = f"{status} {reason}".strip()
        whose = "the camera refuses the request" if status < 500 else "the camera reports a fault of its own"
        return self.opening(f"{whose} ({words}, to {method}); check the path, and the camera")

    def transport_refused(self) -> TransportRefused:
        return TransportRefused(f"{self.label}: the camera does not offer the transport; set transport to another one")

    def denied(self, has_credentials: bool, tried: str, offered: str) -> AccessDenied:
        """The error for a 401 that could not be answered. ``tried``: names of refused answers."""
        if not has_credentials:
            elsewhere = " (those of the first address are not carried to another host)" if self._was_left else ""
            wanted = f"asks for a user name and a password{elsewhere}; write them in front of the host, user:password@"
            return AccessDenied(f"{self.label}: the camera {wanted}; {ENCODING_ADVICE}")
        if not tried:
            known = "Basic and Digest with MD5 or SHA-256 are known here"
            return AccessDenied(
                f"{self.label}: the camera wants {self._scrub(offered) or 'no kind of'} authentication (401); {known}"
            )
        return AccessDenied(
            f"{self.label}: the camera refused the user name or the password (401, {tried}); check both; "
            f"{ENCODING_ADVICE}"
        )

    @property
    def _was_left(self) -> bool:
        return self._address is not None and self._url.has_credentials

    def _forbidden(self) -> AccessDenied:
        wanted = (
            "give the user the right to view it" if self._url.has_credentials else "it may want a user and password"
        )
        return AccessDenied(f"{self.label}: the camera forbids this stream (403); {wanted}, or check the path")

    def system(self, error: OSError) -> SourceError:
        """The error for a connection that was refused or broke while opening."""
        if isinstance(error, ConnectionRefusedError):
            return self.opening("connection refused; is the camera on, and is the port right?")
        if isinstance(error, HandshakeTimeout):
            return self.opening(f"no answer to TLS in {self._open_s:g} s; check the port, or begin with rtsp://")
        if isinstance(error, TimeoutError):
            return self.no_answer()
        if isinstance(error, ConnectionError):
            return self.opening(f"the camera cut the connection; {self._which_port}")
        return self.opening(_SYSTEM.get(error.errno or 0) or (error.strerror or str(error) or "it broke").lower())

    def no_answer(self) -> SourceError:
        return self.opening(
            f"no answer in {self._open_s:g} s; is the camera on? If it is only slow, raise open_s ({self._open_s:g} s)"
        )

    def hung_up(self) -> SourceError:
        return self.opening(f"the camera ended the connection without an answer; {self._which_port}")

    @property
    def _which_port(self) -> str:
        scheme = (self._url if self._address is None else self._address.url).scheme
        return "is the port right?" + (" If it is one for TLS, begin with rtsps://" if scheme != "rtsps" else "")

    def not_rtsp(self, what: str) -> SourceError:
        return self.opening(f"{what}; check the port, and that the address begins with rtsp:// or rtsps://")

    def tls(self, error: ssl.SSLError) -> SourceError:
        """The error for a failed TLS handshake."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self.opening(
                f"its certificate cannot be verified ({error.verify_message.rstrip('.')}); set tls_ca to a file with "
                'the certificate of the camera or of its issuer, or accept any with tls = "insecure"'
            )
        reason = (error.reason or str(error)).replace("_", " ").lower()
        if "wrong version number" in reason or "record layer" in reason or "packet length" in reason:
            return self.opening("it does not speak TLS there; check the port, or begin with rtsp://")
        return self.opening(f"no agreement on TLS ({reason}); the camera may be too old for it: update its firmware")

    def session_gone(self) -> SourceError:
        return self.reading(STATUSES[454])

    def unsupported(self, what: str) -> UnsupportedCodec:
        return UnsupportedCodec(f"{self.label}: {self._scrub(what)}")

    def reading(self, reason: str) -> SourceError:
        return SourceError(
            f"{self.label}: the connection broke: {self._scrub(reason)}; check the network and the camera"
        )

    def _scrub(self, text: str) -> str:
        """A camera's words must neither bring our secrets back nor control a terminal."""
        return self._url.scrub("".join(character for character in text if character.isprintable()))[:LONGEST_REASON]
