"""What a browser is shown: the pages of a service over real sockets, and that no text in an app breaks out of them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.integration.serving import Service

from runllm.schema import Contract, sample_of
from runllm.serve import Access
from runllm.testing import ScriptedEngine

PAGE = Path(__file__).parents[2] / "src/runllm/serve/page"
TOKEN = "a-token-of-sixteen-and-more"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
APP = """---
name: count
description: {description}
input_schema: {schema}
returns: {{n: integer}}
llm: openai/gpt-4o-mini
---
Count: {{{{ input }}}}
"""
TEXT = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def written(folder: Path, schema: Any = TEXT, description: str = "Counts.") -> Path:
    path = folder / "count.rllm"
    path.write_text(APP.format(description=json.dumps(description), schema=json.dumps(schema)), encoding="utf-8")
    return path


def serving(app: Path, **more: Any) -> Service:
    return Service(app, engine=ScriptedEngine(lambda _: '{"n": 1}'), **more)


class Read(HTMLParser):
    """A page as its elements, and the text in each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data


def test_every_page_is_html_that_asks_nobody_else(tmp_path: Path) -> None:
    with serving(written(tmp_path)) as service:
        for path in ("/", "/apps/count", "/docs"):
            answer = service.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            page = Read(answer.text)
            for tag, has in page.tags:
                for place in (has.get("src"), has.get("href")):
                    assert place is None or re.match(r"[/#](?!/)", place), f"{tag} leads to {place}"
                assert not any(name.startswith("on") or name == "style" for name in has), (
                    "the policy lets nothing inline run"
                )
            assert sum(tag == "h1" for tag, _ in page.tags) == 1
            assert page.tags[0] == ("html", {"lang": "en"})


def test_the_files_of_a_page_have_their_kinds_and_name_no_other_host(tmp_path: Path) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    with serving(written(tmp_path)) as service:
        for file in PAGE.iterdir():
            answer = service.get(f"/page/{file.name}")
            assert answer.headers["content-type"] == f"{kinds[file.suffix]}; charset=utf-8"
            assert answer.content == file.read_bytes()
            named = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", re.sub(r"(?m)^\s*//.*", "", answer.text)))
            assert named <= {"http://www.w3.org/2000/svg"}, "nothing but the name of SVG"
        for name in ("nothing.js", "..%2fweb.py", "%2e%2e%2fpages.py", "form.js%00"):
            assert service.get(f"/page/{name}").status_code == 404
        assert service.get("/apps/another").status_code == 404


def test_no_text_of_an_app_breaks_out_of_a_page(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "title": HOSTILE,
        "description": HOSTILE,
        "properties": {
            HOSTILE: {"enum": [HOSTILE], "default": HOSTILE, "description": HOSTILE},
            "__proto__": {"type": "string"},
        },
        "required": ["__proto__"],
        "additionalProperties": False,
    }
    with serving(written(tmp_path, schema, HOSTILE)) as service:
        home, form, docs = (Read(service.get(path).text) for path in ("/", "/apps/count", "/docs"))
        for page in (home, form, docs):
            assert not [tag for tag, _ in page.tags if tag == "img"]
        assert (home.scripts, docs.scripts) == ([], [])
        data, module = form.scripts
        assert module == "", "the one script is a file"
        assert json.loads(data) == service.get("/apps").json()[0], "the schema arrives as it is"


def test_controls_that_stand_in_the_page_have_names(tmp_path: Path) -> None:
    with serving(written(tmp_path)) as service:
        text = service.get("/apps/count").text
    assert re.findall(r"<button[^>]*>(.*?)</button>", text) == ["Run", "Cancel", "Clear", "Copy"]
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]*)"', text)) <= set(ids)
    assert not re.findall(r"<(?:input|select|textarea)\b", text), (
        "all others are made with their labels: see tests/browser"
    )


def test_the_reference_says_what_an_app_takes_and_how_to_call_it(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What to count."},
            "often": {"type": "integer", "default": 2},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    with serving(written(tmp_path, schema)) as service:
        page = service.get("/docs").text
        assert "POST /apps/count" in page
        assert "What to count." in page
        assert "default 2" in page
        assert f"curl {service.url}/apps/count --json" in page
        assert "TOKEN" not in page
        statuses = service.get("/openapi.json").json()["paths"]["/apps/count"]["post"]["responses"]
        for status in statuses.keys() - {"200"}:
            assert f"<code>{status}</code>" in page


def test_the_pages_ask_for_the_token_as_all_else_does(tmp_path: Path) -> None:
    with serving(written(tmp_path), access=Access(token=TOKEN)) as service:
        for path in ("/", "/apps/count", "/docs", "/page/run.js", "/batches/x", "/batches/x/result"):
            refused = service.get(path, headers={"Accept": "text/html"})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Basic ")
            assert service.get(path, auth=("any", TOKEN)).status_code == (404 if "batches" in path else 200)
        assert "$TOKEN" in service.get("/docs", auth=("any", TOKEN)).text


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        ({"type": "string"}, "..."),
        ({"type": "string", "format": "date"}, "2026-11-30"),
        ({"type": "string", "minLength": 5, "maxLength": 5.0}, "....."),
        ({"type": "string", "maxLength": 2}, ".."),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "minimum": 1.5}, 2),
        ({"type": "integer", "multipleOf": 5, "minimum": 3}, 5),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, 0.5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2.0}, [True, True]),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "boolean", "default": False}, False),
        ({"type": "array", "items": {"type": "number", "examples": [2.5]}}, [2.5]),
        ({"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}, "y": {}}, "required": ["x"]}, {"x": 7}),
    ],
)
def test_a_sample_is_of_the_right_type(schema: Any, sample: Any) -> None:
    root = {"type": "object", "$defs": {"x": {"const": 7}}, "properties": {"v": schema}, "required": ["v"]}
    assert sample_of(Contract(root)) == {"v": sample}
    assert Contract(root).accepts({"v": sample})


def test_a_sample_stays_small_whatever_a_schema_asks_for() -> None:
    """A stranger's file may ask for a list of a billion lists of a billion texts."""
    schema: Any = {"type": "string", "minLength": 10**9}
    for _ in range(4):
        schema = {"type": "array", "items": schema, "minItems": 10**9}
    found = sample_of(Contract({"type": "object", "properties": {"v": schema}, "required": ["v"]}))
    assert len(found["v"]) == 10
    assert len(found["v"][0][0][0][0]) == 1_000
