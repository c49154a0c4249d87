"""What the pages refer to is there: files, headings, cases, names of tests."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT

import runllm
from runllm.cli.batch import SOME_FAILED
from runllm.documents import read
from runllm.errors import catalogue

_FENCED = re.compile(r"^( *)(`{3,}|~{3,}).*?^ *\2`* *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
SPEC = ROOT / "docs" / "spec.md"


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub and the site give to the headings of a page."""
    found: set[str] = set()
    for heading in _HEADING.findall(_prose(page)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that are named behind `#`."""
    wrong: list[str] = []
    for target in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            wrong.append(target)
    assert not wrong


def test_every_page_is_in_the_contents_and_in_the_navigation() -> None:
    """A reader finds each page from the first one, on GitHub and on the site."""
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    linked = set(_LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert pages <= linked
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    tomllib.loads(navigation)
    assert [page for page in sorted(pages) if f'"{page}"' not in navigation] == []


def test_every_error_leads_to_its_entry() -> None:
    """What `doc_ref` of a payload names is a heading of that page."""
    anchors = {file: _anchors(ROOT / file) for file in ("docs/errors.md",)}
    for error in catalogue():
        file, _, anchor = error("x").payload()["doc_ref"].partition("#")
        assert anchor in anchors[file]


def test_every_exit_status_is_explained_to_users_of_the_shell() -> None:
    """A new status is not forgotten there."""
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "shell.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(row) for row in rows} == {0, SOME_FAILED, 129, 141, 143} | {error.exit_status for error in catalogue()}


def test_every_parameter_of_load_is_in_the_page_for_programmers() -> None:
    """What `load` takes is listed there, by the names of `Options`."""
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    fields = {field.name for field in dataclasses.fields(runllm.Options)} - {"configuration"}
    parameters = (inspect.signature(runllm.load).parameters.keys() | fields) - {"path", "options", "given"}
    assert {name for name in parameters if f"`{name}`" not in text} == set()


def test_the_definition_names_every_case_of_the_format() -> None:
    """Each rule has its cases: those that are named exist, and none is left out."""
    text = " ".join(SPEC.read_text(encoding="utf-8").split())
    named = set(re.findall(r"“([^”]+)”", text)) - {"quotes"}
    cases = {case["case"] for case in read((ROOT / "tests/spec/format.yaml").read_text(encoding="utf-8"))[0].value}
    assert named == cases


def test_the_files_that_the_definition_names_exist() -> None:
    """A rule that is held by other tests says which."""
    named = set(re.findall(r"`(tests/[^`]+)`", SPEC.read_text(encoding="utf-8")))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
