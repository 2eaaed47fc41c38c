"""A broken promise is found, a kept one is not blamed, and a busy machine is no proof of either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pipelines.drill.noise import Interval, Noise
from pipelines.drill.observation import (
    Changed,
    ClockFault,
    Ended,
    LeftOut,
    Memory,
    Observation,
    Shown,
    Standstill,
    from_line,
    to_line,
)
from pipelines.drill.report import BEGIN_MARK, END_MARK, Outcome, Report, report_json, report_page, with_report
from pipelines.drill.run import Run
from pipelines.drill.scenarios import SCENARIOS, Scenario
from pipelines.drill.verdict import Finding, judge
from stream.frames import Integrity

MS = 1_000_000
S = 1_000_000_000
FRAME_NS = 40 * MS
CLEAN, WRONG = 1, 2
CAMERA, OTHER = "camera", "bystander"
FAULT = Interval(4 * S, 8 * S)
END_NS = 12 * S


class Sending:
    """A witness for whom image ``number`` was sent at ``number`` times 40 ms."""

    def sent_ns(self, shown: Shown) -> int | None:
        return None if shown.number is None else shown.number * FRAME_NS


def frame(number: int, late_s: float = 0.02, young_s: float = 0.0, integrity: Integrity = "clean") -> Shown:
    """Image ``number``, ``late_s`` after its sending, with a stamp ``young_s`` after its sending."""
    sent_ns = number * FRAME_NS
    at_ns, stamp_ns = sent_ns + round(late_s * S), sent_ns + round(young_s * S)
    return Shown(CAMERA, at_ns, number, stamp_ns, "arrival", number / 25, integrity, number, CLEAN)


def frames(*gaps: tuple[float, float]) -> list[Shown]:
    """12 s of a healthy camera at 25 fps, without the images of ``gaps``, seconds; numbers go on without them."""
    sent = (frame(n) for n in range(300) if not any(begin <= n / 25 < end for begin, end in gaps))
    return [replace(each, seq=seq) for seq, each in enumerate(sent)]


ENDED = Ended(END_NS, 0.1, (), ())


def run(scenario: str, seen: Sequence[Observation], *, standstills: Sequence[Standstill] = ()) -> Run:
    beside = [replace(each, camera=OTHER) for each in frames()]
    by_name = {each.name: each for each in SCENARIOS}
    every = (*seen, *beside, ENDED) if not any(isinstance(each, Ended) for each in seen) else (*seen, *beside)
    noise = Noise(standstills)
    return Run(by_name[scenario], CAMERA, OTHER, FAULT, every, noise, Sending(), frozenset({CLEAN}))


def finding(one: Run, promise: str) -> Finding:
    return next(each for each in judge(one) if each.promise == promise)


def replaced(seen: Sequence[Shown], number: int, new: Callable[[Shown], Shown]) -> list[Shown]:
    return [new(each) if each.number == number else each for each in seen]


def test_a_healthy_camera_keeps_every_promise() -> None:
    """And every figure is measured."""
    found = judge(run("healthy", frames()))
    assert {each.verdict for each in found} == {"kept"}
    assert {each.promise for each in found} >= {"never young", "never behind", "wrong but clean", "stop"}


def test_a_young_stamp_is_found() -> None:
    """One frame of 300, in the worst of which the stamp is 150 ms after the sending."""
    seen = replaced(frames(), 120, lambda each: frame(120, late_s=0.3, young_s=0.15))
    young = finding(run("healthy", seen), "never young")
    assert young.verdict == "broken"
    assert young.value == pytest.approx(0.15)
    assert "1 of 300" in young.why
    assert "into the fault" in young.why
    assert finding(run("healthy", seen), "never behind").verdict == "kept"


def test_an_old_image_with_an_honest_stamp_is_behind_and_not_young() -> None:
    """3 s, where 1 s and one key frame interval are promised."""
    one = run("healthy", replaced(frames(), 120, lambda each: frame(120, late_s=3.0)))
    assert finding(one, "never young").verdict == "kept"
    assert finding(one, "never behind").verdict == "broken"


def test_what_this_machine_added_itself_is_inconclusive() -> None:
    """It stood still for 0.4 s while the image was under way; at another time that is no excuse."""
    seen = replaced(frames(), 120, lambda each: frame(120, late_s=2.3))
    sent_ns = 120 * FRAME_NS
    during = run("healthy", seen, standstills=[Standstill(sent_ns + S, S * 4 // 10)])
    behind = finding(during, "never behind")
    assert behind.verdict == "inconclusive"
    assert "400 ms" in behind.why
    before = run("healthy", seen, standstills=[Standstill(sent_ns - S, S * 4 // 10)])
    assert finding(before, "never behind").verdict == "broken"
    too_little = run("healthy", seen, standstills=[Standstill(sent_ns + S, S * 2 // 10)])
    assert finding(too_little, "never behind").verdict == "broken"


def test_a_deliberate_pause_is_no_standstill() -> None:
    """The drill suspended the process itself."""
    standstills = [Standstill(6 * S, 2 * S), Standstill(9 * S, S // 2)]
    noise = Noise(standstills, deliberate=[Interval(4 * S, 6 * S)])
    assert noise.within_s(Interval(0, 12 * S)) == pytest.approx(0.5)
    assert noise.longest_s == pytest.approx(0.5)


def test_frames_without_a_witness_prove_nothing() -> None:
    """A user's camera of which the proxy understands nothing."""
    seen = [replace(each, number=None) for each in frames()]
    assert finding(run("healthy", seen), "never young").verdict == "not measured"


