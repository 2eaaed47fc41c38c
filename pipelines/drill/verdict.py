"""The promises, and what a run says of them.

A promise is broken only if the measured figure is beyond it by more than this machine stood still meanwhile: less is
inconclusive. It is kept only if there was enough to measure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

from pipelines.drill.noise import Interval
from pipelines.drill.observation import Shown
from pipelines.drill.run import Run
from pipelines.drill.witness import rtp_ticks
from stream.core.clock import NS_PER_S

Verdict = Literal["kept", "broken", "inconclusive", "not measured", "no promise"]

YOUNG_S = 0.1
"""A stamped age may be below the true age by this much."""
BEHIND_S = 1.0
"""The true age of what is shown stays below this and one key frame interval."""
NOTICED_AFTER_S = 0.2
"""A stall is noticed this long after ``stall_s``, at the latest."""
BACK_S, BACK_AT_LEAST_S = 2.0, 3.0
"""A camera is back within 2 s and one key frame interval; 3 s if that is more."""
QUICK_TRIES, LATER_PAUSE_S = 5, 5.0
"""After five failed tries the pauses between them are longer by this much."""
STOP_S = 2.0
NAMED_S = 5.0
"""A broken clock is named after so long."""
OLD_S = 0.5
"""Once it is named, ages may be above the true ones by this much."""
GAP_S = 3.0
"""The longest time without an image where images must go on."""
BYSTANDER_GAP_S = 0.5
GROWTH_MB = 64.0
"""Memory may grow by this much in one scenario: the product's own bound of its queue."""
LEAST_FRAMES = 10


@dataclass(frozen=True)
class Finding:
    """One promise in one scenario."""

    promise: str
    promised: str
    measured: str
    verdict: Verdict
    value: float | None = None
    """The measured figure, in the unit of ``limit``; None if nothing was measured."""
    limit: float | None = None
    why: str = ""
    """What a reader must know in addition."""


class Figure(NamedTuple):
    """A measured figure in seconds, and the time in which a standstill of this machine may have added to it."""

    value_s: float
    during: Interval


def judge(run: Run) -> list[Finding]:
    """What the run says of every promise that its scenario touches."""
    return [finding for promise in PROMISES for finding in promise(run)]


def never_young(run: Run) -> Iterator[Finding]:
    """The stamp is never after the moment at which the camera sent the image, but for 100 ms."""
    figures = [Figure(true_s - shown.stamped_age_s, during) for shown, true_s, during in _aged(run)]
    yield _longest(run, "never young", figures, YOUNG_S, least=LEAST_FRAMES, of=len(run.shown))


def never_behind(run: Run) -> Iterator[Finding]:
    figures = [Figure(true_s, during) for _, true_s, during in _aged(run)]
    yield _longest(run, "never behind", figures, BEHIND_S + run.key_interval_s, least=LEAST_FRAMES, of=len(run.shown))


def noticed(run: Run) -> Iterator[Finding]:
    """A silent camera is given up after ``stall_s``, counted from its last image."""
    scenario, limit_s = run.scenario, run.stall_s + NOTICED_AFTER_S
    if not scenario.silences or scenario.stops_all or scenario.absent_at_start:
        return
    lost = next((each for each in run.losses_of(run.camera) if each.at_ns > run.fault.begin_ns), None)
    if lost is None:
        yield Finding("stall noticed", _up_to(limit_s), "not at all", "broken", limit=limit_s)
        return
    last_ns = max((each.at_ns for each in run.shown if each.at_ns < lost.at_ns), default=run.fault.begin_ns)
    yield _longest(run, "stall noticed", [_since(last_ns, lost.at_ns)], limit_s)


