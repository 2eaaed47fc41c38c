"""The preview window as far as it goes without a display: newest views, tiles, keys, and clear errors."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from stream.core import view_controls
from stream.core.clock import NS_PER_S
from stream.core.view_controls import ViewControls
from stream.errors import UsageError
from stream.frames import Image, Size
from stream.render.colormap import COLORMAPS
from stream.render.panels import side_by_side
from stream.settings import RenderSettings
from stream.sinks.window.display_check import open_display
from stream.sinks.window.layout import Layout, arrange, best_grid, panel_height, scaled
from stream.sinks.window.sink import WindowSink, action_for
from stream.sinks.window.tiles import Mosaic

PAIR_4_3 = 8 / 3
SCREEN = Layout(Size(900, 1600))


def captions_of(mosaic: Mosaic, captions: list[str], now_ns: int, fixed: tuple[str, ...] = ()) -> list[str]:
    captions.clear()
    mosaic.draw(now_ns, SCREEN, fixed)
    return list(captions)


@pytest.fixture
def written() -> list[str]:
    """The captions that have been drawn."""
    return []


@pytest.fixture
def mosaic(written: list[str]) -> Mosaic:
    """A mosaic of two announced cameras that notes its captions in ``written``."""

    def row(panels: list[tuple[str, Image]]) -> Image:
        written.extend(caption for caption, _ in panels)
        return side_by_side(panels)

    return Mosaic(row, ["left", "right"])


def test_only_the_newest_view_of_each_camera_is_kept(make_view) -> None:
    """Views in between are replaced, and each view is taken once."""
    with WindowSink() as sink:
        for seq in range(5):
            sink.write(make_view(seq, camera="left"))
        sink.write(make_view(9, camera="right"))
        taken = sink.take()
        assert {camera: view.depth_map.frame.seq for camera, view in taken.items()} == {"left": 4, "right": 9}
        assert sink.take() == {}


def test_the_writer_never_waits_for_the_window(make_view) -> None:
    """A thread writes while another one takes: nothing older ever follows, and the last view arrives."""
    sink, last, seen = WindowSink(), 2000, [-1]
    views = [make_view(seq, (4, 4)) for seq in range(last + 1)]
    writer = threading.Thread(target=lambda: [sink.write(view) for view in views], name="writer")
    writer.start()
    while writer.is_alive() or seen[-1] < last:
        seen.extend(view.depth_map.frame.seq for view in sink.take().values())
    writer.join()
    assert seen[-1] == last
    assert all(earlier < later for earlier, later in pairwise(seen))


def test_image_and_depth_stand_beside_each_other(make_view) -> None:
    """One camera: two panels of twice the camera's size below their captions."""
    view = make_view(camera="door", colour=(200, 10, 10))
    view = replace(view, image=np.full_like(view.image, (40, 90, 200)))
    mosaic = Mosaic(side_by_side)
    mosaic.add({"door": view}, 0)
    image = mosaic.draw(0, SCREEN)
    assert image.shape == (18 + 2 * 48, 2 * 2 * 64, 3)
    assert (image[18:, :128] == (200, 10, 10)).all()
    assert (image[18:, 128:] == (40, 90, 200)).all()
    assert image[:18].max() > 150, "captions are there"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("size", [(1080, 1920), (480, 640), (1280, 720), (100, 1500)])
