"""A second process that reads what a pipeline publishes, as a robot would, and measures it for the pipeline's table."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Self

from stream.core.clock import NS_PER_MS
from stream.runtime.meters import Durations

END_TIMEOUT_S = 5.0
"""Time that the reader has to end by itself before it is killed."""


class ReaderProcess:
    """Runs ``depthstream watch`` on one stream while open (``with``); Ctrl-C does not reach it.

    If this process is killed, the reader ends too, and removes ``folder`` (see ``pipelines.cli.reader_child``).
    """

    def __init__(self, endpoint: str, stream: str, folder: str) -> None:
        """``folder`` holds the endpoint's socket, and nothing else."""
        watch = ["watch", endpoint, "--stream", stream, "--json"]
        self._command = [sys.executable, "-m", "pipelines.cli.reader_child", folder, *watch]
        self._lock = threading.Lock()
        self._ages = Durations()
        self._read = self._gaps = 0
        self._last_seq = -1

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._listen, args=(self._process.stdout,), name="reader process")
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # ends the reader
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()  # its pipe has ended with the process

    def statistics(self) -> Mapping[str, float]:
        """Frames read, gaps in their numbers (including frames the publisher dropped), and their age when read, ms."""
        with self._lock:
            age = self._ages.summary()
            return {
                "frames": self._read,
                "gaps": self._gaps,
                "age p50 ms": 1e3 * age.p50_s,
                "p95": 1e3 * age.p95_s,
            }

    def _listen(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self._take(json.loads(line))

    def _take(self, frame: Mapping[str, float]) -> None:
        with self._lock:
            seq = int(frame["seq"])
            if self._read:
                self._gaps += max(0, seq - self._last_seq - 1)
            self._read, self._last_seq = self._read + 1, seq
            self._ages.add(round(frame["age_ms"] * NS_PER_MS))
