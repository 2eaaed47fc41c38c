"""What every engine offers: something that runs a network, wherever it runs."""

from __future__ import annotations

from typing import Any, Protocol

from stream.frames import Size


class Engine(Protocol):
    """A network that is ready to run. ``infer`` may be called by several threads at once; the rest by one."""

    @property
    def max_batch(self) -> int:
        """The most images that one call takes."""
        ...

    def infer(self, **inputs: Any) -> dict[str, Any]:
        """The network's outputs by name; they are valid until the same thread's next call.

        A depth network takes ``pixels`` (N, 3, h, w) float32, normalised RGB whose memory may be NHWC, and answers
        ``depth`` (N, h, w) float32, still to be decoded by the model: numpy arrays, or tensors of the engine's device.
        Raises EngineError.
        """
        ...

    def prepare(self, size: Size) -> None:
        """Make ready for network inputs of this size, so that the first one does not wait. Raises EngineError."""
        ...

    def describe(self) -> str:
        """One line for people: what runs, on what, how."""
        ...

    def close(self) -> None:
        """Give the memory back; closing twice is allowed."""
        ...
