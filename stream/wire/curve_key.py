"""Text form of a CURVE key, shared by publisher and client."""

from __future__ import annotations

import re

KEY = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
"""Z85 (ZeroMQ RFC 32) of 32 bytes."""
