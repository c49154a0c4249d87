"""Fail when a page of the built site fetches anything from elsewhere: a script, a style, a font, an image, a frame.

    python tools/check_site.py site

Links that a reader may follow are no fetches. A script that would fetch something only for a feature that no page uses
(diagrams, galleries) is not looked into: the features are looked for instead.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_ELSEWHERE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:@import\s+|url\(\s*)[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
_FETCHING_LINKS = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload", "manifest"}
_FETCHING_CLASSES = {"mermaid", "glightbox", "arithmatex", "pyodide"}


class _Page(HTMLParser):
    """Collects what a page would fetch from another place."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        given = {name: value or "" for name, value in attrs}
        targets = [given.get(name, "") for name in ("src", "srcset", "poster", "data")]
        if tag == "link" and _FETCHING_LINKS & set(given.get("rel", "").split()):
            targets.append(given.get("href", ""))
        self.fetched += [target for target in targets if _ELSEWHERE.match(target)]
        self.fetched += _IN_STYLE.findall(given.get("style", ""))
        self.fetched += [f"class {name}" for name in given.get("class", "").split() if name in _FETCHING_CLASSES]

    def handle_data(self, data: str) -> None:
        """Look at the text of a style."""
        if self.get_starttag_text() and (self.get_starttag_text() or "").startswith("<style"):
            self.fetched += _IN_STYLE.findall(data)


def main() -> int:
    """Look at every page, style and picture in the folder that is named."""
    site = Path(sys.argv[1])
    pages = sorted(site.rglob("*.html"))
    found: list[str] = []
    for path in pages:
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        found += [f"{path}: {target}" for target in page.fetched]
    for path in (*site.rglob("*.css"), *site.rglob("*.svg")):
        found += [f"{path}: {target}" for target in _IN_STYLE.findall(path.read_text(encoding="utf-8"))]
    print("\n".join(found) or f"{len(pages)} pages, and none fetches anything from elsewhere")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
