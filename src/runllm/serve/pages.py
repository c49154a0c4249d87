"""What a browser shows: the apps, a form for each, and how to call them. All of it is ours: no other host is asked.

The form itself is made in the browser, from the schema that stands in its page: see `page/form.js`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from runllm._version import __version__
from runllm.report.markup import Markup, raw, tag
from runllm.serve import reference
from runllm.serve.catalog import Catalog, Served
from runllm.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {
    one.name: (one.read_bytes(), _KINDS[one.suffix])
    for one in Path(__file__).with_name("page").iterdir()
    if one.suffix in _KINDS
}


def routes(catalog: Catalog, card: Callable[[Served], Mapping[str, Any]], *, has_token: bool) -> list[Route]:
    """The pages of a service.

    Args:
        catalog: its apps.
        card: what is told of one.
        has_token: whether callers need one.
    """

    async def home(_: Request) -> Response:
        return _page("Apps", _home(catalog))

    async def form(request: Request) -> Response:
        served = catalog.named(request.path_params["name"])
        return _page(served.app.name, *_form(card(served)))

    async def docs(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return _page("Reference", *reference.sections(catalog, base, has_token=has_token))

    async def file(request: Request) -> Response:
        found = _FILES.get(request.path_params["name"])
        if found is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no such file")
        return Response(found[0], media_type=f"{found[1]}; charset=utf-8")

    return [
        Route("/", home),
        Route("/apps/{name}", form),
        Route("/docs", docs),
        Route("/page/{name}", file),
    ]


def _page(title: str, *main: Markup) -> HTMLResponse:
    """A whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · runllm"),
        tag("link", rel="icon", href="/page/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/page/style.css"),
    )
    links = [("/", "Apps"), ("/docs", "Reference")]
    nav = tag("nav", [tag("a", said, href=path) for path, said in links], aria_label="Pages")
    skip = tag("a", "To the content", href="#main", class_="skip")
    header = tag("header", skip, nav)
    footer = tag("footer", tag("p", f"runllm {__version__}"))
    body = tag("body", header, tag("main", main, id="main"), footer)
    return HTMLResponse(f"<!doctype html>\n{tag('html', head, body, lang='en')}\n")


def _home(catalog: Catalog) -> Markup:
    cards = [_entry(served) for served in catalog.values()]
    return tag("div", tag("h1", "Apps"), tag("ul", cards, class_="apps"))


def _entry(served: Served) -> Markup:
    program = served.app.program
    link = tag("a", program.name, href=f"/apps/{program.name}")
    stale = [tag("p", _STALE, class_="note")] if served.trouble else []
    described = [tag("p", program.description)] if program.description else []
    return tag("li", tag("h2", link), described, tag("p", f"Version {program.version}", class_="soft"), stale)


_STALE = "The file has a problem as it is now; this is how it was before."


def _form(card: Mapping[str, Any]) -> tuple[Markup, ...]:
    title = tag("h1", card["name"])
    described = [tag("p", card["description"], class_="lead")] if card.get("description") else []
    stale = [tag("p", _STALE, class_="note")] if card.get("stale") else []
    columns = tag("div", raw(_INPUT), raw(_OUTCOME), class_="columns")
    # `<` is written otherwise, so that no text in a schema ends the element that holds it.
    data = json.dumps(card, ensure_ascii=False).replace("<", "\\u003c")
    return (
        tag("div", title, described, stale, class_="title"),
        tag("div", columns, raw(_TABLE), id="page", hidden=""),
        tag("noscript", tag("p", "The form needs JavaScript; /docs shows how to call the app without it.")),
        tag("script", raw(data), type="application/json", id="app"),
        tag("script", type="module", src="/page/run.js"),
    )


_INPUT = """<section aria-labelledby="input-title"><h2 id="input-title">Input</h2>
<form id="form" class="card" novalidate><div id="fields"></div>
<div class="actions"><button id="run" class="main" type="submit" aria-keyshortcuts="Control+Enter">Run</button>
<button id="cancel" type="button" class="quiet" disabled>Cancel</button>
<button id="clear" type="button" class="quiet">Clear</button>
<span class="soft keys">Ctrl + Enter runs</span></div></form></section>"""
_OUTCOME = """<section aria-labelledby="outcome-title"><h2 id="outcome-title">Result</h2>
<div id="outcome" class="card">
<p class="state"><span id="status" role="status">Nothing has been run yet.</span>
<span id="clock" class="soft" aria-hidden="true"></span></p>
<div id="problem" role="alert"></div><div id="result" aria-live="polite"></div><div id="facts"></div>
<details id="raw" hidden><summary>JSON</summary><button id="copy" type="button" class="quiet">Copy</button>
<pre id="json" tabindex="0" role="group" aria-label="The result as JSON"></pre></details>
<ol id="steps" class="steps" aria-label="Steps of the run"></ol></div>
<section id="past" class="card" hidden><h3>Earlier runs of this page</h3><ul id="past-list"></ul></section></section>"""
_TABLE = """<section aria-labelledby="batch-title"><h2 id="batch-title">Many rows</h2>
<div id="batch" class="card"></div></section>"""
