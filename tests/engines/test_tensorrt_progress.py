"""The progress of a build never decreases, whatever TensorRT reports."""

from __future__ import annotations

import pytest

from stream.engines.tensorrt.progress import Phases


def test_steps_of_a_phase_are_parts_of_its_parents_step() -> None:
    """Half of the second of four steps is 3/8."""
    phases = Phases()
    phases.start("build", None, 4)
    phases.step("build", 0)
    phases.start("tactics", "build", 10)
    phases.step("tactics", 4)
    assert phases.fraction() == pytest.approx(3 / 8)
    assert phases.innermost == "tactics"
    phases.finish("tactics")
    assert phases.innermost == "build"
    phases.step("build", 3)
    assert phases.fraction() == 1


def test_it_never_goes_back() -> None:
    """TensorRT starts phases of one name one after the other within one step of their parent."""
    phases = Phases()
    phases.start("build", None, 2)
    seen = []
    for _ in range(3):
        phases.start("formats", "build", 2)
        for step in range(2):
            phases.step("formats", step)
            seen.append(phases.fraction())
        phases.finish("formats")
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.5)


def test_a_finished_phase_takes_what_is_within_it_along() -> None:
    """Also names that it never started, and more steps than it announced, do no harm."""
    phases = Phases()
    phases.start("build", None, 1)
    phases.start("subgraph", "build", 0)
    phases.start("timing", "subgraph", 3)
    phases.finish("subgraph")
    assert phases.innermost == "build"
    phases.finish("unknown")
    phases.step("unknown", 1)
    phases.step("build", 7)
    assert phases.fraction() == 1
    phases.finish("build")
    assert phases.innermost == ""
    assert phases.fraction() == 1
