"""Which options of `depthstream bench` belong together: one that would change nothing is a mistake."""

from __future__ import annotations

from collections.abc import Set

from stream.errors import UsageError

OF_ENGINE = ("model", "size", "batch", "precision", "weights")


def check_bench_options(given: Set[str]) -> None:
    """``given``: the options on the command line, without dashes. Raises UsageError for what does not fit together."""
    if "engine" in given:
        for name in ("models", "only"):
            if name in given:
                raise UsageError(f"--engine and --{name} ask for different things: give one of them")
        return
    for name in OF_ENGINE:
        if name in given:
            other = "; with --models it is --only NAME" if name == "model" and "models" in given else ""
            raise UsageError(f"--{name} is for --engine ENGINE only{other}")
