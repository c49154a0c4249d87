"""How to call the apps, to be read: what each takes and gives, how it fails, and a line to try it with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from shlex import quote
from typing import Any

from runllm.app import App
from runllm.descriptions import fields
from runllm.diagnostics import clip
from runllm.report.markup import Markup, raw, tag
from runllm.schema import Contract, sample_of
from runllm.serve import openapi
from runllm.serve.catalog import Catalog

_LONGEST = 200  # characters of a default


def sections(catalog: Catalog, base: str, *, has_token: bool) -> tuple[Markup, ...]:
    """The parts of the page.

    Args:
        catalog: the apps.
        base: the address of the service.
        has_token: whether callers need a token.
    """
    paths: Mapping[str, Any] = openapi.document(catalog, has_token=has_token)["paths"]
    operations = [paths[f"/apps/{name}"]["post"] for name in catalog]
    apps = [_app(served.app, base, has_token=has_token) for served in catalog.values()]
    return _introduction(has_token=has_token), *apps, _failures(operations[0]["responses"])


_CALLS = """<p class="lead">Each app is an address that takes its input as a JSON object and answers its output.</p>
<p>With <code>Accept: text/event-stream</code> the steps of a run are told as they happen, as server-sent events; the
last is <code>result</code> or <code>error</code>. For programs all of this is
<a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>"""
_AUTH = "<p>Every request carries the token: <code>Authorization: Bearer TOKEN</code>.</p>"
_PROBLEM = """<p>Where there is no output, the answer is <code>application/problem+json</code> (RFC 9457): a
<code>code</code> that is stable, a <code>message</code>, often a <code>hint</code>, and of an input that does not fit
its <code>problems</code>, each with the <code>pointer</code> to its place.</p>"""


def _introduction(*, has_token: bool) -> Markup:
    return tag("div", tag("h1", "Reference"), raw(_CALLS, _AUTH if has_token else ""))


def _app(app: App, base: str, *, has_token: bool) -> Markup:
    program, url = app.program, f"{base}/apps/{app.name}"
    said = [tag("p", program.description)] if program.description else []
    way = tag("p", tag("code", f"POST /apps/{app.name}"), " · ", tag("a", "Form", href=f"/apps/{app.name}"))
    sample = sample_of(program.input)
    parts = [
        _table(program.input, "It takes"),
        _table(program.output_contract, "It answers"),
        _lines("curl", _curl(url, sample, has_token=has_token)),
        _lines("Python", _python(url, sample, has_token=has_token)),
    ]
    return tag("section", tag("h2", app.name), said, way, parts, class_="card reference", id=app.name)


def _table(contract: Contract, title: str) -> Markup:
    """The properties of an object; of another value, what it is."""
    names = ("Name", "Type", "Meaning")
    rows = [_row(one) for one in fields(contract)]
    if not rows:
        return tag("div", tag("h3", title), tag("p", "any JSON object"))
    head = tag("thead", tag("tr", [tag("th", one, scope="col") for one in names]))
    table = tag("table", head, tag("tbody", rows))
    scrolled = tag("div", table, class_="scrolled", tabindex="0", role="group", aria_label=title)
    return tag("div", tag("h3", title), scrolled)


def _row(field: Mapping[str, Any]) -> Markup:
    default = field["default"]
    usual = [] if default is None else [tag("span", f"default {_clipped(default)}", class_="soft")]
    needed = [] if field["required"] or usual else [tag("span", "optional", class_="soft")]
    name = tag("code", field["name"] or "the value")
    said = str(field["description"] or "")
    return tag("tr", tag("td", name), tag("td", field["type"], " ", usual or needed), tag("td", said))


def _clipped(value: Any) -> str:
    return clip(json.dumps(value, ensure_ascii=False), _LONGEST)


def _lines(title: str, text: str) -> Markup:
    return tag("div", tag("h3", title), tag("pre", tag("code", text), tabindex="0", role="group", aria_label=title))


def _curl(url: str, sample: Any, *, has_token: bool) -> str:
    token = ' -H "Authorization: Bearer $TOKEN"' if has_token else ""
    return f"curl {quote(url)}{token} --json {quote(json.dumps(sample, ensure_ascii=False))}"


def _python(url: str, sample: Any, *, has_token: bool) -> str:
    token = ', headers={"Authorization": f"Bearer {token}"}' if has_token else ""
    return f"httpx.post({url!r}, json={sample!r}{token}).raise_for_status().json()"


def _failures(responses: Mapping[str, Any]) -> Markup:
    said = [(status, found["description"]) for status, found in responses.items() if status != "200"]
    rows = [tag("tr", tag("td", tag("code", status)), tag("td", meaning)) for status, meaning in said]
    head = tag("thead", tag("tr", tag("th", "Status", scope="col"), tag("th", "Meaning", scope="col")))
    table = tag("table", head, tag("tbody", rows))
    return tag("section", tag("h2", "Errors"), raw(_PROBLEM), table, class_="card reference")
