"""The interface of every engine: an object that runs a network, on whatever device."""

from __future__ import annotations

from typing import Any, Protocol

from stream.frames import Size


class Engine(Protocol):
    """A network that is ready to run.

    ``infer`` may be called by several threads at once, the other methods by one thread at a time.
    """

    @property
    def max_batch(self) -> int:
        """The largest number of images per call."""
        ...

    def infer(self, **inputs: Any) -> dict[str, Any]:
        """The network's outputs by name; they are valid until the same thread's next call.

        A depth network takes ``pixels`` (N, 3, h, w) float32, normalised RGB whose memory may be NHWC, and returns
        ``depth`` (N, h, w) float32, which the model still has to decode. Both are numpy arrays, or tensors of the
        engine's device. Raises EngineError.
        """
        ...

    def prepare(self, size: Size) -> None:
        """Get ready for network inputs of this size, so that the first one does not wait. Raises EngineError."""
        ...

    def describe(self) -> str:
        """One line for people: the network, how it runs and on which device."""
        ...

    def close(self) -> None:
        """Free the memory; closing twice is allowed."""
        ...
