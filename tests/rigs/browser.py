"""A real browser without a screen: Debian's Chromium, driven by selenium through Debian's chromedriver.

    with browser() as page:
        page.get("http://127.0.0.1:8080/")

Needs programs from apt; ``missing()`` says which, so that a test can skip with a reason.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.command import Command

from stream.core.clock import Deadline
from stream.frames import Size

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""The program and the Debian package that contains it."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to run as root with it
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
PATIENCE_S = 30.0
"""Seconds: everything here takes a fraction of a second, but a busy machine gets this long."""
PAUSE_S = 0.05
"""Seconds between two polls: the page has no event for what a test waits for."""
WALL, PHONE = Size(1000, 1500), Size(640, 320)


def missing() -> str:
    """The command that installs the missing programs; empty if none is missing."""
    packages = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}" if packages else ""


class Page(Chrome):
    """A browser with one open page, its console and the hosts that it loaded from."""

    def look(self, script: str, *arguments: object) -> Any:
        """The value of a JavaScript expression; ``arguments`` are ``a[0]``, ``a[1]``, ..."""
        return self.execute_script(f"const a = arguments; return ({script});", *arguments)

    def wait_for(self, script: str, *arguments: object) -> Any:
        """The first true value of the expression; raises AssertionError if none comes in time."""
        return wait_for(lambda: self.look(script, *arguments), script)

    def resize(self, size: Size) -> None:
        """Resize the viewport; it can be as small as a phone, unlike a desktop's window."""
        self.command("Emulation.setDeviceMetricsOverride", _metrics(size))

    def throttle(self, bytes_per_s: float) -> None:
        """Limit the download rate of connections made from now on, WebSockets included."""
        self.command("Network.enable", {})
        limits = {"offline": False, "latency": 0, "downloadThroughput": bytes_per_s, "uploadThroughput": -1}
        self.command("Network.emulateNetworkConditions", limits)

    def command(self, name: str, values: Mapping[str, object]) -> Any:
        """Send one command of the Chrome DevTools protocol."""
        return self.execute_cdp_cmd(name, dict(values))

    def complaints(self) -> list[str]:
        """The console's entries since the last call: errors, warnings, refused loads."""
        entries = self.execute(Command.GET_LOG, {"type": "browser"})["value"]
        return [entry["message"] for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]

    def hosts(self) -> set[str]:
        """HOST:PORT of every load of the page so far, its own included."""
        names = "[location.href, ...performance.getEntriesByType('resource').map(e => e.name)]"
        return {urlsplit(name).netloc for name in self.look(names) if not name.startswith(("blob:", "data:"))}

    def screenshot(self, path: Path) -> None:
        """Write the visible page as PNG."""
        assert self.save_screenshot(str(path))


@contextmanager
def browser(size: Size = WALL) -> Iterator[Page]:
    """A fresh browser with a profile of its own; both are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={size.width},{size.height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        page = Page(options, Service(shutil.which("chromedriver"), env=_environment()))
        try:
            page.resize(size)
            yield page
        finally:
            page.quit()


def wait_for(look: Callable[[], Any], what: str) -> Any:
    """Poll until ``look`` returns a true value and return that; raises AssertionError if none comes in time."""
    deadline = Deadline.after(PATIENCE_S)
    while not (seen := look()):
        assert not deadline.passed, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(PAUSE_S)
    return seen


def _metrics(size: Size) -> dict[str, object]:
    return {"width": size.width, "height": size.height, "deviceScaleFactor": 1, "mobile": False}


def _environment() -> dict[str, str]:
    """The environment without proxies, because nothing here leaves the machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
