"""Checks that a window can be opened before OpenCV tries, because Qt aborts the process if it cannot."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.errors import UsageError
from stream.frames import Size

UNKNOWN_SCREEN = Size(1080, 1920)
"""Assumed screen size, pixels, if it cannot be queried."""

ADVICE = "start it from a desktop session (over ssh: ssh -X), or run without the window"


@contextmanager
def open_display() -> Iterator[Size]:
    """Yield the size of the screen, pixels; open the first window inside this context.

    Raises UsageError without a display, with one that cannot be reached, with an OpenCV that has no window functions,
    or without the system libraries that OpenCV's wheel needs for windows.
    """
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise _window_error("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)", ADVICE)
    import cv2

    toolkit = cv2.currentUIFramework()
    if not toolkit:
        advice = "pip uninstall opencv-python-headless, then pip install --force-reinstall opencv-python"
        raise _window_error(f"OpenCV {cv2.__version__} was installed without window functions", advice)
    if not toolkit.startswith("QT"):
        yield UNKNOWN_SCREEN
        return
    # The wheel has Qt's X11 plugin only; the QT_QPA_PLATFORM=wayland that many Wayland desktops set would abort us.
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    _check_libraries(Path(cv2.__file__).with_name("qt") / "plugins" / "platforms" / "libqxcb.so")
    with _x11_connection() as size:
        yield size


def _check_libraries(plugin: Path) -> None:
    """Raise UsageError unless the wheel's X11 plugin loads; an OpenCV that is no wheel has its plugins elsewhere."""
    if plugin.exists():
        try:
            ctypes.CDLL(str(plugin))
        except OSError as error:
            packages = "apt-get install libx11-6 libxext6 libxcb1 libsm6 libice6 libgl1 libglib2.0-0"
            raise _window_error(f"a system library is missing: {error}", packages) from error


class _ScreenIterator(ctypes.Structure):
    """xcb_screen_iterator_t; a screen has width and height as 16-bit numbers after five 32-bit ones (xproto.h)."""

    _fields_ = (("data", ctypes.POINTER(ctypes.c_uint16)), ("rem", ctypes.c_int), ("index", ctypes.c_int))


@contextmanager
def _x11_connection() -> Iterator[Size]:
    """Connect as Qt will, with the same address and the same authority file, and yield the size of the screen.

    The connection stays open until Qt has its own: Xvfb restarts when its last client leaves, and refuses connections
    meanwhile.
    """
    name = os.environ.get("DISPLAY")
    if not name:
        raise _window_error(
            "OpenCV needs an X server and DISPLAY is not set", "start Xwayland, or run without the window"
        )
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:  # not the wheel: its Qt was linked in some other way
        yield UNKNOWN_SCREEN
        return
    # The default, a 32-bit int, would cut these pointers.
    xcb.xcb_connect.restype = xcb.xcb_get_setup.restype = ctypes.c_void_p
    xcb.xcb_setup_roots_iterator.restype = _ScreenIterator
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    try:
        if xcb.xcb_connection_has_error(connection):
            raise _window_error(f'the X server of DISPLAY="{name}" cannot be reached or refuses the connection', ADVICE)
        screen = xcb.xcb_setup_roots_iterator(ctypes.c_void_p(xcb.xcb_get_setup(connection)))
        yield Size(screen.data[11], screen.data[10])
    finally:
        xcb.xcb_disconnect(connection)


def _window_error(why: str, advice: str) -> UsageError:
    return UsageError(f"cannot open a window: {why}; {advice}")
