"""The preview window: a sink that keeps the newest views, and a loop on the main thread that shows them.

OpenCV's window functions belong to the main thread. A stage writes to ``WindowSink`` and never waits; the program
that runs the pipeline opens ``WindowLoop`` and calls ``poll`` until the user asks to end.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import Literal, Self, TypeAlias

from stream.core.view_controls import ViewControls
from stream.frames import Image, Size, View
from stream.sinks.window.display_check import open_display
from stream.sinks.window.layout import NO_SIZE, Layout
from stream.sinks.window.tiles import Mosaic, Row

Action: TypeAlias = Literal["end", "colormap", "range", "freeze", "help"]
ESCAPE = 27
ACTIONS: Mapping[str, Action] = {
    "q": "end",
    chr(ESCAPE): "end",
    "c": "colormap",
    "r": "range",
    " ": "freeze",
    "h": "help",
}
KEY_BITS = 0xFFFF
"""Mask for key codes: GTK puts modifiers such as Num Lock above these bits. With 0xFF the left arrow, 0xFF51, would
become a Q."""
POLL_MS = 20
MAX_SIZE = Size(900, 1600)
"""Largest initial size of the window, pixels; the user may enlarge it further."""
SCREEN_SHARE = 0.85
"""The initial size is also limited to this share of the screen, because of title bars and desktop panels."""
HELP_LINE_PX = 28
"""Height of the line that lists the keys, pixels."""


class WindowSink:
    """Keeps the newest view of each camera for the window, without a queue and without waiting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, View] = {}
        self._gone: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing: the last views stay for the window, which belongs to the main thread."""

    def write(self, item: View) -> None:
        """Replace the camera's view that the window has not shown yet."""
        with self._lock:
            self._newest[item.depth_map.frame.camera] = item

    def release(self, camera: str) -> None:
        """Take the camera's tile away; it gets a new one with its next view."""
        with self._lock:
            self._newest.pop(camera, None)
            self._gone.add(camera)

    def take_gone(self) -> set[str]:
        """Remove and return the cameras that were released since the last call."""
        with self._lock:
            gone, self._gone = self._gone, set()
        return gone

    def take(self) -> dict[str, View]:
        """Remove and return the newest view of each camera that delivered one since the last call, by camera."""
        with self._lock:
            newest, self._newest = self._newest, {}
        return newest


