"""Reads a camera in a process of its own, which a test stops and continues; prints what it saw, a line for each image.

``python -m tests.sources.network.http.reading_child URL TLS_CA``: the number of each image and its ``first_ns``; then
``behind`` and the message if the reader gave up, after which it opens a new connection, as the product does.
"""

from __future__ import annotations

import sys

from stream.errors import SourceBehind
from stream.settings import NetworkCamera
from stream.sources.network.http.opening import open_http
from stream.sources.network.url import CameraUrl


def main() -> None:
    url, ca = sys.argv[1:]
    settings = NetworkCamera(source="url", url=url, open_s=20, tls_ca=ca)
    while True:
        reader = open_http(settings, CameraUrl(url))
        assert reader is not None
        try:
            for unit in reader.items():
                say(f"{int(unit.data[20:30])} {unit.first_ns}")
            return
        except SourceBehind as error:
            say(f"behind {error}")
        finally:
            reader.close()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
