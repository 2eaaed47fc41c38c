"""A stand-in for the GPU, for tests of what is asked of one and in which order."""

from __future__ import annotations

import pytest

from tests.engines.cuda_stand_in import Cuda, installed


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Streams, events and graphs that do everything at once, and a list of what they were asked."""
    return installed(monkeypatch)