class WindowLoop:
    """One window for all cameras of a pipeline; every method must be called on the main thread.

    ``row`` is ``stream.render.panels.side_by_side``; ``cameras`` have a tile before their first image. Opening raises
    UsageError if no window can be opened (see ``open_display``), so open it before the pipeline starts.
    """

    def __init__(
        self, title: str, sink: WindowSink, controls: ViewControls, *, row: Row, cameras: Sequence[str] = ()
    ) -> None:
        self._title, self._sink, self._controls, self._row = title, sink, controls, row
        self._mosaic = Mosaic(row, cameras)
        self._screen = self._initial_size = NO_SIZE
        self._shapes: object = None
        self._open = self._shows_help = False
        self._frozen_at_ns: int | None = None
        self._shown: tuple[Image, str] | None = None

    def __enter__(self) -> Self:
        assert threading.current_thread() is threading.main_thread(), "window functions belong to the main thread"
        with open_display() as self._screen:
            import cv2

            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setWindowTitle(self._title, f"{self._title}  (h: keys, q: end)")
        self._open = True
        self._show()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the window if it is open. Call it before the pipeline drains: the window is not served meanwhile."""
        import cv2

        self._open = False
        with suppress(cv2.error):  # the window is closed already
            cv2.destroyWindow(self._title)
            cv2.waitKeyEx(1)  # makes Qt close it now and not at its next idle time

    def poll(self, timeout_ms: int = POLL_MS) -> bool:
        """Show new views and wait up to ``timeout_ms`` for a key; returns False once the user has closed the window.

        Call it continuously: the window answers the window system only during this call.
        """
        import cv2

        if self._open:
            self._show()
            code = cv2.waitKeyEx(max(1, timeout_ms))  # 0 would mean: wait for ever
            action = None if code == -1 else action_for(code)
            if action is not None:
                self._do(action)
            if action == "end" or not self._is_visible():
                self.close()
        return self._open

    def _do(self, action: Action) -> None:
        if action == "colormap":
            self._controls.next_colormap()
        elif action == "range":
            self._controls.toggle_frozen_ranges(self._mosaic.ranges)
        elif action == "freeze":
            self._frozen_at_ns = monotonic_ns() if self._frozen_at_ns is None else None
        elif action == "help":
            self._shows_help = not self._shows_help

    def _show(self) -> None:
        """Redraw the window if its content has changed."""
        import cv2

        now_ns = monotonic_ns() if self._frozen_at_ns is None else self._frozen_at_ns
        if self._frozen_at_ns is None:
            self._mosaic.remove(self._sink.take_gone())  # before the views: a camera may be back already
            self._mosaic.add(self._sink.take(), now_ns)
        image, line = self._mosaic.draw(now_ns, self._layout(now_ns), self._controls.frozen_ranges), self._help_line()
        before, self._shown = self._shown, (image, line)
        if before is None or before[0] is not image or before[1] != line:
            cv2.imshow(self._title, self._with_line(image, line) if line else image)

    def _layout(self, now_ns: int) -> Layout:
        """Layout that fits the cameras; once the user has resized the window, one that fills the window."""
        import cv2

        limit = Size(
            *(min(max_side, int(SCREEN_SHARE * side)) for max_side, side in zip(MAX_SIZE, self._screen, strict=True))
        )
        if self._shapes != self._mosaic.shapes:
            self._shapes = self._mosaic.shapes
            self._initial_size = Size(*self._mosaic.draw(now_ns, Layout(limit)).shape[:2])
            self._resize(self._initial_size)
        _, _, width, height = cv2.getWindowImageRect(self._title)
        size = Size(height, width)
        return Layout(limit) if size == self._initial_size or min(size) < 1 else Layout(size, size, math.inf)

    def _resize(self, size: Size) -> None:
        """Resize the window, and move it if it would reach beyond the screen."""
        import cv2

        x, y, _, _ = cv2.getWindowImageRect(self._title)
        cv2.resizeWindow(self._title, size.width, size.height)
        usable = Size(*(int((1 + SCREEN_SHARE) / 2 * side) for side in self._screen))
        if x + size.width > usable.width or y + size.height > usable.height:
            cv2.moveWindow(
                self._title, max(0, min(x, usable.width - size.width)), max(0, min(y, usable.height - size.height))
            )

    def _help_line(self) -> str:
        """Text of the line at the lower edge; empty for none."""
        is_frozen = self._frozen_at_ns is not None
        if self._shows_help:
            follows = "follows the scene" if not self._controls.frozen_ranges else "fixed"
            space = "go on" if is_frozen else "freeze"
            colours = f"c: colours ({self._controls.colormap})"
            return f"q: end   {colours}   r: range ({follows})   space: {space}   h: hide this"
        return "frozen   space: go on" if is_frozen else ""

    def _with_line(self, image: Image, line: str) -> Image:
        """A copy of ``image`` (H, W, 3) uint8 BGR with the line drawn over its lower edge."""
        height = min(image.shape[0], HELP_LINE_PX * 14)  # the row makes its strip 1/14 of the image's height
        strip = self._row([(line, image[:height])])[:-height]
        marked = image.copy()
        marked[-len(strip) :] = strip
        return marked

    def _is_visible(self) -> bool:
        import cv2

        try:
            return bool(cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # "NULL guiReceiver": with Qt, the last window has been closed
            return False


def action_for(code: int) -> Action | None:
    """The action for a key code of ``cv2.waitKeyEx``, capital letters included; None for every other key."""
    code &= KEY_BITS
    return ACTIONS.get(chr(code).lower()) if code < 128 else None
