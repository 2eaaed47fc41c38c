"""Reads a camera in a process of its own, which a test stops and continues; prints a line for each access unit.

``python -m tests.sources.network.rtsp.rtsp_child URL TRANSPORT TLS``: ``media_s``, ``first_ns``, and how long after it
the access unit was read, in nanoseconds.
"""

from __future__ import annotations

import sys
from time import monotonic_ns

from stream.sources.network.access_unit import AccessUnit
from tests.sources.network.rtsp.rtsp_reading import reading


def main() -> None:
    url, transport, tls = sys.argv[1:]
    with reading(url, transport=transport, tls=tls) as reader:
        for item in reader.items():
            if isinstance(item, AccessUnit):
                sys.stdout.write(f"{item.media_s!r} {item.first_ns} {monotonic_ns() - item.first_ns}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
