"""What a file means: the parse tree of reference files and of every example, compared with a reviewed copy.

A place is written `line:column`, with `+length` where a stretch is marked. The source text is left out: it is the file.
"""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.golden.copies import HERE, same

from runllm import parser
from runllm.diagnostics import Span
from runllm.parser.body import SECTIONS
from runllm.program import Phase, Section, Source
from runllm.schema import Contract

PROGRAMS = HERE / "programs"
EXAMPLES = HERE.parent.parent / "examples"
FILES = sorted(PROGRAMS.glob("*.rllm")) + sorted(EXAMPLES.glob("*.rllm"))


def tree(value: Any) -> Any:
    """A value of a program as JSON."""
    if isinstance(value, Span):
        return f"{value.line}:{value.column}+{value.length}"
    if isinstance(value, Contract):
        return value.schema
    if isinstance(value, Section):
        return {"text": value.text, "places": " ".join(f"{line}:{column}" for line, column in value.places)}
    if is_dataclass(value):
        left_out = (Source, Path)
        pairs = ((entry.name, getattr(value, entry.name)) for entry in fields(value))
        # The project is where a file lies, not what it says.
        return {name: tree(found) for name, found in pairs if name != "project" and not isinstance(found, left_out)}
    if isinstance(value, dict | list | tuple):
        return {k: tree(v) for k, v in value.items()} if isinstance(value, dict) else [tree(v) for v in value]
    return value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parse_tree(path: Path) -> None:
    parsed = parser.load(path)
    assert parsed.problems == ()
    copy = PROGRAMS / (path.stem + ".json" if path.parent == PROGRAMS else f"example-{path.stem}.json")
    same(json.dumps(tree(parsed.program), ensure_ascii=False, indent=2) + "\n", copy)


def test_the_reference_files_use_every_key_section_and_phase() -> None:
    schema = parser.frontmatter_schema()
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PROGRAMS.glob("*.rllm")))
    llm = [f"  {key}:" for key in schema["properties"]["llm"]["properties"]]
    uses = [f"    {key}:" for key in schema["properties"]["uses"]["items"]["properties"] if key != "name"]
    wanted = [f"\n{key}:" for key in schema["properties"] if key not in ("input", "returns")] + [
        f"\n{key}" for key in llm + uses
    ]
    wanted += [f"<<<{name}>>>" for name in SECTIONS] + [f"rllm-python {phase}" for phase in get_args(Phase)]
    assert [word.strip() for word in wanted if word not in text] == []
