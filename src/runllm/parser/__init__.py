"""Text to `Program`: every problem of the file at once, and no I/O but `load`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runllm.diagnostics import Problem, Span, errors_in, in_order
from runllm.documents import DocumentError, Node, read
from runllm.files import read_bytes
from runllm.parser.body import Body, parse_body, split
from runllm.parser.definition import DATA, Findings, check, frontmatter_schema
from runllm.parser.frontmatter import Frontmatter
from runllm.program import NO_VERSION, Block, Program, Section, Source
from runllm.redaction import looks_secret
from runllm.schema import Contract
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.program import Case

__all__ = ["MAX_BYTES", "Parsed", "frontmatter_schema", "load", "parse"]

MAX_BYTES = 1 << 20
_SHORTEST_SECRET = 6  # characters: to look at each short line of a long file takes long
_MANY_DIGITS = re.compile(r"[0-9.]{17}|[eE]-[0-9]{3}")
"""What a number needs to have to lose digits."""


@frozen
class Parsed:
    """A program, or what stands in its way.

    Attributes:
        program: None exactly when a problem is an error.
        problems: in the order of the file.
        source: the text.
        sections: the templates by name (`SYSTEM`, `USER`, `RECOVERY`), also of a file with errors.
        blocks: the Python blocks, also of a file with errors.
        input_schema: what templates may read as `input`; None where the contract itself is wrong.
        inputs: where each property of the input stands that a sound contract declares.
        format: the version of the format that the file names; None where it names none, and may use all of it.
    """

    program: Program | None
    problems: tuple[Problem, ...]
    source: Source
    sections: Mapping[str, Section] = field(default_factory=dict[str, Section])
    blocks: tuple[Block, ...] = ()
    input_schema: Mapping[str, Any] | None = None
    inputs: Mapping[str, Span] = field(default_factory=dict[str, Span])
    format: str | None = None


def load(path: str | Path, *, resolved: Path | None = None) -> Parsed:
    """Read and parse a file.

    Args:
        path: the file; problems are reported under it.
        resolved: where it is, if that was checked: it is read there, see `files.read_bytes`.

    Raises:
        FileAccessError: the file is missing, a folder, or not readable.
    """
    data = read_bytes(str(path), MAX_BYTES, resolved=resolved and str(resolved))
    return parse(data, name=str(path), path=Path(path))


def parse(data: bytes | str, *, name: str = "<text>", path: Path | None = None) -> Parsed:
    """Parse the text of a file; `name` is what problems are reported under."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_BYTES:
        return _broken(name, f"the file is larger than {MAX_BYTES >> 20} MiB", hint="Pass large texts as input.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        text = before + raw[error.start :].decode("utf-8", "replace")
        return _broken(name, f"the file is not UTF-8: byte 0x{raw[error.start]:02x}", text=text, before=before)
    source = Source(name=name, text=text.replace("\r\n", "\n").replace("\r", "\n"))
    return _Parser(source, path).parse()


def _broken(
    name: str, message: str, *, text: str = "", before: str = "", hint: str = "Save the file as UTF-8."
) -> Parsed:
    """A file that is no text to work on; `before` is what stands before the fault."""
    source = Source(name=name, text=text)
    span = source.span(before.count("\n") + 1, len(before) - before.rfind("\n"))
    problem = Problem(message=message, keyword="file", kind="ParseError", span=span, hint=hint)
    return Parsed(program=None, problems=(problem,), source=source)


class _Parser:
    def __init__(self, source: Source, path: Path | None) -> None:
        self.source = source
        self.path = path

    def parse(self) -> Parsed:
        front, body_line, problems = split(self.source)
        body, more = parse_body(self.source, body_line) if front else (Body(), [])
        problems += more
        header = self._header(*front, problems) if front else None
        found = check(header) if header else Findings()
        problems += found.problems
        if header is not None:
            problems += _across(header, body, body_line)
            problems += self._secret_lines(header, found, body_line)
        program = self._program(header, body, found.sound_schemas) if header and not errors_in(problems) else None
        return Parsed(
            program=program,
            problems=in_order(problems),
            source=self.source,
            sections=_sections(header, body),
            blocks=tuple(body.blocks),
            input_schema=found.sound_schemas.get("input_schema"),
            inputs=found.inputs,
            format=header.format if header else None,
        )

    def _header(self, first_line: int, text: str, problems: list[Problem]) -> Frontmatter | None:
        try:
            root, found = read(text)
        except DocumentError as error:
            from runllm.parser.mistakes import in_yaml  # only needed once something is wrong

            error.hint = in_yaml(text, error) or error.hint
            root, found = None, [error]
        for error in found:
            span = self.source.span(first_line + error.mark.line, error.mark.column + 1, error.mark.length)
            hint = error.hint
            if error.earlier is not None:
                hint = f"The first one is on line {first_line + error.earlier.line}: keep one of them."
            keyword = "duplicate" if error.earlier else "yaml"
            problems.append(Problem(message=error.message, keyword=keyword, kind="ParseError", span=span, hint=hint))
        if root and " #" in text:
            problems += self._cut(first_line, root, text)
        if root and _MANY_DIGITS.search(text):
            problems += self._lost(first_line, root)
        return Frontmatter(self.source, first_line, root) if root else None

    def _lost(self, first_line: int, root: Node) -> Iterator[Problem]:
        from runllm import literals  # only for a file with such a number

        for mark, literal, kept in literals.of_document(root):
            yield Problem(
                message=literals.said(literal, kept),
                keyword="yaml",
                kind="ParseError",
                span=self.source.span(first_line + mark.line, mark.column + 1, mark.length),
                hint=f'Quote it if it is a text, `"{literal}"`; a whole number is exact without a point.',
                severity="warning",
            )

    def _cut(self, first_line: int, root: Node, text: str) -> Iterator[Problem]:
        from runllm.parser.mistakes import cut  # only for a file with comments

        for mark, hint in cut(root, text.split("\n")):
            yield Problem(
                message="this is a comment, and no part of the text before it",
                keyword="yaml",
                kind="ParseError",
                span=self.source.span(first_line + mark.line, mark.column + 1, mark.length),
                hint=hint,
                severity="warning",
            )

    def _secret_lines(self, header: Frontmatter, found: Findings, body_line: int) -> Iterator[Problem]:
        """Lines that hold a secret in the body, in a comment of the frontmatter or in one of its keys."""
        secrets = [problem.span.line for problem in found.problems if problem.keyword == "secret" and problem.span]
        told = {*DATA, *map(header.key_at, secrets)}
        for number, line in enumerate(self.source.text.split("\n"), start=1):
            if len(line) < _SHORTEST_SECRET or not looks_secret(line):
                continue
            if number >= body_line or line.startswith("#") or header.key_at(number) not in told:
                said, hint = "this line holds what looks like a secret", "A key belongs in an environment variable."
                yield self.source.problem(number, said, "secret", hint, "MetadataValidationError")

    def _program(self, header: Frontmatter, body: Body, schemas: Mapping[str, dict[str, Any]]) -> Program:
        values = header.values
        return Program(
            source=self.source,
            path=self.path,
            name=values["name"],
            format=header.format,
            description=values.get("description", ""),
            version=values.get("version", NO_VERSION),
            author=values.get("author", ""),
            max_context_window=_whole(values.get("max_context_window")),
            input=Contract(schemas["input_schema"]),
            output_contract=Contract(schemas["output_schema"]),
            model=header.model_settings(),
            params=header.params(),
            param_spans=header.param_spans(),
            prompt=body.sections.get("USER", Section(text="")),
            system=body.sections.get("SYSTEM"),
            recovery=_sections(header, body).get("RECOVERY"),
            examples=header.examples(),
            tests=_tests(header),
            blocks=tuple(body.blocks),
            uses=header.dependencies(),
            output=header.value_template("/output") if "output" in values else None,
            metadata=values.get("metadata", {}),
            tags=tuple(values.get("tags", ())),
            recommended_models=tuple(values.get("recommended_models", ())),
            max_calls=_whole(values.get("max_calls")),
            max_cost=values.get("max_cost"),
        )


def _tests(header: Frontmatter) -> tuple[Case, ...]:
    """The cases of `tests`."""
    if not header.values.get("tests"):
        return ()
    from runllm.parser.cases import cases  # as above: most files have none

    return cases(header)


def _whole(number: float | None) -> int | None:
    """A whole number that may be written as `4096.0`."""
    return None if number is None else int(number)


def _across(header: Frontmatter, body: Body, body_line: int) -> Iterator[Problem]:
    """What only frontmatter and body together can get wrong."""
    recovery = body.sections.get("RECOVERY")
    if recovery is not None and "recovery_prompt" in header.values:
        said = "there is a `<<<RECOVERY>>>` section and a `recovery_prompt` key"
        hint = "Both are the recovery prompt: keep one."
        yield header.source.problem(recovery.places[0][0] - 1, said, "section", hint, "MetadataValidationError")
    if "USER" not in body.sections and "output" not in header.values:
        hint = "Write the prompt below the second `---` line."
        yield header.source.problem(body_line - 1, "the prompt is empty", "section", hint)


def _sections(header: Frontmatter | None, body: Body) -> dict[str, Section]:
    """The templates of a file by name, that of `recovery_prompt` under `RECOVERY`."""
    recovery = header.template("recovery_prompt") if header else None
    return {**({"RECOVERY": recovery} if recovery else {}), **body.sections}
