"""A preview window for a pipeline: a stage's thread delivers views, the main thread shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.core.view_controls import ViewControls
from stream.render.panels import side_by_side
from stream.sinks.window.sink import WindowLoop, WindowSink


@dataclass(frozen=True, slots=True)
class Preview:
    """The part of a preview window that a pipeline needs; ``window`` shows it."""

    controls: ViewControls
    sink: WindowSink = field(default_factory=WindowSink)

    def window(self, title: str, cameras: Sequence[str]) -> WindowLoop:
        """The window's main loop, for the main thread; open it by ``with`` before the pipeline starts.

        Opening raises UsageError where no window can be shown.
        """
        return WindowLoop(title, self.sink, self.controls, row=side_by_side, cameras=cameras)
