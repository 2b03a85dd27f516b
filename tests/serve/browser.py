"""A real Chromium for the tests of the page, where it and Playwright are there."""

import re
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium():
    """The browser. The test is skipped where it cannot be had."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-page")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs a chromium on the path: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page in the browser, with all that it says on its console."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15000)
        self.said = []
        self.page.on("console", lambda message: self.said.append((message.type, message.text)))
        self.page.on("pageerror", lambda error: self.said.append(("error", str(error))))
        self.address = address

    def open(self, after=""):
        self.page.goto(self.address + after)
        self.connected()
        return self

    def connected(self):
        self.page.wait_for_selector('#health[data-state="ready"]')
        self.wait("#about", r"\S")

    def denoise(self, text=None):
        """Press the button, and wait for the end."""
        if text is not None:
            self.page.fill("#text", text)
        self.page.click("#run")
        self.finished()

    def finished(self):
        self.wait("#live", "^Finished")

    def wait(self, selector, pattern):
        """Until there is an element whose text matches. (The policy forbids evaluating a predicate.)"""
        self.page.locator(selector, has_text=re.compile(pattern)).wait_for(state="attached")

    def tokens(self, kind=""):
        """The texts of the tokens that are shown."""
        return self.page.locator(f"#sides .token{kind}").all_text_contents()

    def text(self, side=0):
        """The text as it stands on the page."""
        return self.page.locator("#sides .tokens").nth(side).text_content()

    @property
    def errors(self):
        """What went wrong on the console, policy violations among it; answers that are errors are none."""
        wrong = [text for kind, text in self.said if kind in ("error", "warning")]
        return [text for text in wrong if not text.startswith("Failed to load resource")]
