"""A detector as a program of its own: ``python box_program.py ENDPOINT STREAM PERIOD_S JSON...`` binds, and sends each
JSON text in turn on boxes/STREAM, again and again, until it is killed. It shares no code with the product.
"""

from __future__ import annotations

import itertools
import sys
import time

import zmq


def main(endpoint: str, stream: str, period_s: str, *texts: str) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.bind(endpoint)
    for text in itertools.cycle(texts):
        socket.send(f"boxes/{stream}".encode().ljust(64, b"\0") + text.encode())
        time.sleep(float(period_s))


if __name__ == "__main__":
    main(*sys.argv[1:])
