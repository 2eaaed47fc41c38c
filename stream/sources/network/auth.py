"""Authentication of HTTP and RTSP: Basic (RFC 7617) and Digest (RFC 7616, and RFC 2617 without ``qop``).

The strongest challenge is answered first; a refused answer is followed by the next weaker algorithm of Digest, because
some cameras offer one that they cannot compute. Basic, which shows the password to every listener, is used only by a
camera that offers no Digest.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex

MOST_ANSWERS = 4
"""Answers to one request: more refusals than that, also of stale nonces, are a fault of the camera."""

_ITEM = re.compile(
    r"""(?P<name>[\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]*))"""
    r"""|(?P<scheme>[\w!#$%&'*+.^`|~-]+)"""
)
_HASHES: dict[str, Callable[[bytes], str]] = {
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
"""The hash functions of Digest, the strongest first."""
if "sha512_256" not in hashlib.algorithms_available:
    del _HASHES["SHA-512-256"]
_STRENGTHS = (*_HASHES, "Basic")


@dataclass(frozen=True)
class Challenge:
    """One challenge of ``WWW-Authenticate``."""

    scheme: str
    """As written: ``Digest``, ``basic``, ..."""
    fields: Mapping[str, str]
    """By lower-case name, without quotation marks; escapes stay as they are, because the hashes are made of them."""

    @property
    def algorithm(self) -> str:
        """``MD5``, ``SHA-256``, ... in upper case and without ``-SESS``; ``Basic``; empty for other schemes."""
        scheme = self.scheme.lower()
        if scheme == "digest":
            return (self.fields.get("algorithm") or "MD5").upper().removesuffix("-SESS")
        return "Basic" if scheme == "basic" else ""

    @property
    def name(self) -> str:
        """For messages: ``Digest SHA-256``, ``Basic``, ``Bearer``."""
        return f"Digest {self.fields.get('algorithm') or 'MD5'}" if self.scheme.lower() == "digest" else self.scheme

    @property
    def is_stale(self) -> bool:
        """The answer was right, but for a nonce that is too old."""
        return self.fields.get("stale", "").lower() == "true"


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges in the values of one or more ``WWW-Authenticate`` headers; what makes no sense is left out."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        for item in _ITEM.finditer(header):
            if item["scheme"] is not None:
                found.append((item["scheme"], {}))
            elif found:
                found[-1][1].setdefault(item["name"].lower(), item["quoted"] or item["plain"] or "")
    return [Challenge(scheme, fields) for scheme, fields in found]


class Authenticator:
    """The answers of one user to the challenges of one camera; belongs to one thread.

    >>> me = Authenticator("admin", "secret")
    >>> me.take(['Basic realm="camera"'])
    True
    >>> me.header("GET", "/image.jpg")
    'Basic YWRtaW46c2VjcmV0'
    """

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._answer: _Basic | _Digest | None = None
        self._tried: list[Challenge] = []

    def take(self, headers: Sequence[str]) -> bool:
        """Take the challenges of a 401 answer, the values of its ``WWW-Authenticate`` headers.

        False: none of them can be answered, or all answers were refused, so that the user or the password is wrong.
        Else repeat the request with ``header``.
        """
        challenges = parse_challenges(headers)
        chosen = self._choose(challenges)
        if chosen is None or len(self._tried) >= MOST_ANSWERS:
            return False
        self._tried.append(chosen)
        basic = chosen.algorithm == "Basic"
        self._answer = _Basic(self._user, self._password) if basic else _Digest(self._user, self._password, chosen)
        return True

    def header(self, method: str, uri: str) -> str | None:
        """The value of ``Authorization`` for a request; None before the first challenge was taken.

        ``uri`` must be the same text as in the request's first line.
        """
        return None if self._answer is None else self._answer.header(method, uri)

    def accepted(self) -> None:
        """The camera accepted the last answer: a later 401 means only that the nonce ended."""
        self._tried.clear()

    @property
    def tried(self) -> str:
        """The names of the refused answers, for a message: ``Digest SHA-256, Digest MD5``; empty before any."""
        return ", ".join(dict.fromkeys(challenge.name for challenge in self._tried))

    def _choose(self, challenges: list[Challenge]) -> Challenge | None:
        known = sorted((c for c in challenges if self._is_known(c)), key=lambda c: _STRENGTHS.index(c.algorithm))
        if known and known[0].algorithm != "Basic":
            known = [challenge for challenge in known if challenge.algorithm != "Basic"]
        refused = {challenge.algorithm for challenge in self._tried}
        return next((c for c in known if c.is_stale or c.algorithm not in refused), None)

    def _is_known(self, challenge: Challenge) -> bool:
        if challenge.algorithm == "Basic":
            return ":" not in self._user  # the colon would begin the password
        offered = challenge.fields.get("qop")
        return challenge.algorithm in _HASHES and "nonce" in challenge.fields and (not offered or _offers_auth(offered))


class _Basic:
    def __init__(self, user: str, password: str) -> None:
        self._value = "Basic " + b64encode(f"{user}:{password}".encode()).decode()

    def header(self, _method: str, _uri: str) -> str:
        return self._value


@dataclass
class _Digest:
    user: str
    password: str = field(repr=False)
    challenge: Challenge
    cnonce: str = field(default_factory=lambda: token_hex(16))
    count: int = 0
    """Requests answered with this nonce."""

    def header(self, method: str, uri: str) -> str:
        """RFC 7616, sections 3.4.1 to 3.4.4; without ``qop`` it is RFC 2069's shorter form, as old cameras need it."""
        given, self.count = self.challenge.fields, self.count + 1
        realm, nonce = given.get("realm", ""), given["nonce"]
        request = self._hash(f"{method}:{uri}")
        counted = [f"{self.count:08x}", self.cnonce, "auth"] if given.get("qop") else []
        response = self._hash(":".join([self._secret(realm, nonce), nonce, *counted, request]))
        hides_user = given.get("userhash", "").lower() == "true"
        user = self._hash(f"{self.user}:{realm}") if hides_user else re.sub(r'(["\\])', r"\\\1", self.user)
        parts = [f'username="{user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{uri}"', f'response="{response}"']
        parts += [f"algorithm={given['algorithm']}"] if "algorithm" in given else []
        parts += [f'opaque="{given["opaque"]}"'] if "opaque" in given else []
        parts += [f'qop=auth, nc={counted[0]}, cnonce="{self.cnonce}"'] if counted else []
        parts += ["userhash=true"] if hides_user else []
        return "Digest " + ", ".join(parts)

    def _secret(self, realm: str, nonce: str) -> str:
        secret = self._hash(f"{self.user}:{realm}:{self.password}")
        is_session = self.challenge.fields.get("algorithm", "").upper().endswith("-SESS")
        return self._hash(f"{secret}:{nonce}:{self.cnonce}") if is_session else secret

    def _hash(self, text: str) -> str:
        return _HASHES[self.challenge.algorithm](text.encode())


def _offers_auth(qop: str) -> bool:
    return "auth" in (word.strip().lower() for word in qop.split(","))
