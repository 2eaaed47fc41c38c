"""Several engines as one: the right one for each size, opened once, all closed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stream.engines.eager import EagerEngine
from stream.engines.opened import Opened
from stream.engines.sized import SizedEngines
from stream.errors import EngineError
from stream.frames import Size

CPU = torch.device("cpu")
WIDE, HIGH = Size(32, 64), Size(64, 32)


class Scaled(torch.nn.Module):
    """Depth that shows which engine gave it."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.sum(1) * self.factor


class Closing(EagerEngine):
    def __init__(self, factor: float) -> None:
        super().__init__(f"times {factor:g}", lambda: Scaled(factor), device=CPU, max_batch=2)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_each_size_has_its_engine_and_each_is_opened_once() -> None:
    """A third size shares what the second has."""
    shared, asked = Closing(3), []

    def open_for(size: Size) -> EagerEngine:
        asked.append(size)
        return Closing(2) if size == WIDE else shared

    engines = SizedEngines("net", 2, open_for)
    for size, factor in [(WIDE, 2), (HIGH, 3), (WIDE, 2), (Size(32, 32), 3)]:
        pixels = torch.randn(2, 3, *size)
        torch.testing.assert_close(engines.infer(pixels=pixels)["depth"], pixels.sum(1) * factor)
    engines.prepare(HIGH)
    assert asked == [WIDE, HIGH, Size(32, 32)]
    assert "times 2 by torch" in engines.describe()
    assert engines.describe().count("times 3 by torch") == 1


def test_closing_closes_everything_and_ends_it() -> None:
    """Also what was opened and then not used for any size; opening again after that is an error."""
    used, unused = Closing(1), Closing(2)
    spare = Opened(lambda: unused)
    assert spare() is spare()
    engines = SizedEngines("net", 1, lambda size: used, [spare, Opened(lambda: pytest.fail("never asked for"))])
    engines.prepare(WIDE)
    engines.close()
    engines.close()
    assert (used.closed, unused.closed) == (1, 1)
    with pytest.raises(EngineError, match="net: this engine is closed"):
        engines.infer(pixels=torch.zeros(1, 3, *WIDE))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"picture": torch.zeros(1, 3, 32, 64)}, "got: picture"),
        ({"pixels": torch.zeros(3, 32, 64)}, r"\(N, 3, h, w\)"),
        ({"pixels": torch.zeros(3, 3, 32, 64)}, "1 to 2 pictures at once; got 3"),
    ],
)
def test_nothing_is_opened_for_what_no_engine_takes(inputs: dict[str, Any], words: str) -> None:
    """An engine costs minutes; a mistake does not."""
    engines = SizedEngines("net", 2, lambda size: pytest.fail("opened"))
    with pytest.raises(EngineError, match=words):
        engines.infer(**inputs)


def test_a_size_without_any_engine_is_asked_for_again() -> None:
    """What failed once may be the moment's fault."""
    tries = []

    def open_for(size: Size) -> EagerEngine:
        tries.append(size)
        if len(tries) == 1:
            raise EngineError("out of luck")
        return Closing(1)

    engines = SizedEngines("net", 1, open_for)
    with pytest.raises(EngineError, match="out of luck"):
        engines.prepare(WIDE)
    engines.prepare(WIDE)
    assert len(tries) == 2
