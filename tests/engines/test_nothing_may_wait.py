"""torch's complaint of operations that wait, as the tests for a GPU use it; torch's own switch needs one."""

from __future__ import annotations

import warnings

import pytest
import torch

from tests.gpu.devices import nothing_may_wait


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was set; the first time torch says that the switch is new."""
    found: list[str] = []

    def switch(mode: str) -> None:
        if not found:
            text = (
                "Synchronization debug mode is a prototype feature and does not yet detect all synchronizing operations"
            )
            warnings.warn(text, UserWarning, stacklevel=2)
        found.append(mode)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", switch)
    return found


def test_that_the_switch_is_new_is_no_failure(modes: list[str]) -> None:
    """Warnings are errors here, and stay so inside."""
    with nothing_may_wait(), pytest.raises(UserWarning, match="prototype feature"):
        warnings.warn("another prototype feature", UserWarning, stacklevel=1)
    assert modes == ["error", "default"]


def test_the_next_test_may_wait_again(modes: list[str]) -> None:
    """Also after a failure inside."""
    with pytest.raises(AssertionError, match="waited"), nothing_may_wait():
        raise AssertionError("waited")
    assert modes == ["error", "default"]
