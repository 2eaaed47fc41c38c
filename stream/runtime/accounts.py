"""The account of every camera at every terminal, from the counters of the stages and channels (``Account``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from stream.runtime.stats import Account, DropKey, EdgeStats, StageStats


def accounts(
    stages: Mapping[str, StageStats],
    edges: Mapping[str, EdgeStats],
    feeders: Mapping[str, Sequence[str]],
) -> Iterator[Account]:
    """One account for each camera at each terminal: a stage or a channel that feeds nothing.

    ``feeders`` are the stages that feed the channel into a stage (or to a reader outside of the graph), by the name of
    the reader.
    """
    feeding = {name for names in feeders.values() for name in names}
    for terminal in dict.fromkeys((*stages, *edges)):
        if terminal not in feeding:
            above = _upstream(terminal, feeders)
            for camera in _cameras(above, stages, edges):
                yield _account(terminal, camera, above, stages, edges)


def _upstream(name: str, feeders: Mapping[str, Sequence[str]]) -> list[str]:
    """``name`` and everything that feeds it, from the terminal up."""
    above = {name: None}
    places = [name]
    for place in places:  # grows while it is walked
        new = [feeder for feeder in feeders.get(place, ()) if feeder not in above]
        above.update(dict.fromkeys(new))
        places += new
    return places


def _cameras(above: Sequence[str], stages: Mapping[str, StageStats], edges: Mapping[str, EdgeStats]) -> list[str]:
    sources = [stages[place] for place in above if place in stages and place not in edges]
    return sorted({camera for source in sources for camera in source.taken})


def _account(
    terminal: str,
    camera: str,
    above: Sequence[str],
    stages: Mapping[str, StageStats],
    edges: Mapping[str, EdgeStats],
) -> Account:
    captured, dropped = 0, Counter[str]()
    for place in reversed(above):
        if place in edges:
            dropped.update(_drops(edges[place].name, camera, edges[place].dropped))
        elif place in stages:
            captured += stages[place].taken.get(camera, 0)
        if place in stages:
            dropped.update(_drops(place, camera, stages[place].dropped))
    arrived = stages[terminal].passed if terminal in stages else edges[terminal].taken
    return Account(terminal, camera, captured, arrived.get(camera, 0), dict(dropped))


def _drops(where: str, camera: str, dropped: Mapping[DropKey, int]) -> dict[str, int]:
    return {f"{reason} ({where})": count for (owner, reason), count in dropped.items() if owner == camera and count}
