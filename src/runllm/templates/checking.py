"""What is wrong with a template before it is rendered: its syntax, its names, and the paths it reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from runllm.diagnostics import Severity, did_you_mean
from runllm.errors import TemplateError
from runllm.schema import Found, Impossible, Step, Undeclared, Unwritten, declared_types, enter, resolve
from runllm.templates.engine import FILTERS, FUNCTIONS, METHODS, TESTS, check_source
from runllm.templates.reading import Chain, Reading, read
from runllm.templates.scanning import Token
from runllm.values import frozen

MAX_FINDINGS = 100

Scope = Mapping[str, Mapping[str, Any] | None]


@frozen
class Finding:
    """Something wrong in a template.

    Attributes:
        offset: where it stands, in code points from the start of the source.
        length: how many code points it covers; at least 1, unless the source is empty.
        message: what is wrong, as one sentence.
        hint: what to do about it.
        severity: a `warning` never stops a run.
    """

    offset: int
    length: int
    message: str
    hint: str = ""
    severity: Severity = "error"


@frozen
class Reference:
    """A path that a template reads.

    Attributes:
        path: the root name, then keys and indexes, up to the first step that is computed.
        offset: where it is written, in code points from the start of the source.
        length: how many code points are written there.
    """

    path: tuple[str | int, ...]
    offset: int
    length: int


def references(source: str) -> list[Reference]:
    """Every path that a template reads, in the order they are written.

    A name that the template binds stands for what it is bound to: in `{% for x in input.list %}`, `x.name`
    reads `input.list`. A name bound to something computed is left out.

    Raises:
        TemplateError: the syntax is wrong.
    """
    found: list[Reference] = []
    for chain in read(check_source(source)).chains:
        path = _written(chain.path)
        if path:
            offset, length = chain.span
            found.append(Reference(path=path, offset=offset, length=length))
    return found


def _written(path: Sequence[Step]) -> tuple[str | int, ...]:
    """The steps up to the first that is not written in the template."""
    found: list[str | int] = []
    for step in path:
        if isinstance(step, Unwritten):
            break
        found.append(step)
    return tuple(found)


def findings(source: str, scope: Scope) -> list[Finding]:
    """What is wrong with a template, at most `MAX_FINDINGS`, in the order of the source; empty when nothing is.

    Args:
        source: Jinja2 syntax.
        scope: what each root name holds, as a JSON Schema, or None for anything. A key with a dot, such as
            `uses.child`, gives a property of a root a schema of its own, in which its `$ref`s are followed.
    """
    try:
        reading = read(check_source(source))
    except TemplateError as error:
        length = min(1, len(source))
        where = {"offset": 0, "length": length} | error.details
        return [Finding(offset=where["offset"], length=where["length"], message=error.message)]
    found = islice(_Check(reading, scope).all(), MAX_FINDINGS)
    return sorted(found, key=lambda finding: finding.offset)


_WHOLE = "A `.rllm` file is whole: what two files share goes into a third, under `uses`."
_REFUSED = {
    **dict.fromkeys(("include", "import", "from", "extends"), _WHOLE),
    "autoescape": "A prompt is never escaped; write `| escape` where you want it.",
}
_BUILT_IN = (*FUNCTIONS, "caller", "kwargs", "loop", "self", "super", "varargs")


@dataclass(frozen=True, slots=True)
class _Check:
    reading: Reading
    scope: Scope

    def all(self) -> Iterator[Finding]:
        for statement in self.reading.statements:
            if statement.text in _REFUSED:
                message = f"`{{% {statement.text} %}}` is not available here"
                yield _finding((statement.offset, len(statement.text)), message, _REFUSED[statement.text])
        yield from _unknown("filter", self.reading.filters, FILTERS)
        yield from _unknown("test", self.reading.tests, TESTS)
        yield from _unknown("function", self.reading.calls, self.reading.assigned.union(_BUILT_IN), FUNCTIONS)
        for chain in self.reading.chains:
            yield from self.chain(chain)
        for chain in self.reading.loops:
            yield from self.loop(chain)

    def chain(self, chain: Chain) -> Iterator[Finding]:
        if not chain.path or self.is_bound(chain):
            return
        reached = self.follow(chain)
        if isinstance(reached, Finding):
            yield reached
        elif reached is not None and chain.method is not None:
            yield from _method(chain, chain.method, *reached)

    def is_bound(self, chain: Chain) -> bool:
        """Whether the root is a name of the template itself, met where its binding is not in sight."""
        root = chain.path[0]
        return (root in self.reading.assigned or root in _BUILT_IN) and root not in self.roots()

    def loop(self, chain: Chain) -> Iterator[Finding]:
        reached = None if self.is_bound(chain) else self.follow(chain)
        if isinstance(reached, tuple) and isinstance(found := enter(*reached, Unwritten.ELEMENT), Impossible):
            message = f"`{_spelt(chain.path)}` is {_one_of(found.types)}: a loop cannot run over it"
            yield _finding(chain.span, message)

    def roots(self) -> list[str]:
        return list(dict.fromkeys(key.partition(".")[0] for key in self.scope))

    def follow(self, chain: Chain) -> tuple[Mapping[str, Any], Any] | Finding | None:
        """The schema at the end of a path, with the schema that its references are followed in.

        None where it ends in something that was found wrong already, where its local name was bound.
        """
        root, at = self.entrance(chain.path)
        inherited = len(chain.path) - len(chain.marks)
        if root is None:
            return self.no_entrance(chain, at, inherited)
        schema: Any = root
        for index in range(at, len(chain.path)):
            verdict = enter(root, schema, chain.path[index])
            if not isinstance(verdict, Found):
                return _broken(chain, index, verdict) if index > inherited else None
            schema = verdict.schema
        return root, schema

    def entrance(self, path: Sequence[Step]) -> tuple[Mapping[str, Any] | None, int]:
        """The schema that the longest known beginning of a path holds, and how long that is; None for no such name."""
        written = _written(path)
        for length in range(len(written), 0, -1):
            key = ".".join(str(step) for step in written[:length])
            if key in self.scope:
                return self.scope[key] or {}, length
        if path[0] in self.roots():
            return (None, 1) if len(path) > 1 else ({}, 1)
        return None, 0

    def no_entrance(self, chain: Chain, at: int, inherited: int) -> Finding | None:
        if inherited > 0 and at <= inherited:
            return None
        step = str(chain.path[at])
        if at == 0:
            roots = self.roots()
            known = ", ".join(f"`{name}`" for name in roots)
            message = f"there is no `{step}` here" + (f": a template reads {known}" if known else "")
            return _finding(chain.marks[0], message, self.where_else(step) or did_you_mean(step, roots))
        names = [key.split(".")[1] for key in self.scope if key.startswith(f"{chain.path[0]}.")]
        message = f"`{chain.path[0]}` has no `{step}`"
        return _finding(chain.marks[at - inherited], message, did_you_mean(step, names))

    def where_else(self, name: str) -> str:
        """A hint for a property that is read without the root it stands under."""
        for root, schema in self.scope.items():
            if schema and name in resolve(schema, schema).get("properties", {}):
                return f"Did you mean `{root}.{name}`?"
        return ""


def _unknown(kind: str, used: list[Token], known: Collection[str], named: Sequence[str] = ()) -> Iterator[Finding]:
    for token in used:
        if token.text not in known:
            hint = did_you_mean(token.text, named or tuple(known))
            yield _finding((token.offset, len(token.text)), f"there is no {kind} `{token.text}`", hint)


def _broken(chain: Chain, index: int, verdict: Undeclared | Impossible) -> Finding:
    step, before = chain.path[index], _spelt(chain.path[:index])
    mark = chain.marks[index - (len(chain.path) - len(chain.marks))]
    if isinstance(verdict, Impossible):
        is_list = "array" in verdict.types and isinstance(step, str)
        hint = "Read one item with `[0]`, or loop over it." if is_list else ""
        return _finding(mark, f"`{before}` is {_one_of(verdict.types)}: it has no `{step}`", hint)
    if isinstance(step, int):
        return _finding(mark, f"`{before}` has no item {step}: it is not that long")
    hint = did_you_mean(str(step), verdict.names)
    return _finding(mark, f"`{before}` has no property `{step}`", hint)


def _method(chain: Chain, method: Token, root: Mapping[str, Any], schema: Any) -> Iterator[Finding]:
    types = declared_types(root, schema) - {"null"}
    known = [name for kind, names in METHODS.items() if not types or kind in types for name in names]
    if method.text not in known:
        what = f"`{_spelt(chain.path)}` is {_one_of(sorted(types))}: it has" if types else "there is"
        message = f"{what} no method `{method.text}`"
        yield _finding((method.offset, len(method.text)), message, did_you_mean(method.text, known))


def _finding(mark: tuple[int, int], message: str, hint: str = "") -> Finding:
    return Finding(offset=mark[0], length=mark[1], message=message, hint=hint)


def _spelt(path: Sequence[Step]) -> str:
    """A path as an author writes it."""
    parts = [str(path[0])]
    for step in path[1:]:
        if isinstance(step, str):
            parts.append(f".{step}" if step.isidentifier() else f'["{step}"]')
        else:
            parts.append(f"[{step}]" if isinstance(step, int) else "[…]")
    return "".join(parts)


def _one_of(types: Sequence[str]) -> str:
    names = [name if name == "null" else f"an {name}" if name[0] in "aoi" else f"a {name}" for name in types]
    return " or ".join(names) or "nothing"
