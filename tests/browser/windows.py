"""Browser windows that remember what their pages complained about, and inspect pages at every width and scheme."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from werkzeug.serving import make_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (360, 1280)
SCHEMES = ("light", "dark")
ZOOMED = 640  # what is left of 1280 at 200 %
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
# Between the two a table stands beside little or much; what is cut off there is found without the slow rules.
BETWEEN = (740, 1024)
# What hides its overflow cuts off what is too wide in it; an ellipsis says so, and a clip path is meant to.
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const style = getComputedStyle(element);
  const hides = style.overflowX === "hidden" && style.textOverflow !== "ellipsis" && style.clipPath === "none";
  return hides && element.scrollWidth > element.clientWidth + 1;
}).map((element) => `${element.tagName}.${element.className}`)"""
# The browser notes every answer from 400 on in its console; that is no fault of the page.
EXPECTED_NOISE = "the server responded with a status of 4"


@dataclass
class Window:
    """A browser window that remembers what its pages complained about, and inspects each page it is told to."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        if EXPECTED_NOISE not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def inspect(self) -> None:
        """Check that the page fits every screen in both schemes, is accessible, and broke no policy."""
        self.page.wait_for_load_state("load")
        self.page.evaluate(AXE_SCRIPT)  # once for a page, since it is large
        faults = []
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 800})
            # Contrast is of the scheme and size of the width; the two together show what either one can break.
            scheme = SCHEMES[WIDTHS.index(width)]
            self.page.emulate_media(color_scheme=scheme)
            faults += self._overflows(width)
            found = AxeResults(self.page.evaluate("rules => axe.run(rules)", RULES))
            if found.response["violations"]:
                faults.append(f"at {width}, {scheme}: {found.generate_report()}")
            other = SCHEMES[1 - WIDTHS.index(width)]
            self.page.emulate_media(color_scheme=other)
        for width in (ZOOMED, *BETWEEN):
            self.page.set_viewport_size({"width": width, "height": 400})
            faults += self._overflows(width)
        if self.page.locator("h1").count() != 1:
            faults.append("not one h1")
        assert [*faults, *self.complaints] == [], f"{self.page.title()} at {self.page.url}: {faults} {self.complaints}"

    def _overflows(self, width: int) -> list[str]:
        overflow = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        cut_off = [f"{element} cuts off what is in it at {width}" for element in self.page.evaluate(CUT_OFF)]
        return [f"{overflow} pixels too wide at {width}", *cut_off] if overflow > 0 else cut_off

    def tab_to(self, name: str) -> None:
        """Press Tab until the control of this name has the focus."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement.innerText || document.activeElement.id").strip() == name:
                return
        raise AssertionError(f"{name!r} cannot be reached by keyboard")


@contextmanager
def running_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def new_window(browser: Browser, width: int = 1280, scheme: Any = "light", **kwargs: Any) -> Window:
    # Colours that are on their way from one scheme to the other have a contrast of their own.
    looks: Any = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "reduced_motion": "reduce"}
    context = browser.new_context(**looks, **kwargs)
    context.set_default_timeout(60_000)  # a busy machine is no fault of a page
    window = Window(context.new_page(), context)
    window.page.on("console", window.note)
    window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
    return window


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the application to a browser, and yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
