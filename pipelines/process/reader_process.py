"""A second process that reads what a pipeline publishes, as a robot would; its figures go into the pipeline's table."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Self

from stream.core.clock import NS_PER_MS
from stream.runtime.stats import Durations

END_S = 5.0


class ReaderProcess:
    """``depthstream watch`` on one stream, from ``with`` to its end; Ctrl-C does not reach it.

    If this process is killed, the reader ends too, and removes ``folder`` (see ``pipelines.cli.reader_child``).
    """

    def __init__(self, endpoint: str, stream: str, folder: str) -> None:
        """``folder``: where the endpoint's socket lies, and nothing else."""
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
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._listen, args=(self._process.stdout,), name="reader process")
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()

    def statistics(self) -> Mapping[str, float]:
        """Frames read, images left out between them (the publisher's drops included), and their age when read."""
        with self._lock:
            age = self._ages.spread()
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
