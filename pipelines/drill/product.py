"""The drill's handle on the product side: starts it as a process, listens to it, suspends it, stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from time import monotonic_ns
from typing import IO, Self

from pipelines.drill.child import Assignment
from pipelines.drill.noise import Interval
from pipelines.drill.observation import Changed, Ended, Observation, Ready, from_line
from stream.core.clock import Deadline
from stream.errors import DepthStreamError

LOAD_S = 60.0
"""Time to load the libraries, on a machine that does much else."""
END_S = 20.0
LOOK_S = 0.1


class ProductEnded(DepthStreamError):
    """The product side has ended by itself: a fault of the product, whatever the camera did."""


class Product:
    """The product side of one scenario, running inside its ``with`` block."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self._assignments = assignments
        self._changed = threading.Condition()
        self._observations: list[Observation] = []
        self._pauses: list[Interval] = []
        self._suspended_ns: int | None = None
        self._closed = False

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()  # closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.drill.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the drill, which ends it
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._listen, args=(self._process.stdout,), name="product", daemon=True)
        self._thread.start()
        # Not as an argument, which every user of the machine can read: there is a password in the address.
        self._say(json.dumps([asdict(each) for each in self._assignments]))
        self.wait_for(lambda seen: any(isinstance(each, Ready) for each in seen), LOAD_S)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.resume()
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._log.close()

    @property
    def pauses(self) -> tuple[Interval, ...]:
        """The intervals in which it was suspended."""
        return tuple(self._pauses)

    def observations(self) -> list[Observation]:
        """Everything it has reported so far, in order."""
        with self._changed:
            return list(self._observations)

    def wait_for(self, condition: Callable[[Sequence[Observation]], bool], timeout_s: float) -> bool:
        """Wait until ``condition`` holds for all observations; False if it does not come to hold in time.

        Raises ProductEnded.
        """
        deadline = Deadline.after(timeout_s)
        with self._changed:
            while not condition(self._observations):
                if self._closed:
                    raise ProductEnded(f"the product side of the drill has ended by itself: {self._last_words()}")
                if deadline.passed:
                    return False
                self._changed.wait(min(LOOK_S, deadline.left_s))
            return True

    def trouble(self, camera: str) -> str:
        """The last trouble that was reported of ``camera``; empty if there was none."""
        changes = (each for each in self.observations() if isinstance(each, Changed) and each.camera == camera)
        return next((each.trouble for each in reversed(list(changes)) if each.trouble), "")

    def suspend(self) -> None:
        """Stop the process as a laptop's lid or a debugger does."""
        self._suspended_ns = monotonic_ns()
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; nothing happens if it is not suspended."""
        if self._suspended_ns is not None:
            os.kill(self._process.pid, signal.SIGCONT)
            self._pauses.append(Interval(self._suspended_ns, monotonic_ns()))
            self._suspended_ns = None

    def stop(self) -> bool:
        """Ask it to stop and wait for its last word; False if that does not come."""
        with suppress(BrokenPipeError):
            self._say("stop")
        return self.wait_for(lambda seen: bool(seen) and isinstance(seen[-1], Ended), END_S)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _listen(self, lines: IO[str]) -> None:
        for observation in _parsed(lines):
            with self._changed:
                self._observations.append(observation)
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _parsed(lines: IO[str]) -> Iterator[Observation]:
    for line in lines:
        with suppress(ValueError):
            yield from_line(line)