def lost(at_s: float, camera: str = CAMERA) -> Changed:
    return Changed(camera, round(at_s * S), "lost", "no image for 1.8 s")


@pytest.mark.parametrize(("at_s", "verdict"), [(5.9, "kept"), (6.5, "broken"), (None, "broken")])
def test_a_stall_must_be_noticed_in_time(at_s: float | None, verdict: str) -> None:
    """After the last image at 4 s; ``stall_s`` is 1.8 s."""
    seen = [*frames((4.0, 8.1)), *([lost(at_s)] if at_s else [])]
    assert finding(run("stall", seen), "stall noticed").verdict == verdict


@pytest.mark.parametrize(("back_s", "verdict"), [(8.5, "kept"), (11.5, "broken"), (12.0, "broken")])
def test_a_camera_must_be_back_in_time(back_s: float, verdict: str) -> None:
    """After the fault, which ends at 8 s."""
    assert finding(run("stall", [*frames((4.0, back_s)), lost(5.9)]), "back").verdict == verdict


def test_old_images_after_a_fault_are_not_back() -> None:
    """What had been held up is replayed; only then comes a fresh image."""
    replayed = [frame(n, late_s=4.0) for n in range(110, 200)]
    fresh = [frame(n) for n in range(290, 300)]
    assert finding(run("suspend", [*replayed, *fresh]), "back").verdict == "broken"


def test_a_wrong_image_called_clean_is_found() -> None:
    """A tainted one may be wrong."""
    wrong = replaced(frames(), 130, lambda each: replace(each, digest=WRONG))
    assert finding(run("loss", wrong), "wrong but clean").measured == "1 of 300"
    assert finding(run("loss", wrong), "wrong but clean").verdict == "broken"
    tainted = [replace(each, integrity="tainted") if each.digest == WRONG else each for each in wrong]
    assert finding(run("loss", tainted), "wrong but clean").verdict == "kept"


def test_wrong_bits_are_told_but_not_promised() -> None:
    """A decoder cannot notice all of them; without any that slipped through, the promise is kept as always."""
    wrong = replaced(frames(), 130, lambda each: replace(each, digest=WRONG))
    assert finding(run("corruption", wrong), "wrong but clean").verdict == "no promise"
    assert finding(run("corruption", frames()), "wrong but clean").verdict == "kept"
    assert Report(outcomes=[Outcome.of(run("corruption", wrong))]).exit_status == 0


def test_a_users_damaged_image_called_clean_is_found() -> None:
    """The proxy knows the RTP times of what it damaged."""
    one = replace(run("loss", frames()), clean_digests=None, damaged_ticks=frozenset({130 * 3600}))
    assert finding(one, "wrong but clean").value == 1


@pytest.mark.parametrize("how", ["gap", "twice"])
def test_frames_that_nobody_counted_are_found(how: str) -> None:
    """A number that is missing, and one that two frames have."""
    seen: list[Observation] = [each for each in frames() if how != "gap" or each.seq != 50]
    seen += [LeftOut(CAMERA, 2 * S, 50, "behind")] if how == "twice" else []
    assert finding(run("healthy", seen), "unaccounted").value == 1
    if how == "gap":
        seen.append(LeftOut(CAMERA, 2 * S, 50, "behind"))
        assert finding(run("healthy", seen), "unaccounted").verdict == "kept"


