"""Actions on the web page as a person uses it: tiles, pointer, keys, touch, file upload."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

from stream.frames import Image
from tests.rigs.browser import Page, wait_for
from tests.rigs.web_site import Site


def tile(camera: str, inside: str = "") -> str:
    """The selector of a camera's tile."""
    return f'.tile[data-camera="{camera}"] {inside}'.strip()


def shown(page: Page, camera: str) -> int:
    """The number of the visible frame; -1 before the first."""
    return int(page.look("document.querySelector(a[0]).dataset.seq ?? -1", tile(camera)))


def moves(page: Page, camera: str, frames: int = 2) -> None:
    """Wait until the frame number has risen by this much."""
    page.wait_for("document.querySelector(a[0])", tile(camera))
    wanted = shown(page, camera) + frames
    wait_for(lambda: shown(page, camera) >= wanted, f"frame {wanted} of {camera}")


def click(page: Page, selector: str) -> None:
    page.find_element(By.CSS_SELECTOR, selector).click()


def text(page: Page, selector: str) -> str:
    """The text of an element; empty if it is hidden."""
    return page.find_element(By.CSS_SELECTOR, selector).text


def dot(page: Page, camera: str) -> str:
    """The colour of the dot beside the camera's state."""
    return str(page.look("getComputedStyle(document.querySelector(a[0])).backgroundColor", tile(camera, ".dot")))


def pixels(page: Page, camera: str) -> Image:
    """The pixels of the camera's canvas, (H, W, 4) uint8."""
    script = """(screen => {
      const {width, height} = screen;
      const copy = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
      copy.drawImage(screen, 0, 0);
      return [height, width, [...copy.getImageData(0, 0, width, height).data]];
    })(document.querySelector(a[0]))"""
    height, width, values = page.look(script, tile(camera, ".screen"))
    return np.asarray(values, np.uint8).reshape(height, width, 4)


def point_at(page: Page, camera: str, x: float, y: float) -> None:
    """Move the mouse to this place of the camera's image, 0..1 from the top left."""
    canvas = page.find_element(By.CSS_SELECTOR, tile(camera, ".screen"))
    width, height, ratio = page.look("[a[0].clientWidth, a[0].clientHeight, a[0].width / a[0].height]", canvas)
    shown_width, shown_height = min(width, height * ratio), min(height, width / ratio)
    offset = round((x - 0.5) * shown_width), round((y - 0.5) * shown_height)
    ActionChains(page, duration=50).move_to_element_with_offset(canvas, *offset).perform()


def touch(page: Page, camera: str) -> None:
    """Tap the middle of the camera's image with a finger."""
    middle = (
        "(r => ({x: r.x + r.width / 2, y: r.y + r.height / 2}))(document.querySelector(a[0]).getBoundingClientRect())"
    )
    place = page.look(middle, tile(camera, ".screen"))
    page.command("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
    page.command("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def reading(page: Page, camera: str) -> dict[str, str]:
    """The text beside the pointer, and the numbers behind it."""
    label = tile(camera, ".probe")
    script = "(l => !l.hidden && l.dataset.seq && {...l.dataset, text: l.textContent})(document.querySelector(a[0]))"
    answer: dict[str, str] = page.wait_for(script, label)
    return answer


def reading_at(page: Page, camera: str, x: float, y: float) -> dict[str, str]:
    """The first reading at this place; a mouse stops on whole pixels."""

    def there() -> dict[str, str] | None:
        answer = reading(page, camera)
        return answer if max(abs(float(answer["x"]) - x), abs(float(answer["y"]) - y)) < 0.02 else None

    answer: dict[str, str] = wait_for(there, f"the depth of {camera} at {x}, {y}")
    return answer


def drawn_share(page: Page, site: Site, camera: str, frames: int = 36) -> float:
    """The share of the published frames that this page draws, over ``frames`` captured frames."""
    script = """
      const [selector, frames, done] = arguments, tile = document.querySelector(selector), seen = new Set();
      const first = Number(tile.dataset.seq);
      (function look() {
        seen.add(Number(tile.dataset.seq));
        tile.dataset.seq >= first + frames ? done([...seen]) : setTimeout(look, 5);
      })();"""
    seen: list[int] = page.execute_async_script(script, tile(camera), frames)
    published = [seq for name, seq in list(site.sink.kept) if name == camera and min(seen) <= seq <= max(seen)]
    assert set(seen) <= set(published)
    return len(seen) / len(published)


def legend_stays(page: Page) -> bool:
    """Whether the front camera's range is unchanged some images later."""
    before = text(page, tile("front", ".legend")), page.look("document.querySelector('.first').title")
    moves(page, "front", 4)
    return before == (text(page, tile("front", ".legend")), page.look("document.querySelector('.first').title"))


def give(page: Page, file: Path) -> None:
    """Choose a file in the page's file input."""
    page.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(file))