def test_any_number_of_cameras_fits_the_screen(make_view, count: int, size: tuple[int, int]) -> None:
    """Within 1600 x 900, filling at least one of its sides, every image in its own shape."""
    view = make_view(0, size)
    mosaic = Mosaic(side_by_side)
    mosaic.add({f"cam{number}": view for number in range(count)}, 0)
    height, width, _ = mosaic.draw(0, SCREEN).shape
    assert height <= 900
    assert width <= 1600
    if count in {1, 4}:
        assert height > 0.95 * 900 or width > 0.95 * 1600
    columns, room = best_grid(count, 2 * size[1] / size[0], Size(900, 1600))
    assert panel_height(room, 2 * size[1] / size[0]) * -(-count // columns) <= 900


def test_images_keep_their_shape_when_scaled_down(make_view) -> None:
    """A circle of a 1080p camera stays a circle; a portrait camera beside it is not stretched."""
    import cv2

    wide, tall = make_view(0, (1080, 1920), colour=(0, 0, 0)), make_view(0, (1920, 1080), colour=(0, 0, 0))
    wide, tall = (replace(view, image=view.image.copy()) for view in (wide, tall))
    for view in (wide, tall):
        cv2.circle(view.image, (540, 540), 400, (0, 255, 0), -1)
    mosaic = Mosaic(side_by_side)
    mosaic.add({"wide": wide, "tall": tall}, 0)
    image = mosaic.draw(0, SCREEN)
    count, _, boxes, _ = cv2.connectedComponentsWithStats((image[..., 1] > image[..., 2] + 100.0).astype(np.uint8))
    circles = boxes[1:count]
    assert len(circles) == 2
    for _, _, width, height, area in circles:
        assert width == pytest.approx(height, abs=2)
        assert area == pytest.approx(np.pi / 4 * width * height, rel=0.05)


@pytest.mark.parametrize(("height", "within"), [(448, 1), (540, 1), (216, 20), (100, 1), (2, 1)])
def test_shrinking_averages_instead_of_picking(height: int, within: int) -> None:
    """Lines of one pixel become their mean, not stripes (3 of 5 lines are bright: 120); the size is as requested."""
    stripes = np.zeros((1080, 1920, 3), np.uint8)
    stripes[::2] = 200
    small = scaled(stripes, height)
    assert small.shape == (height, round(1920 * height / 1080), 3)
    np.testing.assert_allclose(small.astype(int), 100, atol=within)


def test_more_tiles_than_one_row_go_into_a_grid() -> None:
    """Wide pairs go below each other first, then into columns; the best use of the screen decides."""
    limit = Size(900, 1600)
    assert [best_grid(count, PAIR_4_3, limit)[0] for count in (1, 2, 4, 6, 9)] == [1, 1, 2, 2, 3]


def test_smaller_tiles_stand_in_the_middle_of_their_cell() -> None:
    """Cells are as large as the largest tile, four pixels apart; what is left over is black."""
    image = arrange([np.full((10, 20, 3), 255, np.uint8), np.full((6, 8, 3), 99, np.uint8)] * 2, columns=2)
    assert image.shape == (10 + 4 + 10, 20 + 4 + 20, 3)
    assert (image[:10, :20] == 255).all()
    assert (image[2:8, 30:38] == 99).all()
    assert (image == 99).sum() == 2 * 6 * 8 * 3


def test_a_camera_has_its_place_before_its_first_image(mosaic: Mosaic, written: list[str], make_view) -> None:
    """Announced cameras say that nothing came yet; others are added behind them."""
    assert captions_of(mosaic, written, 0) == ["left: no image yet", "right: no image yet"]
    mosaic.add({"right": make_view(camera="right"), "new": make_view(camera="new")}, 0)
    assert captions_of(mosaic, written, 0) == ["left: no image yet", "right", "depth (tiny)", "new", "depth (tiny)"]


def test_without_any_camera_the_window_shows_that_it_waits(written: list[str]) -> None:
    """The window is never empty without an explanation."""
    mosaic = Mosaic(lambda panels: (written.extend(caption for caption, _ in panels), side_by_side(panels))[1])
    assert captions_of(mosaic, written, 0) == ["waiting for the first image"]


def test_an_old_image_says_how_old_it_is(mosaic: Mosaic, written: list[str], make_view) -> None:
    """A camera that went silent must not pass for a live one; the others are not drawn again."""
    mosaic.add({"left": make_view(camera="left"), "right": make_view(camera="right")}, 0)
    mosaic.draw(0, SCREEN)
    mosaic.add({"right": make_view(1, camera="right")}, 6 * NS_PER_S)
    drawn = captions_of(mosaic, written, 7 * NS_PER_S)
    assert drawn == ["left: no image for 7 s", "depth (tiny)", "right", "depth (tiny)"]
    assert captions_of(mosaic, written, 7 * NS_PER_S) == []
    assert captions_of(mosaic, written, 7 * NS_PER_S + 1) == []


def test_what_has_not_changed_is_the_same_image(mosaic: Mosaic, make_view) -> None:
    """So that the window is left alone between frames."""
    mosaic.add({"left": make_view(camera="left")}, 0)
    image = mosaic.draw(0, SCREEN)
    assert mosaic.draw(NS_PER_S, SCREEN) is image
    mosaic.add({"left": make_view(1, camera="left")}, NS_PER_S)
    assert mosaic.draw(NS_PER_S, SCREEN) is not image


def test_metric_depth_names_its_range_and_a_held_one(mosaic: Mosaic, written: list[str], make_view) -> None:
    """Metres are worth reading; relative depth has no numbers to name."""
    mosaic.add({"left": make_view(camera="left", kind="metric"), "right": make_view(camera="right")}, 0)
    assert captions_of(mosaic, written, 0, ("right",)) == [
        *("left", "depth (tiny) 0.0 to 1.0 m"),
        *("right", "depth (tiny), range fixed"),
    ]


def test_a_view_that_was_put_together_is_shown_alone(mosaic: Mosaic, written: list[str], make_view) -> None:
    """The demo's row of image, depth and true depth has its captions already."""
    view = make_view(camera="left", depth=np.zeros((20, 30), np.float32))
    mosaic.add({"left": view}, 0)
    assert captions_of(mosaic, written, 0)[:1] == ["left"]
    assert "depth (tiny)" not in written


@pytest.mark.parametrize(
    ("code", "action"),
    [
        *((ord("q"), "end"), (ord("Q"), "end"), (27, "end"), (ord("c"), "colormap"), (ord("r"), "range")),
        *((ord(" "), "freeze"), (ord("h"), "help"), (0x100000 + ord("q"), "end"), (ord("x"), None)),
        *((65361, None), (65505, None), (2490368, None), (ord("ä"), None)),
    ],
)
def test_keys_mean_what_the_help_says(code: int, action: str | None) -> None:
    """Capitals count, and letters with GTK's Num Lock bit; arrows (0xFF51 would be a Q), Shift and the rest do not."""
    assert action_for(code) == action


def test_the_next_colormap_comes_round() -> None:
    """Each of the settings' colour maps once, from the one that is set, and all of them can be painted."""
    assert set(view_controls.COLORMAPS) == set(COLORMAPS)
    controls = ViewControls(RenderSettings(colormap="magma").colormap)
    seen = [controls.colormap]
    for _ in COLORMAPS:
        controls.next_colormap()
        seen.append(controls.colormap)
    assert seen[0] == seen[-1] == "magma"
    assert set(seen) == set(COLORMAPS)


def test_the_range_is_held_and_let_go() -> None:
    """The ranges at the moment of the key press are frozen, for each camera."""
    controls, present = ViewControls(), {"left": (0.5, 3.0)}
    assert controls.frozen_ranges == {}
    controls.toggle_frozen_ranges(present)
    present["left"] = (9.0, 9.9)
    assert controls.frozen_ranges == {"left": (0.5, 3.0)}
    controls.toggle_frozen_ranges(present)
    assert controls.frozen_ranges == {}


def test_presses_from_several_threads_all_count() -> None:
    """The controls may be shared."""
    controls = ViewControls()
    threads = [threading.Thread(target=lambda: [controls.next_colormap() for _ in range(1001)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controls.colormap == view_controls.COLORMAPS[5 * 1001 % len(COLORMAPS)]


OPEN = textwrap.dedent("""
    import sys
    from stream.errors import DepthStreamError
    from stream.render.panels import side_by_side
    from stream.sinks.window.sink import WindowLoop, WindowSink
    from stream.core.view_controls import ViewControls

    assert "cv2" not in sys.modules
    try:
        with WindowLoop("test", WindowSink(), ViewControls(), row=side_by_side) as window:
            window.poll()
    except DepthStreamError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
""")


def opened(**display: str) -> subprocess.CompletedProcess[str]:
    """A process of its own opens the window: Qt would abort ours."""
    names = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", OPEN], env=environment | display, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_without_a_display_there_is_an_error_and_no_abort() -> None:
    """One line, our exit status, not SIGABRT; cv2 is not even loaded by the import."""
    done = opened()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "cannot open a window: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); "
        "start it from a desktop session (over ssh: ssh -X), or run without the window\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["xcb", "wayland", "offscreen"])
def test_a_display_that_cannot_be_reached_is_an_error_and_no_abort(platform: str) -> None:
    """A DISPLAY of another session, whatever Qt was asked to use."""
    done = opened(DISPLAY=":4711", QT_QPA_PLATFORM=platform)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("cannot open a window: ")
    assert done.stderr.count("\n") == 1


def test_an_opencv_without_windows_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headless wheel has no window functions; the error says how to replace it."""
    import cv2

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    without = r"installed without window functions; pip uninstall opencv-python-headless"
    with pytest.raises(UsageError, match=without), open_display():
        pytest.fail("there is nothing to open")
