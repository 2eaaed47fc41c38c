"""The page in a real browser, in front of a real server, a real pipeline and real RTSP cameras.

Screenshots stay in the folder that DEPTHSTREAM_ARTEFACTS names, else in the test's temporary one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from tests.rigs.browser import PHONE, WALL, Page, browser, missing, wait_for
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.rigs.web_site import Site, served
from tests.rigs.web_tiles import (
    click,
    dot,
    drawn_share,
    give,
    legend_stays,
    moves,
    pixels,
    point_at,
    reading,
    reading_at,
    shown,
    text,
    tile,
    touch,
)

pytestmark = [pytest.mark.rig, pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

GOOD, BAD = "rgb(63, 185, 80)", "rgb(255, 123, 114)"
"""Colours of the dot beside a camera's state."""
MOVES_S = 2.0
"""The promised seconds from the page's load event until every tile has shown two images."""
CAMERAS = ("front", "back")
FPS = 12
PASSWORD = "p@ss:w%rd"
SLOW_BYTES_PER_S = 60_000
"""A tenth of the rate that both tiles need."""


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    """Like the global fixture, but per file: its server serves all tests and starts threads when needed."""
    before = set(threading.enumerate())
    yield
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(2.0)
    assert [thread.name for thread in started if thread.is_alive()] == []


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.test_pattern(codec="h264", width=320, height=240, fps=FPS, seconds=4, keyframe_every=FPS)


@pytest.fixture(scope="module")
def site(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with two cameras, one of them with a password, and the network ``tiny``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "web-cache"))
        with (
            RtspCamera({"/cam": clip}, user="admin", password=PASSWORD) as front,
            RtspCamera({"/cam": clip}) as back,
            served(dict(zip(CAMERAS, (front, back), strict=True))) as running,
        ):
            wait_for(lambda: all(running.sink.newest(name) for name in CAMERAS), "depth of both cameras")
            yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    """One browser for the tests of this file."""
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium: Page, site: Site, seen: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, loaded and moving; at the end its console is empty, and it loaded nothing from other hosts."""
    chromium.complaints()
    chromium.get(site.url)
    for camera in CAMERAS:
        moves(chromium, camera)
    yield chromium
    chromium.screenshot(seen / f"{request.node.originalname}.png")
    assert chromium.complaints() == []
    assert {f"http://{host}/" for host in chromium.hosts()} == {site.url}


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """The folder for screenshots."""
    folder = Path(os.environ.get("DEPTHSTREAM_ARTEFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_tiles_move_within_two_seconds_of_loading(chromium: Page, site: Site, page: Page) -> None:
    """By the browser's own clock, from its load event until every tile has drawn a second image; pixels change.

    The best of three: the page promises it, a machine that has something else to do does not.
    """
    script = """
      const done = arguments[arguments.length - 1], first = new Map(), second = new Set();
      const loaded = performance.getEntriesByType("navigation")[0].loadEventEnd;
      (function look() {
        for (const {dataset: {camera, seq}} of document.querySelectorAll(".tile[data-seq]")) {
          if (!first.has(camera)) first.set(camera, seq);
          if (first.get(camera) !== seq) second.add(camera);
        }
        second.size === 2 ? done((performance.now() - loaded) / 1000) : setTimeout(look, 5);
      })();"""
    took_s = []
    for _ in range(3):
        chromium.get(site.url)
        took_s.append(chromium.execute_async_script(script))
    assert min(took_s) <= MOVES_S
    before = pixels(page, "front")
    moves(page, "front")
    after = pixels(page, "front")
    assert before.shape == after.shape == (240, 320, 4)
    assert (before != after).any()


def test_tiles_come_and_go_with_their_cameras(page: Page, site: Site) -> None:
    """Without a reload of the page; the other tiles are not touched."""
    page.execute_script("window.notReloaded = true")
    site.sink.announce("third")
    wait_for(lambda: tiles_on(page) == [*CAMERAS, "third"], "the new camera's tile")
    site.sink.remove("third")
    wait_for(lambda: tiles_on(page) == [*CAMERAS], "the tile is gone")
    moves(page, "front")
    assert page.execute_script("return window.notReloaded") is True


def tiles_on(page: Page) -> list[str]:
    names: list[str] = page.execute_script(
        "return [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.camera)"
    )
    return names


def test_the_pointers_depth_is_the_published_value(page: Page, site: Site) -> None:
    """Values match pixel by pixel for the frame in the answer, with words for the kind of depth."""
    for x, y in ((0.1, 0.2), (0.5, 0.5), (0.93, 0.8)):
        point_at(page, "front", x, y)
        answer = reading_at(page, "front", x, y)
        site.assert_published("front", answer)
        assert "relative" in answer["text"] or "m" in answer["text"]


def test_the_arrow_keys_measure_as_the_pointer_does(page: Page, site: Site) -> None:
    """They move the point from the middle step by step; Escape removes it."""
    screen = page.find_element(By.CSS_SELECTOR, tile("back", ".screen"))
    screen.send_keys(Keys.ARROW_RIGHT * 5 + Keys.ARROW_UP * 5)
    site.assert_published("back", reading_at(page, "back", 0.6, 0.4))
    screen.send_keys(Keys.ESCAPE)
    assert text(page, tile("back", ".probe")) == ""


def test_a_frozen_image_stays_and_can_be_measured(page: Page, site: Site) -> None:
    """Only this page's tile freezes; the other one goes on, and this one continues afterwards."""
    click(page, tile("front", ".freeze"))
    frozen = shown(page, "front")
    before = pixels(page, "front")
    moves(page, "back", 3 * FPS)
    assert shown(page, "front") == frozen
    assert (pixels(page, "front") == before).all()
    point_at(page, "front", 0.3, 0.6)
    answer = reading_at(page, "front", 0.3, 0.6)
    assert int(answer["seq"]) == frozen
    site.assert_published("front", answer)
    click(page, tile("front", ".freeze"))
    moves(page, "front")


