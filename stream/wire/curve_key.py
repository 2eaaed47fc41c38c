"""How a CURVE key is written, by whoever publishes and whoever reads."""

from __future__ import annotations

import re

KEY = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
"""Z85 (ZeroMQ RFC 32) of 32 bytes."""
