"""Decides for each frame whether a robot may take its numbers for distances."""

from __future__ import annotations

from stream.wire.codes import Flags, WireIntegrity, WireKind
from stream.wire.header import Header

_DAMAGE = {
    WireIntegrity.TAINTED: "damaged",
    WireIntegrity.FROZEN: "frozen: the camera sends the same one again and again",
    WireIntegrity.BLACK: "black",
}


def metres_fault(header: Header) -> str | None:
    """The reason why the numbers must not be taken for distances; None if nothing in the message speaks against it.

    Checked in this order: the kind, weights that were never trained, a guessed scale, and the integrity of the image.
    The first three stay until the publisher's settings change; the next image may be sound again.
    """
    if header.kind != WireKind.METRIC:
        return f"{header.topic} is {header.kind.name.lower()}, not metres: publish with a metric network"
    if Flags.RANDOM_WEIGHTS in header.flags:
        return f"{header.topic} comes from random weights, a speed test: publish with trained ones"
    if Flags.SCALE_GUESSED in header.flags:
        return f"{header.topic}: its metres are a guess: give the camera's intrinsics to the publisher"
    if header.integrity != WireIntegrity.CLEAN:
        return f"{header.topic} {header.seq}: the image was {_DAMAGE[header.integrity]}"
    return None
