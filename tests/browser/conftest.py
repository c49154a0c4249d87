"""A real Chromium, where there is one: `apt-get install chromium`, and `uv run --with playwright pytest -m soak tests/browser`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Tab:
    """A page that is watched: it asks no other host, and nothing in it fails or is refused by its policy.

    Attributes:
        page: of Playwright.
        said: on its console, by warnings and errors.
        asked: every address.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(20_000)
        page.on(
            "console", lambda message: self.said.append(message.text) if message.type in ("warning", "error") else None
        )
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def given(self, number: int = 0) -> str:
        """The input of an earlier run, as JSON."""
        found: str = self.page.evaluate(
            "n => JSON.parse(Object.entries(sessionStorage).find(([key]) => key.startsWith('runllm:'))[1])[n].given",
            number,
        )
        return found


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = Tab(context.new_page())
    yield found
    hosts = {url.split("/")[2] for url in found.asked if url.startswith("http")}
    context.close()
    assert len(hosts) <= 1
    assert not [said for said in found.said if "Failed to load resource" not in said], "an answer may be an error"


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checks of axe-core, as a script."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("there is no npm, which fetches axe-core")
    done = subprocess.run([npm, "install", "--prefix", str(folder), "axe-core@4"], capture_output=True, timeout=120)
    if done.returncode:
        pytest.skip("axe-core cannot be fetched")
    return Path(folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    """What axe finds in a page as it is now."""
    page.evaluate(axe)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]
