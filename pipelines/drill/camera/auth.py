"""Access control: HTTP's Digest (RFC 2617, with and without qop) and Basic, as RTSP uses them."""

from __future__ import annotations

import binascii
import hmac
import re
import secrets
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import md5
from typing import Literal

from pipelines.drill.camera.messages import Request

Scheme = Literal["digest", "basic"]

REALM = "camera"
_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass
class Access:
    """The current user, password and method."""

    user: str
    password: str = field(repr=False)
    scheme: Scheme = "digest"


class Guard:
    """Checks the requests of one connection; an accepted client stays accepted when the password changes."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._nonce = secrets.token_hex(16)
        self._trusted: str | None = None

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate``."""
        if self._access.scheme == "basic":
            return f'Basic realm="{REALM}"'
        return f'Digest realm="{REALM}", nonce="{self._nonce}"'

    def admits(self, request: Request) -> bool:
        """Whether ``request`` has valid credentials."""
        scheme, _, proof = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != self._access.scheme:
            return False
        password = self._access.password if self._trusted is None else self._trusted
        is_right = self._is_right_basic if scheme.lower() == "basic" else self._is_right_digest
        if is_right(proof, request.method, password):
            self._trusted = password
            return True
        return False

    def _is_right_basic(self, proof: str, _method: str, password: str) -> bool:
        try:
            given = b64decode(proof, validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, f"{self._access.user}:{password}".encode())

    def _is_right_digest(self, proof: str, method: str, password: str) -> bool:
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(proof)}
        if fields.get("username") != self._access.user or fields.get("nonce") != self._nonce:
            return False
        secret, request = _md5(f"{self._access.user}:{REALM}:{password}"), _md5(f"{method}:{fields.get('uri', '')}")
        with_qop = [fields.get(name, "") for name in ("nc", "cnonce", "qop")] if "qop" in fields else []
        expected = _md5(":".join([secret, self._nonce, *with_qop, request]))
        return hmac.compare_digest(fields.get("response", "").encode(), expected.encode())


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
