"""Access control as RTSP uses HTTP's: Basic, and Digest (RFC 7616, and RFC 2617 without qop) with several hashes."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Literal

from pipelines.drill.camera.messages import Request

Scheme = Literal["digest", "basic", "sha256", "md5-sess", "sha256-sess", "both", "both+basic"]
"""digest: MD5, as most cameras. sha256: that alone, as new ones. both: SHA-256 and MD5 offered together."""

REALM = "camera"
_OFFERS: dict[Scheme, tuple[str, ...]] = {
    "digest": ("MD5",),
    "basic": ("Basic",),
    "sha256": ("SHA-256",),
    "md5-sess": ("MD5-sess",),
    "sha256-sess": ("SHA-256-sess",),
    "both": ("MD5", "SHA-256"),
    "both+basic": ("Basic", "MD5", "SHA-256"),
}
_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass
class Access:
    """The current user, password and method."""

    user: str
    password: str = field(repr=False)
    scheme: Scheme = "digest"
    nonces: int = 0
    """Counts how often all nonces ended."""


class Guard:
    """Checks the requests of one connection; an accepted client stays accepted when the password changes."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._nonce = secrets.token_hex(16)
        self._nonces = access.nonces
        self._stale = False
        self._trusted: str | None = None

    @property
    def challenges(self) -> list[str]:
        """The values of ``WWW-Authenticate``."""
        return [self._challenge(offer) for offer in _OFFERS[self._access.scheme]]

    def admits(self, request: Request) -> bool:
        """Whether ``request`` has valid credentials."""
        if self._nonces != self._access.nonces:
            self._nonce, self._nonces, self._stale = secrets.token_hex(16), self._access.nonces, True
        scheme, _, proof = request.headers.get("authorization", "").partition(" ")
        password = self._access.password if self._trusted is None else self._trusted
        is_right = self._is_right_basic if scheme.lower() == "basic" else self._is_right_digest
        if scheme and is_right(proof, request.method, password):
            self._trusted, self._stale = password, False
            return True
        return False

    def _challenge(self, offer: str) -> str:
        if offer == "Basic":
            return f'Basic realm="{REALM}"'
        # The oldest form has neither an algorithm nor qop; clients must know both.
        newer = "" if self._access.scheme == "digest" else f', algorithm={offer}, qop="auth"'
        return f'Digest realm="{REALM}", nonce="{self._nonce}"{newer}{", stale=true" if self._stale else ""}'

    def _is_right_basic(self, proof: str, _method: str, password: str) -> bool:
        if "Basic" not in _OFFERS[self._access.scheme]:
            return False
        try:
            given = b64decode(proof, validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, f"{self._access.user}:{password}".encode())

    def _is_right_digest(self, proof: str, method: str, password: str) -> bool:
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(proof)}
        algorithm = fields.get("algorithm", "MD5")
        if algorithm not in _OFFERS[self._access.scheme]:
            return False
        if fields.get("username") != self._access.user or fields.get("nonce") != self._nonce:
            return False
        hashed = _sha256 if algorithm.startswith("SHA-256") else _md5
        secret, request = hashed(f"{self._access.user}:{REALM}:{password}"), hashed(f"{method}:{fields.get('uri', '')}")
        if algorithm.endswith("-sess"):
            secret = hashed(f"{secret}:{self._nonce}:{fields.get('cnonce', '')}")
        with_qop = [fields.get(name, "") for name in ("nc", "cnonce", "qop")] if "qop" in fields else []
        expected = hashed(":".join([secret, self._nonce, *with_qop, request]))
        return hmac.compare_digest(fields.get("response", "").encode(), expected.encode())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
