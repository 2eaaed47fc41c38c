"""A window beside a pipeline: views go in on a stage's thread, the window is served on the main thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.core.view_controls import ViewControls
from stream.render.panels import side_by_side
from stream.sinks.window.sink import WindowLoop, WindowSink


@dataclass(frozen=True, slots=True)
class Preview:
    """What a pipeline feeds and reads; ``window`` shows it."""

    controls: ViewControls
    sink: WindowSink = field(default_factory=WindowSink)

    def window(self, title: str, cameras: Sequence[str]) -> WindowLoop:
        """For the main thread; open it by ``with``, before the pipeline: UsageError says where no window can be."""
        return WindowLoop(title, self.sink, self.controls, row=side_by_side, cameras=cameras)
