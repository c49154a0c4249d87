"""The tests of a file, in it or beside it: as values, and what is wrong with them before any is run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

from runllm.cases import BY_PLACE, CONDITIONS, steps_to
from runllm.diagnostics import Problem, did_you_mean, pointer
from runllm.errors import InputSchemaError, RunllmError, catalogue
from runllm.parser.conditions import always, several, worthless
from runllm.parser.frontmatter import Frontmatter
from runllm.program import Block, Case
from runllm.schema import (
    Contract,
    Found,
    Schema,
    Undeclared,
    Value,
    declared_types,
    described,
    enter,
    object_of,
    resolve,
    schema_problems,
    standalone,
    step_from,
    types_of,
)

_KIND = "MetadataValidationError"
_NUMBERS = {"integer", "number"}
_HOLDS = {"contains": {"string", "array"}, "matches": {"string"}, "near": _NUMBERS}
"""The types of which these conditions can be true."""


def cases(header: Frontmatter, before: int = 0) -> tuple[Case, ...]:
    """The tests under `tests`, whose form is right; those without a name are numbered on from those before."""
    return tuple(_case(header, index, said, before) for index, said in enumerate(header.values.get("tests") or ()))


def _case(header: Frontmatter, index: int, said: dict[str, Any], before: int) -> Case:
    name = said.get("name") or f"case {before + index + 1}"
    return Case(
        name=name,
        input=said.get("input") or {},
        expect={key: said[key] for key in CONDITIONS if key in said and key != "check"},
        tags=tuple(said.get("tags", ())),
        only=said.get("only", False),
        skip=said.get("skip", ""),
        check=_block(header, index, name, said["check"]) if "check" in said else None,
        span=header.span(f"/tests/{index}"),
    )


def _block(header: Frontmatter, index: int, name: str, code: str) -> Block:
    """The Python of a case, as a block that sees its input and what came of it."""
    node = header.root.at(f"/tests/{index}/check")
    mark = (node.literal or node.mark) if node else header.root.mark
    line = header.first_line + mark.line
    return Block(phase="check", name=name, inputs=("input", "output"), outputs=None, code=code, line=line)


def misfits(header: Frontmatter, given: Contract, output: Contract) -> Iterator[Problem]:
    """What of the tests under `tests` can never hold.

    Args:
        header: in which they stand; their form is right.
        given: the contract of the input.
        output: the contract of the output.
    """
    names: dict[str, int] = {}
    for index, case in enumerate(cases(header)):
        checker = _Checker(header, f"/tests/{index}", case, output)
        if case.name in names:
            yield checker.problem(f"a test is named `{case.name}` already", "/name", "Give each a name of its own.")
        names[case.name] = index
        yield from checker.found(given)


class _Checker:
    """What is wrong with one test."""

    def __init__(self, header: Frontmatter, at: str, case: Case, output: Contract) -> None:
        self.header = header
        self.at = at
        self.case = case
        self.output = output
        self.root = output.schema

    def problem(self, message: str, at: str, hint: str = "", keyword: str = "tests", key: str | None = None) -> Problem:
        """A problem at a JSON Pointer inside the test, or at a key there."""
        path = self.at + at
        span = self.header.span(path, key=key)
        return Problem(message=message, pointer=path, keyword=keyword, span=span, kind=_KIND, hint=hint)

    def found(self, given: Contract) -> Iterator[Problem]:
        """All of it."""
        if self.case.only and self.case.skip:
            yield self.problem("a case that is skipped cannot be run alone", "/only", "Keep one of `only` and `skip`.")
        expected = error_named(str(self.case.expect["error"])) if "error" in self.case.expect else None
        if expected is None or not issubclass(InputSchemaError, expected):
            yield from self.fits("/input", given, given.with_defaults(dict(self.case.input)), "input")
        if "error" in self.case.expect:
            yield from self.error(str(self.case.expect["error"]), expected)
        else:
            yield from self.output_problems()

    def error(self, name: str, expected: type[RunllmError] | None) -> Iterator[Problem]:
        """What is wrong with the error that is expected."""
        if expected is None:
            known = [name for one in catalogue() for name in (one.code, one.__name__)]
            yield self.problem(f"there is no error `{name}`", "/error", did_you_mean(name, known))
        elif expected is not RunllmError and not expected.of_input:
            said = f"no input makes a run end with {expected.__name__}, so no test can expect it"
            may = ", ".join(one.__name__ for one in catalogue() if one.of_input)
            yield self.problem(said, "/error", f"A test may expect {may}.")
        after = [key for key in CONDITIONS if key in self.case.expect and key not in ("error", "most")]
        if after or self.case.check:
            said = f"a run that fails has no output, and `{(after or ['check'])[0]}` is about it"
            yield self.problem(said, "/error", "Keep one of them.")

    def output_problems(self) -> Iterator[Problem]:
        """What is wrong with what is expected of the output."""
        if self.case.check is not None and (why := _worthless(self.case.check.code)):
            yield self.problem(f"`check` {why}, and so can never fail", "/check", _ASSERT)
        if "output" in self.case.expect:
            yield from self.fits("/output", self.output, self.case.expect["output"], "output")
        if "partial" in self.case.expect:
            yield from self.partial(self.root, self.case.expect["partial"], "/partial")
        for whole in ("output", "partial"):
            if whole in self.case.expect and self.is_sure(whole):
                yield self.problem(f"`{whole}` can never fail: each output holds that", f"/{whole}", _SURE)
        for condition in BY_PLACE:
            yield from self.at_places(condition)

    def fits(self, at: str, contract: Contract, value: Any, what: str) -> Iterator[Problem]:
        """What of a value does not fit the contract, so that no run could take or give it."""
        for problem in contract.problems(value):
            key = problem.message.split("`")[1] if problem.keyword == "additionalProperties" else None
            said = f"the {what} does not fit: {problem.message}"
            yield self.problem(said, at + problem.pointer, problem.hint, problem.keyword, key)

    def partial(self, schema: Schema, value: Any, at: str) -> Iterator[Problem]:
        """What of a part of the output can stand in none."""
        if not isinstance(value, Mapping):
            yield from self.fits(at, self.contract(schema), value, "output")
            return
        for key, inner in cast("Mapping[str, Any]", value).items():
            found, problem = self.step(schema, key, at, key)
            if problem is not None:
                yield problem
            elif found is not None:
                yield from self.partial(found, inner, at + pointer([key]))

    def at_places(self, condition: str) -> Iterator[Problem]:
        """What is wrong with the places that a condition names, or with what it says of them."""
        if self.case.expect.get(condition) == {}:
            yield self.problem(f"`{condition}` names no place, and so can never fail", f"/{condition}", _SURE)
        for place, said in self.case.at_places(condition).items():
            at = f"/{condition}{pointer([place]) if place else ''}"
            schema, problem = self.enter(place, f"/{condition}")
            if problem is not None:
                yield problem
                continue
            types, able = declared_types(self.root, schema), _HOLDS.get(condition)
            if types and able and not types & able:
                yield self.problem(
                    f"{_named(place)} is {described(resolve(self.root, schema))}: {_USES[condition]}", at
                )
                continue
            problems = list(self.form(condition, schema, said, at))
            why = worthless(condition, said, self.root, self.value(place)) if not problems else None
            yield from problems
            if why:
                yield self.problem(why, at, _SURE)

    def form(self, condition: str, schema: Schema, said: Any, at: str) -> Iterator[Problem]:
        """What is wrong with what a condition says of a place, beside whether that can hold."""
        if condition == "matches":
            yield from self.pattern(said, at)
        elif condition == "near" and not Contract(_TOLERANCE).accepts(said):
            yield self.problem("`near` names a number and how far off it may be", at, _NEAR)
        elif condition == "one_of":
            yield from self.choices(schema, said, at)
        elif condition == "contains" and types_of(self.root, schema) == frozenset({"array"}):
            item = enter(self.root, schema, 0)
            if isinstance(item, Found):
                contract = self.contract(item.schema)
                for one in several(said):
                    yield from self.fits(at, contract, one, "item")

    def value(self, place: str) -> Value:
        """What may stand at a place in the output, which can be."""
        found = Value(self.root)
        for step in steps_to(place) or ():
            found = step_from(self.root, found, step)
        return found

    def is_sure(self, whole: str) -> bool:
        """Whether what `output` or `partial` says is true of each output."""
        said = self.case.expect[whole]
        if whole == "output" and isinstance(said, dict):
            return False  # other keys may stand there
        return said == {} or always(self.root, Value(self.root), said)

    def pattern(self, said: Any, at: str) -> Iterator[Problem]:
        """What is wrong with a regular expression."""
        for problem in schema_problems({"pattern": said}, is_object=False):
            yield self.problem(problem.message, at, problem.hint)

    def choices(self, schema: Schema, said: Any, at: str) -> Iterator[Problem]:
        """Choices that cannot stand where they are looked for."""
        if not isinstance(said, list):
            yield self.problem("`one_of` names several values", at, "Write a list: `[a, b]`.")
            return
        for index, value in enumerate(cast("list[Any]", said)):
            yield from self.fits(f"{at}/{index}", self.contract(schema), value, "value")

    def enter(self, place: str, at: str) -> tuple[Schema, Problem | None]:
        """The schema of what stands at a place in the output."""
        steps = steps_to(place)
        if steps is None:
            return {}, self.problem(f"`{place}` is no place in the output", at, _PLACES, key=place)
        schema: Schema = self.root
        for step in steps:
            found, problem = self.step(schema, step, at, place)
            if problem is not None or found is None:
                return {}, problem
            schema = found
        return schema, None

    def step(self, schema: Schema, step: str | int, at: str, key: str) -> tuple[Schema | None, Problem | None]:
        """The schema that a step leads to, None where nothing is known; or why there is none."""
        entered = enter(self.root, schema, step)
        if isinstance(entered, Found):
            return entered.schema, None
        if isinstance(entered, Undeclared):
            hint = did_you_mean(step, entered.names) if isinstance(step, str) else ""
            return None, self.problem(f"the output has no `{step}`", at, hint, key=key)
        kind = described(resolve(self.root, schema))
        said = f"the output has no `{step}`: what would hold it is {kind}"
        return None, self.problem(said, at, _PLACES, key=key)

    def contract(self, schema: Schema) -> Contract:
        """The contract of a part of the output."""
        return Contract(standalone(self.root, schema))


def _worthless(code: str) -> str | None:
    """Why Python can never fail for what an output is; None where it can. What cannot be read is told by others."""
    import ast  # few cases have any

    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(code)
            compile(tree, "<check>", "exec")
            found = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    asserted = [node.test for node in found if isinstance(node, ast.Assert)]
    if any(isinstance(test, ast.Tuple) for test in asserted):
        return "asserts a tuple, which is always true"
    plain = [test for test in asserted if not (isinstance(test, ast.Constant) and test.value)]
    if not plain and not any(isinstance(node, ast.Raise) for node in found):
        return "asserts nothing" + (" but a constant" if asserted else "")
    reads = any(isinstance(node, ast.Name) and node.id == "output" for node in found)
    return None if reads else "never looks at `output`"


_SURE = "Say what could be otherwise, or leave it out."
_ASSERT = 'Write `assert output["total"] == 99, "the total"`: without brackets around both.'
_NEAR = "Write `near: {total: {value: 12.5, within: 0.1}}`."
_TOLERANCE = object_of({"value": {"type": "number"}, "within": {"type": "number", "minimum": 0}})
_PLACES = 'A place is written as `total`, `lines[0].price` or `["first name"]`.'
_USES = {
    "contains": "`contains` is for texts and lists",
    "matches": "`matches` is for texts",
    "near": "`near` is for numbers",
}


def _named(place: str) -> str:
    return f"`{place}`" if place else "the output"


def error_named(name: str) -> type[RunllmError] | None:
    """The error of this name or code; None where there is none."""
    known = {found: one for one in catalogue() for found in (one.code, one.__name__)}
    return {**known, "RunllmError": RunllmError}.get(name)
