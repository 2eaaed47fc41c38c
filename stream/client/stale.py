"""One-line explanations of why there is no fresh frame."""

from __future__ import annotations

from collections.abc import Iterator

from stream.client.health import ReaderHealth
from stream.client.link import LinkState
from stream.core.log import one_line

_TROUBLES: dict[LinkState, str] = {
    "connecting": "not connected: is the publisher running, and is the address right?",
    "refused": "the publisher does not know our key: the public one belongs into its folder clients/",
    "handshake failed": "the listener gave an unexpected answer: keys on one side only, or the wrong ones?",
    "connected": "",
}


def link_trouble(state: LinkState) -> str:
    """Advice for a connection that is not established; empty while connected."""
    return _TROUBLES[state]


def why_stale(beginning: str, health: ReaderHealth) -> str:
    """``beginning``, followed by the facts about the newest frame, the connection, the last status, and the clocks."""
    return one_line("; ".join([beginning, *_facts(health)]))


def _facts(health: ReaderHealth) -> Iterator[str]:
    yield "none has come yet" if health.age_ms is None else f"the newest is {health.age_ms:.0f} ms old"
    if health.link != "connected":
        yield link_trouble(health.link)
    if health.status:
        state, reason = health.status.get("state"), health.status.get("reason")
        yield f"last status {state}" + (f": {reason}" if reason else "")
    elif health.link == "connected" and health.age_ms is None:
        yield "connected, but this stream is not announced: is the name right?"
    if health.clocks == "ahead":
        yield (
            f"this machine's clock is {health.clock_offset_ms:.0f} ms ahead of the publisher's, or frames take so long "
            "to come here: set both clocks (NTP)"
        )
