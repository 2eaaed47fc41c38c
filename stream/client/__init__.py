"""The reader's side of a stream, for robots: receives depth over ZeroMQ. It imports neither torch nor OpenCV.

with Subscriber("tcp://127.0.0.1:5560", "front") as reader:
    depth = reader.read_latest(max_age_ms=300).depth()
"""

from __future__ import annotations

from stream.client.client_keys import ClientKeys
from stream.client.subscriber import Subscriber

__all__ = ["ClientKeys", "Subscriber"]