def back(run: Run) -> Iterator[Finding]:
    """Soon after the camera answers again there is an image that is not behind."""
    if not run.scenario.silences:
        return
    old_s, end_ns = BEHIND_S + run.key_interval_s, run.fault.end_ns
    limit_s = max(BACK_AT_LEAST_S, BACK_S + run.key_interval_s)
    tries = sum(each.at_ns < end_ns for each in run.losses_of(run.camera))
    if tries > QUICK_TRIES:
        limit_s += LATER_PAUSE_S
    fresh = (each.at_ns for each in run.shown if each.at_ns > end_ns and (run.true_age_s(each) or 0.0) <= old_s)
    first_ns = next(fresh, None)
    if first_ns is None:
        yield Finding("back", _up_to(limit_s), "not at all", "broken", limit=limit_s)
    else:
        yield _longest(run, "back", [_since(end_ns, first_ns)], limit_s)


def goes_on(run: Run) -> Iterator[Finding]:
    if run.scenario.shows_on:
        yield _longest(run, "images go on", _gaps(run.shown, run.fault), GAP_S)


def clock_named(run: Run) -> Iterator[Finding]:
    """A broken clock is named in the camera's health, and costs no more than the clock."""
    if not run.scenario.breaks_clock:
        return
    begin_ns = run.fault.begin_ns
    named = next((each for each in run.clock_faults if each.at_ns > begin_ns), None)
    if named is None:
        yield Finding("clock named", _up_to(NAMED_S), "not at all", "broken", limit=NAMED_S)
        return
    yield replace(
        _longest(run, "clock named", [_since(begin_ns, named.at_ns)], NAMED_S), why=f"its clock {named.fault}"
    )
    after = [
        Figure(shown.stamped_age_s - true_s, during)
        for shown, true_s, during in _aged(run)
        if named.at_ns < shown.at_ns < run.fault.end_ns
    ]
    yield _longest(run, "ages right without it", after, OLD_S, least=LEAST_FRAMES, of=len(after))


def called_clean(run: Run) -> Iterator[Finding]:
    """No image that differs from what the camera sent is called clean."""
    clean = [each for each in run.shown if each.integrity == "clean"]
    if run.clean_digests is not None:
        wrong = sum(each.digest not in run.clean_digests for each in clean)
    elif run.scenario.damages and run.damaged_ticks:
        wrong = sum(rtp_ticks(each) in run.damaged_ticks for each in clean)
    else:
        return
    found = _count("wrong but clean", wrong, f"{wrong} of {len(clean)}")
    if wrong and run.scenario.wrong_bits:
        why = "a decoder notices most wrong bits, not all: coded images have no checksum"
        found = replace(found, promised="-", verdict="no promise", limit=None, why=why)
    yield found


def accounted(run: Run) -> Iterator[Finding]:
    """Every number from 0 on is shown or left out, once."""
    wrong, total = 0, 0
    for camera in (run.camera, run.bystander):
        seqs = Counter(run.seqs_of(camera))
        total += sum(seqs.values())
        wrong += sum(count - 1 for count in seqs.values()) + (max(seqs, default=-1) + 1 - len(seqs))
    yield _count("unaccounted", wrong, f"{wrong} of {total}")


def bystander_undisturbed(run: Run) -> Iterator[Finding]:
    if run.scenario.stops_all:
        return
    lost = len(run.losses_of(run.bystander))
    if lost:
        yield _count("other camera", lost, f"{lost} reconnects")
    else:
        yield _longest(run, "other camera", _gaps(run.shown_of(run.bystander)), BYSTANDER_GAP_S)


def stopped(run: Run) -> Iterator[Finding]:
    ended = run.ended
    if ended is None:
        yield Finding("stop", _up_to(STOP_S), "not at all", "broken", limit=STOP_S)
        return
    during = Interval(ended.at_ns - round(ended.stop_s * NS_PER_S), ended.at_ns)
    yield _longest(run, "stop", [Figure(ended.stop_s, during)], STOP_S)
    measured = f"{len(ended.threads)} threads, {len(ended.files)} files"
    left = [*ended.threads, *ended.files]
    yield replace(_count("left behind", len(left), measured), why=", ".join(left))