def test_image_and_depth_are_shown_alone_or_mixed(page: Page) -> None:
    """The image is the camera's grey pattern, the depth is colourful, and the slider blends between them."""
    click(page, tile("front", "[data-mode=image]"))
    moves(page, "front", 4)
    image = pixels(page, "front")
    click(page, tile("front", "[data-mode=depth]"))
    moves(page, "front", 4)
    depth = pixels(page, "front")
    click(page, tile("front", "[data-mode=both]"))
    moves(page, "front", 4)
    assert np.abs(image.astype(int) - depth).mean() > 20
    mixed = pixels(page, "front")
    nearness = [np.abs(mixed.astype(int) - other).mean() for other in (image, depth)]
    assert max(nearness) < np.abs(image.astype(int) - depth).mean()


def test_a_camera_that_is_cut_is_offline_and_comes_back(page: Page, site: Site, seen: Path) -> None:
    """The page shows the reason without the password; the other camera goes on, and no reload is needed."""
    site.cameras["front"].refuse()
    site.cameras["front"].cut("rst")
    wait_for(lambda: "OFFLINE" in text(page, tile("front", ".title")), "the card")
    wait_for(lambda: text(page, tile("front", ".reason")), "the reason")
    page.screenshot(seen / "offline.png")
    card = text(page, tile("front", ".card"))
    assert "127.0.0.1" in card
    assert "since" in card
    assert dot(page, "front") == BAD
    assert page.look("document.querySelector(a[0]).inert", tile("front", ".freeze"))
    assert text(page, tile("front", ".legend")) == ""
    assert not any(secret in page.page_source for secret in (PASSWORD, "p%40ss"))
    moves(page, "back")
    site.cameras["front"].refuse(False)
    moves(page, "front")
    wait_for(lambda: text(page, tile("front", ".card")) == "", "the card to go away")
    assert dot(page, "front") == GOOD, "it is the present that counts"
    wait_for(lambda: "last hour: " in text(page, tile("front", ".line")), "the past in words")
    click(page, tile("front", ".freeze"))
    click(page, tile("front", ".freeze"))


def test_a_slow_viewer_delays_no_other(page: Page, site: Site) -> None:
    """A viewer on a slow connection skips frames and stays fresh; the other one keeps its rate."""
    with browser() as thin:
        thin.throttle(SLOW_BYTES_PER_S)
        thin.get(site.url)
        moves(thin, "front")
        thin_share, share = drawn_share(thin, site, "front"), drawn_share(page, site, "front")
        assert thin_share <= 0.5
        assert share >= min(0.75, 1.5 * thin_share), "as many as this machine manages"
        newest = site.sink.newest("front")
        assert newest
        assert newest.view.depth_map.frame.seq - shown(thin, "front") <= 3 * FPS


