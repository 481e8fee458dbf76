"""A report's page in a real browser: what it shows, what it asks for, and what it complains of."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, sync_playwright

_PATIENCE = 240_000


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Chromium; the test is skipped where this machine has none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """A page from the disk; `complaints` are errors and warnings of its console, `requests` the addresses asked for."""

    def __init__(
        self, browser: Browser, file: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light"
    ) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        # On a busy machine half a minute is not enough.
        self.page.set_default_timeout(_PATIENCE)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", self._dismiss)
        self.page.goto(file.as_uri())

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def cards(self) -> dict[str, str]:
        """The figures of the summary by their names, without what stands below them."""
        return dict(
            self.page.locator("#cards > div").evaluate_all(
                "all => all.map(one => [one.querySelector('dt').textContent,"
                " one.querySelector('dd').firstChild.textContent])"
            )
        )

    def table(self, selector: str) -> list[dict[str, str]]:
        """The rows of a table by the names of its columns; those without a name are numbered."""
        heads, *rows = self.page.locator(f"{selector} tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )
        return [dict(zip(heads, row, strict=True)) for row in rows]

    def choose(self, threshold: float) -> None:
        """Move the slider."""
        self.page.locator("#threshold").fill(str(round(threshold * 200)))
        self.page.wait_for_function("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0, true)))")

    def foreign_requests(self) -> list[str]:
        """What was asked for beside the page and the pictures in it."""
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]