def memory_bounded(run: Run) -> Iterator[Finding]:
    before = [each.bytes for each in run.memory if each.at_ns <= run.fault.begin_ns]
    later = [each.bytes for each in run.memory if each.at_ns > run.fault.begin_ns]
    if not before or not later:
        return
    growth = max(0.0, (max(later) - before[-1]) / 1e6)
    kept: Verdict = "kept" if growth <= GROWTH_MB else "broken"
    yield Finding("memory", f"<= +{GROWTH_MB:.0f} MB", f"+{growth:.0f} MB", kept, growth, GROWTH_MB)


PROMISES: tuple[Callable[[Run], Iterable[Finding]], ...] = (
    never_young,
    never_behind,
    noticed,
    back,
    goes_on,
    clock_named,
    called_clean,
    accounted,
    bystander_undisturbed,
    stopped,
    memory_bounded,
)


def _aged(run: Run) -> Iterator[tuple[Shown, float, Interval]]:
    """Frames with their true ages on arrival at the consumer, and the time that they were under way."""
    for shown in run.shown:
        sent_ns = run.witness.sent_ns(shown)
        if sent_ns is not None:
            yield shown, (shown.at_ns - sent_ns) / NS_PER_S, Interval(sent_ns, shown.at_ns)


def _gaps(shown: Iterable[Shown], within: Interval | None = None) -> list[Figure]:
    """The times without an image; those at the begin and the end of ``within`` count, too."""
    moments = [each.at_ns for each in shown]
    if within is not None:
        moments = [within.begin_ns, *(at for at in moments if within.begin_ns < at < within.end_ns), within.end_ns]
    return [_since(earlier, later) for earlier, later in pairwise(moments)]


def _since(earlier_ns: int, later_ns: int) -> Figure:
    return Figure((later_ns - earlier_ns) / NS_PER_S, Interval(earlier_ns, later_ns))


def _longest(
    run: Run, promise: str, figures: list[Figure], limit_s: float, *, least: int = 1, of: int | None = None
) -> Finding:
    """The verdict on the largest of ``figures``; ``least`` of them are needed, ``of`` is how many there could be."""
    promised = _up_to(limit_s)
    if len(figures) < least:
        why = f"{len(figures)} frames with a witness, of {of}" if of is not None else ""
        return Finding(promise, promised, "-", "not measured", limit=limit_s, why=why)
    worst = max(figures, key=lambda each: each.value_s - run.noise.within_s(each.during))
    if worst.value_s - run.noise.within_s(worst.during) > limit_s:
        over = sum(each.value_s - run.noise.within_s(each.during) > limit_s for each in figures)
        why = f"{over} of {len(figures)}, the worst {_moment(run, worst.during.end_ns)}"
        return Finding(promise, promised, _seconds(worst.value_s), "broken", worst.value_s, limit_s, why)
    largest = max(figures)
    if largest.value_s <= limit_s:
        return Finding(promise, promised, _seconds(largest.value_s), "kept", largest.value_s, limit_s)
    why = f"this machine stood still for {_seconds(run.noise.within_s(largest.during))} of it"
    return Finding(promise, promised, _seconds(largest.value_s), "inconclusive", largest.value_s, limit_s, why)


def _moment(run: Run, at_ns: int) -> str:
    """A moment as people tell it: relative to the fault."""
    if at_ns > run.fault.end_ns:
        return f"{_seconds((at_ns - run.fault.end_ns) / NS_PER_S)} after the fault"
    since_s = (at_ns - run.fault.begin_ns) / NS_PER_S
    return f"{_seconds(since_s)} into the fault" if since_s >= 0 else f"{_seconds(-since_s)} before the fault"


def _count(promise: str, number: int, measured: str) -> Finding:
    return Finding(promise, "0", measured, "broken" if number else "kept", number, 0)


def _up_to(limit_s: float) -> str:
    return f"<= {_seconds(limit_s)}"


def _seconds(value_s: float) -> str:
    # 0.0, because Python writes minus nothing as "-0"
    return f"{round(1e3 * value_s) + 0.0:.0f} ms" if abs(value_s) < 1 else f"{value_s:.2f} s"