def test_a_choice_of_colours_applies_to_every_viewer(page: Page, site: Site) -> None:
    """Another viewer's control, legend and images show the new colours, and a held range as well."""
    with browser() as other:
        other.get(site.url)
        moves(other, "front")
        page.find_element(By.ID, "colormap").send_keys("turbo")
        other.wait_for("document.documentElement.dataset.colormap === 'turbo'")
        assert other.look("document.querySelector('#colormap').value") == "turbo"
        click(other, "#hold")
        page.wait_for("document.querySelector('#hold').getAttribute('aria-pressed') === 'true'")
        held = wait_for(lambda: legend_stays(page), "a legend that stays")
        assert held
        click(page, "#hold")
        other.wait_for("document.querySelector('#hold').getAttribute('aria-pressed') === 'false'")
    page.find_element(By.ID, "colormap").send_keys("inferno")
    page.wait_for("document.documentElement.dataset.colormap === 'inferno'")


def test_an_uploaded_image_becomes_a_heat_map(page: Page, tmp_path: Path) -> None:
    """The heat map has the image's size, with its metadata and files to download."""
    give(page, gradient(tmp_path / "mine.png"))
    page.wait_for("document.querySelector('.heatmap').naturalWidth === 200")
    page.find_element(By.CSS_SELECTOR, ".drop").location_once_scrolled_into_view  # noqa: B018
    assert page.look("document.querySelector('.heatmap').naturalHeight") == 120
    facts = text(page, ".facts")
    assert "200×120" in facts
    assert "tiny" in facts
    assert "relative" in facts or "metres" in facts
    assert len(page.find_elements(By.CSS_SELECTOR, ".downloads a")) == 3