def test_a_broken_clock_must_be_named_and_cost_nothing() -> None:
    """2 s after the begin, and ages are right from then on; or not at all; or ages are too high."""
    named = ClockFault(CAMERA, 6 * S, "stands still")
    good = run("clock-stopped", [*frames(), named])
    assert {each.verdict for each in judge(good)} == {"kept"}
    assert "stands still" in finding(good, "clock named").why
    assert finding(run("clock-stopped", frames()), "clock named").verdict == "broken"
    old = [replace(each, stamp_ns=each.stamp_ns - 2 * S) for each in frames()]
    assert finding(run("clock-stopped", [*old, named]), "ages right without it").verdict == "broken"
    dark = run("clock-stopped", [*frames((4.0, 8.0)), named])
    assert finding(dark, "images go on").verdict == "broken"


def test_the_other_camera_must_not_be_disturbed() -> None:
    """Neither by a reconnect nor by a gap."""
    assert finding(run("stall", [*frames(), lost(5.0, OTHER)]), "other camera").verdict == "broken"
    one = run("stall", frames())
    gap = [each for each in one.observations if not (isinstance(each, Shown) and each.camera == OTHER
                                                     and 5 * S < each.at_ns < 6 * S)]  # fmt: skip
    assert finding(replace(one, observations=tuple(gap)), "other camera").verdict == "broken"


def test_what_is_left_behind_is_found() -> None:
    """A thread, a descriptor, a slow end, or none at all."""
    left = run("stall", [*frames(), replace(ENDED, threads=("receive.camera",), files=("socket:[1]",))])
    assert finding(left, "left behind").value == 2
    assert "receive.camera" in finding(left, "left behind").why
    assert finding(run("stall", [*frames(), replace(ENDED, stop_s=2.5)]), "stop").verdict == "broken"
    hung = replace(run("stall", frames()), observations=tuple(frames()))
    assert finding(hung, "stop").verdict == "broken"


def test_memory_that_grows_without_a_bound_is_found() -> None:
    """100 MB in one scenario."""
    memory = [Memory(3 * S, 100_000_000), Memory(9 * S, 200_000_000)]
    assert finding(run("healthy", [*frames(), *memory]), "memory").verdict == "broken"


@pytest.mark.parametrize(
    "observation",
    [frame(3), LeftOut(CAMERA, 1, 2, "rate"), lost(1.0), ClockFault(CAMERA, 1, "jumps"), Standstill(5, 4), ENDED,
     Ended(1, 0.5, ("a", "b"), ("socket:[7]",)), Memory(1, 2)],
)  # fmt: skip
def test_an_observation_survives_the_way_between_processes(observation: Observation) -> None:
    """As one line."""
    line = to_line(observation)
    assert "\n" not in line
    assert from_line(line) == observation


@pytest.mark.parametrize("line", ["", "null", "[]", "{}", '{"kind": "Shown"}', '{"kind": "Other"}', "log line"])
def test_another_line_is_no_observation(line: str) -> None:
    """A library that prints to standard output must not break the drill."""
    with pytest.raises(ValueError):  # noqa: PT011  # JSON's error is one, and ours
        from_line(line)


def test_a_broken_promise_makes_the_exit_status_1() -> None:
    """An inconclusive one does not."""
    report = Report(outcomes=[Outcome.of(run("healthy", frames()))])
    assert report.exit_status == 0
    report.outcomes.append(Outcome.of(run("stall", frames())))
    assert report.exit_status == 1
    data = report_json(report)
    assert data["broken"] == report.count("broken") > 0
    assert data["scenarios"][1]["scenario"] == "stall"
    assert "BROKEN" in str(report.outcomes[1].line).upper()


def test_results_take_the_place_of_the_old_ones_in_a_page() -> None:
    """What people wrote around them stays."""
    report = Report({CAMERA: "the test camera"}, [Outcome.of(run("healthy", frames()))])
    page = f"# Title\n\nbefore\n\n{BEGIN_MARK}\nold\n{END_MARK}\n\nafter\n"
    once = with_report(page, report)
    assert once.startswith("# Title\n\nbefore\n")
    assert once.endswith("\n\nafter\n")
    assert "old" not in once
    assert report_page(report) in once
    assert with_report(once, report) == once
    assert with_report("# Title\n", report).startswith("# Title\n\n")


def test_names_of_scenarios_are_words_for_a_command_line() -> None:
    """No two of them are the same."""
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)
    assert isinstance(SCENARIOS[0], Scenario)
    assert SCENARIOS[0].measures, "the first one tells the camera's rates, which others need"
