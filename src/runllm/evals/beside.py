"""The tests that stand beside a file: `app.tests.yaml`, or a table of inputs and expected outputs (`tables`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from runllm.diagnostics import Problem, errors_in, in_order
from runllm.documents import DocumentError, Mark, Node, read
from runllm.errors import RunllmError
from runllm.files import read_bytes
from runllm.parser import MAX_BYTES
from runllm.parser.cases import cases, misfits
from runllm.parser.definition import check_tests
from runllm.parser.frontmatter import Frontmatter
from runllm.program import Case, Program, Source
from runllm.project.check import case_problems

_ENDINGS = (".yaml", ".yml", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx")
_KIND = "MetadataValidationError"


def beside(path: str | Path) -> list[Path]:
    """The files of tests that stand beside an app's, such as `mail.tests.yaml` beside `mail.rllm`."""
    app = Path(path)
    return [found for ending in _ENDINGS if (found := app.with_name(f"{app.stem}.tests{ending}")).is_file()]


def cases_of(program: Program, *, trusted: bool = False) -> tuple[tuple[Case, ...], tuple[Problem, ...]]:
    """All tests of a program, those in its own file first, and what is wrong with those beside it.

    Raises:
        FileAccessError: a file cannot be read.
    """
    found, problems = list(program.tests), list[Problem]()
    for path in beside(program.path) if program.path else []:
        header, wrong = _read(path, program)
        problems += wrong
        if header is not None:
            here = cases(header, before=len(found))
            problems += misfits(header, program.input, program.output_contract)
            problems += case_problems(program, header.source, here, trusted=trusted)
            found += here
    names = [case.name for case in found]
    for case in found[len(program.tests) :]:
        if not errors_in(problems) and names.count(case.name) > 1:
            said = f"a test is named `{case.name}` already"
            problems.append(Problem(message=said, keyword="tests", kind=_KIND, span=case.span))
    return tuple(found), in_order(problems)


def _read(path: Path, program: Program) -> tuple[Frontmatter | None, list[Problem]]:
    """A file of tests as a frontmatter that has nothing else; None where its form is wrong."""
    if path.suffix in (".yaml", ".yml"):
        return _of_yaml(path)
    source = Source(name=str(path), text="")
    try:
        from runllm.evals.tables import tests_of  # 100 ms that tests without a table need not pay

        rows, problems = tests_of(path, program)
    except RunllmError as error:
        return None, list(error.problems) or [Problem(message=error.message, keyword="file", kind=_KIND)]
    header = header_of(source, rows)
    wrong = check_tests(header)
    return (None if wrong else header), [*problems, *wrong]


def header_of(source: Source, rows: Sequence[tuple[int, dict[str, Any]]]) -> Frontmatter:
    """Cases of a table as a frontmatter that has nothing else; each with the line of its row."""
    nodes: dict[str | int, Node] = {index: _node(said, Mark(line - 1, 0, 1)) for index, (line, said) in enumerate(rows)}
    return _header(source, Node(value=[said for _, said in rows], mark=Mark(0, 0, 1), children=nodes))


def _node(value: Any, mark: Mark) -> Node:
    """A value of a table as it would be in YAML, all of it at the place of its row."""
    if isinstance(value, dict):
        inside = cast("dict[str, Any]", value)
        return Node(
            value=value,
            mark=mark,
            keys=dict.fromkeys(inside, mark),
            children={key: _node(one, mark) for key, one in inside.items()},
        )
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return Node(value=value, mark=mark, children={index: _node(one, mark) for index, one in enumerate(items)})


def _of_yaml(path: Path) -> tuple[Frontmatter | None, list[Problem]]:
    data = read_bytes(str(path), MAX_BYTES)
    source = Source(name=str(path), text=data.decode("utf-8-sig", "replace").replace("\r\n", "\n"))
    if len(data) > MAX_BYTES:
        return None, [source.problem(1, f"the file is larger than {MAX_BYTES >> 20} MiB", "file", kind=_KIND)]
    try:
        root, wrong = read(source.text)
    except DocumentError as error:
        root, wrong = Node(value=None, mark=Mark(0, 0, 1)), [error]
    found = [
        Problem(
            message=one.message,
            keyword="yaml",
            kind="ParseError",
            span=source.span(one.mark.line + 1, one.mark.column + 1, one.mark.length),
            hint=one.hint,
        )
        for one in wrong
    ]
    tests = root.child("tests") if root.mapping is not None else root
    if not found and (tests is None or (root.mapping is not None and len(root.children) > 1)):
        found = [source.problem(1, "a file of tests is a list of cases, or `tests:` with one", "tests", kind=_KIND)]
    if found or tests is None:
        return None, found
    header = _header(source, tests)
    problems = check_tests(header)
    return (None if problems else header), problems


def _header(source: Source, tests: Node) -> Frontmatter:
    mark = Mark(0, 0, 1)
    return Frontmatter(
        source, 1, Node(value={"tests": tests.value}, mark=mark, keys={"tests": mark}, children={"tests": tests})
    )
