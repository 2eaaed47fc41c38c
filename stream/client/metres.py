"""Whether a robot may act on what a message holds: one question, asked of each frame."""

from __future__ import annotations

from stream.wire.codes import Flags, WireIntegrity, WireKind
from stream.wire.header import Header

_IMAGES = {
    WireIntegrity.TAINTED: "damaged",
    WireIntegrity.FROZEN: "frozen: the camera sends the same one again and again",
    WireIntegrity.BLACK: "black",
}


def metres_fault(header: Header) -> str | None:
    """Why its numbers must not be taken for distances; None if nothing in the message speaks against it.

    In this order: the kind, weights that were never trained, a scale that is a guess, and the image it was made from.
    The first three stay until somebody changes the publisher's settings; an image is better the next time, maybe.
    """
    if header.kind != WireKind.METRIC:
        return f"{header.topic} is {header.kind.name.lower()}, not metres: publish with a metric network"
    if Flags.RANDOM_WEIGHTS in header.flags:
        return f"{header.topic} comes from random weights, a speed test: publish with trained ones"
    if Flags.SCALE_GUESSED in header.flags:
        return f"{header.topic}: its metres are a guess: give the camera's intrinsics to the publisher"
    if header.integrity != WireIntegrity.CLEAN:
        return f"{header.topic} {header.seq}: the image was {_IMAGES[header.integrity]}"
    return None
