"""How the certificate of a camera is verified, for rtsps and https alike."""

from __future__ import annotations

import ssl
from typing import Literal, Protocol


class Trust(Protocol):
    """Settings about certificates."""

    tls: Literal["verify", "insecure"]
    tls_ca: str | None


class BadAuthority(ValueError):
    """The file with certificates to verify against cannot be used; the message says why."""


def tls_context(trust: Trust) -> ssl.SSLContext:
    """Verify against the system's certificates, or those in ``tls_ca``, or not at all. Raises BadAuthority."""
    try:
        context = ssl.create_default_context(cafile=trust.tls_ca)
    except ssl.SSLError:
        why = "holds no certificate in PEM format; it begins with -----BEGIN CERTIFICATE-----"
        raise BadAuthority(f'tls_ca = "{trust.tls_ca}" {why}') from None
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise BadAuthority(f'tls_ca = "{trust.tls_ca}": {why}; check the path') from None
    if trust.tls == "insecure":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
