"""Photograph the pages that runllm makes for browsers, for docs/: the form of an app, and the statistics.

    uv run --with playwright python tools/screenshots.py      # wants a chromium on the PATH

The form is that of examples/subject.rllm, which the small local model answers; the statistics are of the made-up runs
that docs/stats.md shows, too.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.docs.made_up_runs import record_runs  # noqa: E402 - the root of the project is no package

from runllm.report.page import as_page  # noqa: E402
from runllm.stats.store import Store  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = ROOT / "docs" / "img"
WIDTH, QUALITY = 1100, 75
PORT = 8765
MESSAGE = "Hello, the lamp that I bought does not work. Please send a new one."
MADE = 1_795_564_800.0  # the day of the last made-up run


@contextmanager
def pages() -> Iterator[tuple[Browser, Path]]:
    """A browser, and a folder for what it is shown."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser, Path(folder)
        browser.close()


def keep(page: Page, name: str, height: int) -> None:
    """What stands at the top of the page, as docs/img/NAME.webp."""
    page.wait_for_timeout(300)
    clip: dict[str, Any] = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
    given = {"format": "webp", "quality": QUALITY, "clip": clip, "captureBeyondViewport": True}
    shot = page.context.new_cdp_session(page).send("Page.captureScreenshot", given)
    path = IMAGES / f"{name}.webp"
    path.write_bytes(base64.b64decode(shot["data"]))
    print(f"{path}: {path.stat().st_size} bytes")


def statistics(page: Page, folder: Path) -> None:
    """The page of `runllm stats --format html`."""
    record_runs(folder / "stats.db")
    with Store(folder / "stats.db") as store:
        found = as_page(store.summary(buckets=30), "summary", MADE, store.runs(limit=10))
    (folder / "page.html").write_text(found, encoding="utf-8")
    page.goto((folder / "page.html").as_uri())
    keep(page, "stats", 1085)


def form(page: Page) -> None:
    """The form of `runllm serve`, with what came of it."""
    command = [str(Path(sys.executable).with_name("runllm")), "serve", "examples/subject.rllm", "--port", str(PORT)]
    service = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"RUNLLM_STATS": "off"}, stderr=subprocess.PIPE)
    try:
        (service.stderr or sys.stdin.buffer).readline()  # it says where it is once it listens
        page.goto(f"http://127.0.0.1:{PORT}/apps/subject")
        page.get_by_role("textbox").first.fill(MESSAGE)
        page.click("#run")
        page.locator("#facts dl").wait_for(timeout=120_000)
        keep(page, "form", 830)
    finally:
        service.terminate()
        service.wait(30)


def main() -> None:
    """Take both pictures."""
    with pages() as (browser, folder):
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        statistics(page, folder)
        form(page)


if __name__ == "__main__":
    main()