def test_the_depth_of_an_image_can_be_taken_away(page: Page, tmp_path: Path) -> None:
    """The linked files hold what they promise: colours, 16 bits, an array."""
    page.command("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "down")})
    give(page, gradient(tmp_path / "mine.png"))
    page.wait_for("document.querySelectorAll('.downloads a').length === 3")
    for name, dtype in (("depth-color.png", np.uint8), ("depth.png", np.uint16), ("depth.npy", np.float32)):
        file = tmp_path / "down" / f"mine-{name}"
        page.find_element(By.CSS_SELECTOR, f".downloads a[download='{file.name}']").click()
        wait_for(file.is_file, f"the download {file.name}")
        values = np.load(file) if file.suffix == ".npy" else cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert values is not None
        assert values.shape[:2] == (120, 200)
        assert values.dtype == dtype


def test_what_is_no_image_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    """Only the browser's own line about the refused load is in its console."""
    (tmp_path / "notes.png").write_text("no image at all")
    give(page, tmp_path / "notes.png")
    page.wait_for("document.querySelector('.message.is-error')")
    shown = text(page, ".message")
    assert shown.startswith("notes.png: ")
    assert "{" not in shown
    assert all("/api/depth" in complaint for complaint in page.complaints())


def test_a_phone_never_scrolls_sideways(page: Page, seen: Path, tmp_path: Path) -> None:
    """This holds at 320 pixels with everything unfolded, a result below, and a point measured by touch."""
    page.resize(PHONE)
    try:
        page.look("document.querySelectorAll('details').forEach(d => d.open = true)")
        give(page, gradient(tmp_path / "mine.png"))
        page.wait_for("document.querySelector('.heatmap').naturalWidth === 200")
        page.look("scrollTo(0, 0)")
        moves(page, "front")
        touch(page, "front")
        assert reading(page, "front")["text"]
        assert page.look("document.documentElement.scrollWidth") == PHONE.width
        page.screenshot(seen / "phone.png")
    finally:
        page.resize(WALL)


def test_full_screen_shows_one_camera(page: Page) -> None:
    """The camera fills the window, keeps moving, and returns."""
    click(page, tile("back", ".fill"))
    page.wait_for("document.fullscreenElement?.dataset.camera === 'back'")
    moves(page, "back")
    assert page.look("document.querySelector(a[0]).clientWidth === innerWidth", tile("back"))
    click(page, tile("back", ".fill"))
    page.wait_for("!document.fullscreenElement")


def test_everything_has_a_name_and_is_reached_by_the_keyboard(page: Page) -> None:
    """Every Tab stop has an accessible name."""
    script = """(() => {
      const e = document.activeElement;
      const labels = [...(e.labels ?? [])].map((label) => label.textContent);
      return [e.className || e.id || e.dataset.mode || e.dataset.all || e.tagName,
              (e.getAttribute("aria-label") ?? (labels.join(" ") || e.textContent)).trim()];
    })()"""
    page.look("document.activeElement.blur()")
    reached: dict[str, str] = {}
    for _ in range(60):
        ActionChains(page).send_keys(Keys.TAB).perform()
        what, name = page.look(script)
        reached[what] = name
    assert {"colormap", "hold", "screen", "image", "both", "depth", "mix", "freeze", "fill"} <= set(reached)
    assert {"SUMMARY", "INPUT"} <= set(reached)
    assert all(reached.values())


def test_the_page_finds_its_server_again(chromium: Page, clip: Clip) -> None:
    """After the server disappears, a new one at the same address is found without a reload."""
    with RtspCamera({"/cam": clip}) as camera:
        with served({"back": camera}) as first:
            chromium.get(first.url)
            moves(chromium, "back")
        chromium.wait_for("document.querySelector('#notice').textContent.includes('No connection')")
        chromium.look("window.isTheSamePage = true")
        with served({"back": camera}, address=first.url.removeprefix("http://").rstrip("/")):
            chromium.wait_for("document.querySelector('#notice').hidden")
            chromium.wait_for("document.querySelector('.tile').dataset.state === 'live'")
            moves(chromium, "back")
            assert chromium.look("window.isTheSamePage")
        chromium.get("about:blank")


def test_a_token_is_kept_until_it_is_another(chromium: Page, clip: Clip) -> None:
    """The token leaves the address bar and also opens the video; when it changes, the page asks for the new one."""
    with RtspCamera({"/cam": clip}) as camera:
        with served({"back": camera}, address="0.0.0.0:0", token="the first of them") as first:
            chromium.get(first.url)
            moves(chromium, "back")
            assert "token" not in chromium.current_url
            port = chromium.look("location.port")
        chromium.wait_for("/again in [2-5] s/.test(document.querySelector('#notice').textContent)")  # several tries on
        with served({"back": camera}, address=f"0.0.0.0:{port}", token="quite another one"):
            chromium.wait_for("document.querySelector('#notice').textContent.includes('wants a token')")
        chromium.get("about:blank")


@pytest.mark.parametrize(
    ("dropped", "grade", "line"),
    [
        ({}, "unknown", "10.0 fps · age 80 ms"),
        ({"superseded (capture > depth)": 461, "black (capture.front)": 0}, "good", "10.0 fps · age 80 ms"),
        (
            {"superseded (a > b)": 461, "black (c)": 2, "failed (d)": 1},
            "fair",
            "10.0 fps · age 80 ms · 3 lost · last hour: fair",
        ),
        ({"superseded (a > b)": 1}, "poor", "10.0 fps · age 80 ms · last hour: poor"),
    ],
)
def test_the_status_line_names_problems(page: Page, dropped: dict[str, int], grade: str, line: str) -> None:
    """Superseded frames are how a live pipeline keeps up: they appear only in the complete list."""
    script = """
      const [figures, done] = arguments;
      import("/health.js").then(({Health}) => {
        const made = document.querySelector("#tile").content.firstElementChild.cloneNode(true);
        new Health(made).update(figures, {fps: 10, ageMs: 80}, true);
        done([".line", ".statistics"].map((part) => made.querySelector(part).textContent));
      });"""
    statistics = {"name": "front", "state": "live", "fps": 10, "dropped": dropped, "grade": grade}
    status_line, listed = page.execute_async_script(script, statistics)
    assert status_line == line
    assert all(why in listed for why, number in dropped.items() if number)


def gradient(path: Path) -> Path:
    """A gradient of 200 x 120 pixels."""
    ramp = np.linspace(0, 255, 200, dtype=np.uint8)
    cv2.imwrite(str(path), np.dstack([np.tile(ramp, (120, 1))] * 3))
    return path
