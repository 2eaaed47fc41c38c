"""Which depth a robot may act on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.client.metres import metres_fault
from stream.wire.codes import Flags, WireIntegrity
from stream.wire.header import Header
from stream.wire.message import parse
from tests.client.sending import depth_map, packed


def header(kind: str = "metric", **changes: object) -> Header:
    made = parse(packed(depth_map(7, kind=kind))).header  # type: ignore[arg-type]
    return Header(**{**{name: getattr(made, name) for name in made.__slots__}, **changes})


def test_clean_metres_are_trusted() -> None:
    """Whatever else is flagged."""
    assert metres_fault(header()) is None
    assert metres_fault(header(flags=Flags.HOST_ARRIVAL | Flags.SCALE_CALIBRATED)) is None


@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
def test_other_kinds_are_not_metres(kind: str) -> None:
    assert metres_fault(header(kind)) == f"depth/front is {kind}, not metres: publish with a metric network"


@pytest.mark.parametrize(("flag", "word"), [(Flags.RANDOM_WEIGHTS, "random weights"), (Flags.SCALE_GUESSED, "guess")])
def test_numbers_that_are_made_up_are_not_trusted(flag: Flags, word: str) -> None:
    """Though they are called metres."""
    assert word in str(metres_fault(header(flags=flag | Flags.HOST_ARRIVAL)))


@pytest.mark.parametrize("integrity", [one for one in WireIntegrity if one])
def test_depth_of_a_bad_image_is_not_trusted(integrity: WireIntegrity) -> None:
    """Each sort has its word, and the number of the image."""
    assert str(metres_fault(header(integrity=integrity))).startswith("depth/front 7: the image was ")


def test_the_flag_of_a_guess_arrives() -> None:
    """From the depth map to the robot."""
    sent = replace(depth_map(), scale_guessed=True)
    assert "guess" in str(metres_fault(parse(packed(sent)).header))
    black = replace(sent, scale_guessed=False, frame=replace(sent.frame, integrity="black"))
    assert metres_fault(parse(packed(black)).header) == "depth/front 0: the image was black"
