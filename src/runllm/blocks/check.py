"""Check the Python blocks of a program before they run: what they see, what they give, and their code.

Nothing of a block is run. An error is a mistake whatever the input; what only may go wrong is a warning. Types are
the business of the sandbox's own checker, and are told in its words.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from runllm import template
from runllm.blocks import checker, differs, lacks
from runllm.blocks.made import vars_schema
from runllm.blocks.phases import returned
from runllm.blocks.stubs import is_name, module
from runllm.diagnostics import Problem, Severity, clip, did_you_mean
from runllm.program import Block, Program
from runllm.schema import Scope, described, is_object, object_of, schema_at
from runllm.values import frozen

MAX_CODE = 64 * 1024
MAX_FINDINGS = 20
_LONGEST_MESSAGE = 300
_RESULT = {"type": "object"}
_INSTEAD = {
    "yield": "Collect the values in a list and return it.",
    "'del'": "Use `d.pop(key)`, or build what is left: `{k: v for k, v in d.items() if k != key}`.",
    "inheritance": "Leave the base out, and raise a built-in error: `raise ValueError('...')`.",
    "method decorators": "Make it a method and call it, or a function outside of the class.",
}
"""What to write instead of syntax that the sandbox refuses, by its words."""
_GIVE = "give_output_"  # takes an output, as its schema does
_GIVEN = "given_"  # an input that the block binds anew


def block_problems(program: Program, scope: Scope, *, trusted: bool = False) -> list[Problem]:
    """Every problem of the blocks, each with its place in the file.

    Args:
        program: whose blocks are checked.
        scope: what templates may read, each name with its schema.
        trusted: whether they will run in real Python, of which the sandbox's checker knows only a part: then
            what they see and give is checked, and not their code.
    """
    found: list[Problem] = []
    for index, block in enumerate(program.blocks):
        sees = _seen(program, scope, program.blocks[:index], block)
        paths = list(_path_problems(program, block, sees))
        found += [*paths, *_output_problems(program, block)]
        if not paths and not trusted:
            found += _code_problems(program, block, sees)
    return found


def _seen(program: Program, scope: Scope, before: Sequence[Block], block: Block) -> Scope:
    """What a block may see: each name with the schema of what it holds."""
    if block.phase == "pre":
        return {**scope, "vars": vars_schema(before)}
    return {**scope, "output": program.output_contract.schema}


def _path_problems(program: Program, block: Block, scope: Scope) -> Iterator[Problem]:
    """Declared inputs that cannot exist, each at its place in the fence."""
    for path in block.inputs or ():
        for finding in template.findings(f"{{{{ {path} }}}}", scope):
            yield _at_fence(program, block, finding.message, "inputs", path, finding.hint)


def _output_problems(program: Program, block: Block) -> Iterator[Problem]:
    """Declared outputs that the phase has no use for."""
    schema = program.output_contract.schema
    closed = schema.get("additionalProperties") is False
    for name in block.outputs or ():
        if block.phase == "check":
            message = f"a check block gives nothing: `{name}` is not read"
            yield _at_fence(program, block, message, "outputs", name, "State what must hold with `assert`.")
        elif block.phase == "post" and not is_object(schema):
            if name != "output":
                message = f"`{name}` is no key of the output, which is {described(schema)}"
                yield _at_fence(program, block, message, "outputs", name, "Set the whole output: `outputs=output`.")
        elif block.phase == "post" and closed and schema_at(schema, [name]) is None:
            hint = did_you_mean(name, list(program.output_contract.properties))
            yield _at_fence(program, block, f"the output has no property `{name}`", "outputs", name, hint)


def _at_fence(program: Program, block: Block, message: str, key: str, name: str, hint: str) -> Problem:
    """A problem at one name of the setting `key` of a block's fence."""
    number = block.line - 1
    line = program.source.line(number)
    place = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.])").search(line, line.find(key) + len(key))
    span = program.source.span(number, place.start() + 1 if place else 1, len(name))
    return Problem(message=message, keyword="python", kind="PythonBlockExecutionError", span=span, hint=hint)


def _code_problems(program: Program, block: Block, scope: Scope) -> Iterator[Problem]:
    for finding in check(block.code, _names(block, scope), _outputs(program, block), name=block.name):
        yield Problem(
            message=f"{block.phase} block `{block.name}`: {finding.message}",
            keyword="python",
            kind="PythonBlockExecutionError",
            span=program.source.span(block.line + finding.line - 1, finding.column, finding.length),
            hint=finding.hint,
            severity=finding.severity,
        )


def _names(block: Block, scope: Scope) -> Scope:
    """The locals of the block with their schemas."""
    if block.inputs is not None:
        return {local: _schema_of(steps, scope) for local, steps in block.bound.items()}
    whole = dict(scope)
    used = {name.partition(".")[2]: whole.pop(name) for name in scope if name.startswith("uses.")}
    if used:
        whole["uses"] = object_of(used)
    return {"context": object_of(whole), **({"result": _RESULT} if returned(block) == ("result",) else {})}


def _schema_of(steps: Sequence[str], scope: Scope) -> Mapping[str, Any] | None:
    name = next((name for name in (".".join(steps[:2]), steps[0]) if name in scope), "")
    schema = scope.get(name)
    return None if schema is None else schema_at(schema, steps[name.count(".") + 1 :])


def _outputs(program: Program, block: Block) -> Scope:
    """What is read back, each with the schema that it must fit: given, so never null for being absent."""
    if block.phase != "post" or block.outputs is None:
        return dict.fromkeys(returned(block))
    schema = program.output_contract.schema
    if not is_object(schema):
        return {name: schema if name == "output" else None for name in block.outputs}
    return {
        name: schema_at({**schema, "required": [*schema.get("required", ()), name]}, [name]) for name in block.outputs
    }


# --- one block -------------------------------------------------------------------------------------------------------


@frozen
class BlockFinding:
    """One thing that is wrong with a block.

    Attributes:
        line: of the block's code, counted from 1.
        column: counted from 1, in code points.
        length: how many code points of that line it covers; at least 1.
        message: what is wrong.
        hint: what to write instead.
        severity: a `warning` may go wrong for some input.
    """

    line: int
    column: int
    length: int
    message: str
    hint: str = ""
    severity: Severity = "error"


_Schemas = Mapping[str, Mapping[str, Any] | None]


def check(code: str, names: _Schemas, outputs: _Schemas, *, name: str) -> list[BlockFinding]:
    """What is wrong with a block, in the order of its lines, at most `MAX_FINDINGS`; never raises for any code.

    Args:
        code: the block; it is not run.
        names: what the block sees, each with the JSON Schema of its value, or None for anything.
        outputs: the locals that are read after it, each with the schema it must fit, or None for anything.
        name: the block's name, for the sandbox's records.
    """
    block = _Block(code.replace("\r\n", "\n").replace("\r", "\n"), names, outputs, name)
    try:
        found = block.findings()
    except RecursionError:
        found = []  # too deep to follow, which is no mistake in itself
    kept = sorted(dict.fromkeys(found), key=lambda f: (f.severity, f.line, f.column))[:MAX_FINDINGS]  # errors first
    return sorted(kept, key=lambda f: (f.line, f.column))


class _Block:
    """One check of one block."""

    def __init__(self, code: str, names: _Schemas, outputs: _Schemas, name: str) -> None:
        self._code = code
        self._lines = code.split("\n")
        self._names = {key: schema for key, schema in names.items() if is_name(key)}
        self._outputs = {key: schema for key, schema in outputs.items() if is_name(key)}
        self._name = name

    def findings(self) -> list[BlockFinding]:
        code = self._code
        if len(code.encode("utf-8", "surrogatepass")) > MAX_CODE:
            message = f"the block is longer than {MAX_CODE // 1024} KiB: it is not checked"
            return [self._at(1, 1, 1, message, "Split it into several blocks.", "warning")]
        broken = next((at for at, c in enumerate(code) if c == "\0" or "\ud800" <= c <= "\udfff"), None)
        if broken is not None:
            column = broken - code.rfind("\n", 0, broken)
            hint = "Remove it, or write it as an escape."
            return [self._at(code.count("\n", 0, broken) + 1, column, 1, "a character here is not text", hint)]
        try:
            return self._parsed(_tree(code))
        except SyntaxError as error:
            column = error.offset or 1
            width = (error.end_offset or 0) - column if error.end_lineno == error.lineno else 1
            wrong = self._at(error.lineno or 1, column, width, f"this is not Python: {error.msg}")
        except (ValueError, MemoryError):
            wrong = self._at(1, 1, 1, "the block is nested too deeply", "Split long expressions into steps.")
        # The sandbox may read a newer Python than this one, and then it is right.
        answer = checker.ask(code, module(self._names, {}, checker.STUBS), (), name=self._name)
        if answer is None or answer.refusal is not None:
            return [wrong]
        return [wrong] if any(found.code == "invalid-syntax" for found in answer.diagnostics) else []

    def _parsed(self, tree: ast.Module) -> list[BlockFinding]:
        names = lacks.Names(tree, self._names)
        facts = checker.Facts(tree, names, self._names)
        places = _bindings(tree.body)
        reads = list(lacks.reads(tree, names))
        found = [self._lacking(lack) for lack in lacks.uses(tree, names)]
        if not facts.runs_text:
            found += self._unassigned(tree, {*places, *facts.shared})
        answer, outputs = self._asked(places, reads, self._doubtful(tree, places, facts))
        numbers = [name for name, schema in self._names.items() if schema and schema.get("type") == "number"]
        others = [self._differing(*one) for one in differs.uses(tree, names, numbers)]
        if answer is None:
            return [*found, *others]
        found += [self._lacking(lack) for lack in lacks.missing(reads, answer.failed)]
        if (refusal := answer.refusal) is not None:
            hint = next((hint for words, hint in _INSTEAD.items() if words in refusal.message), "")
            found.append(self._at(refusal.line, refusal.column, 1, refusal.message, hint))
        return [*found, *others, *self._typed(answer, facts, found), *self._given(answer, outputs, places)]

    def _doubtful(self, tree: ast.Module, places: Collection[str], facts: checker.Facts) -> list[str]:
        """The outputs that are assigned, but by no statement that is always reached."""
        compound = ast.If | ast.For | ast.While | ast.Try | ast.With | ast.Match | ast.AsyncFor | ast.AsyncWith
        certain = _bindings([statement for statement in tree.body if not isinstance(statement, compound)])
        free = [] if facts.runs_text else [name for name in self._outputs if name in places and name not in self._names]
        return [name for name in free if name not in {*certain, *facts.shared}]

    def _asked(
        self, places: Collection[str], reads: Iterable[lacks.Read], doubtful: Collection[str]
    ) -> tuple[checker.Answer | None, list[str]]:
        """The sandbox's answer, and the output that each line after the block asks for."""
        sinks = {name: schema for name, schema in self._outputs.items() if schema is not None and name in places}
        # A declared name keeps its type; one that the block binds anew must be able to change it.
        declared = {f"{_GIVEN}{name}" if name in places else name: schema for name, schema in self._names.items()}
        before = [f"{name} = {_GIVEN}{name}" for name in self._names if name in places]
        before += [f"{name} = {checker.UNSET}()" for name in doubtful]
        after = [f"reveal_type({name})" for name in doubtful]
        after += [
            f"isinstance({name}, {checker.UNSET}) or {_GIVE}{name}({name})"
            if name in doubtful
            else f"{_GIVE}{name}({name})"
            for name in sinks
        ]
        probes = [probe for read in reads for probe in (f"import {read.module}" if read.module else "", read.probe)]
        answer = checker.ask(
            self._code,
            module(declared, {f"{_GIVE}{name}": schema for name, schema in sinks.items()}, checker.STUBS),
            filter(None, probes),
            before="; ".join(before),
            after="\n".join(after),
            name=self._name,
        )
        return answer, [*doubtful, *sinks]

    # --- findings at their places ----------------------------------------------------------------

    def _lacking(self, lack: lacks.Lack) -> BlockFinding:
        node, message, hint = lack
        return self._at(*self._place(node), message, hint)

    def _differing(self, node: ast.AST, how: differs.Difference) -> BlockFinding:
        return self._at(*self._place(node), how.message, how.hint, "warning")

    def _unassigned(self, tree: ast.Module, assigned: Collection[str]) -> Iterator[BlockFinding]:
        """Outputs that nothing assigns."""
        for name in self._outputs:
            if name not in self._names and name not in assigned:
                hint = did_you_mean(name, sorted(assigned)) or f"Assign it: `{name} = ...`."
                place = self._place(tree.body[-1]) if tree.body else (1, 1, 1)
                yield self._at(*place, f"`{name}` is an output that the block never assigns", hint)

    def _typed(
        self, answer: checker.Answer, facts: checker.Facts, known: Iterable[BlockFinding]
    ) -> Iterator[BlockFinding]:
        """What the checker finds within the block, except where something is known to be wrong already."""
        taken = {(finding.line, finding.column) for finding in known}
        lines = {line for line, _ in taken}
        for found in answer.diagnostics:
            if found.line > len(self._lines) or (found.code == "no-matching-overload" and found.line in lines):
                continue
            end = (found.end_line, self._offset(found.end_line, found.end_column))
            node = facts.nodes.get((found.line, self._offset(found.line, found.column), *end))
            verdict = checker.believed(found, node, facts)
            if verdict is None:
                continue
            place = (found.line, found.column, found.end_column - found.column)
            if isinstance(node, ast.Attribute):
                place = self._place(node)
            if place[:2] not in taken:
                yield self._at(*place, verdict.message, verdict.hint, verdict.severity)

    def _given(
        self, answer: checker.Answer, outputs: Sequence[str], places: Mapping[str, list[ast.AST]]
    ) -> Iterator[BlockFinding]:
        """Outputs whose type their schema does not take, and those that may have no value."""
        for found in answer.diagnostics:
            number = found.line - len(self._lines) - 1
            if 0 <= number < len(outputs) and (verdict := checker.outgoing(found, outputs[number])):
                nodes = sorted(places[outputs[number]], key=self._place)
                node = nodes[0] if found.code == "revealed-type" else nodes[-1]
                yield self._at(*self._place(node), verdict.message, verdict.hint, verdict.severity)

    def _at(
        self, line: int, column: int, length: int, message: str, hint: str = "", severity: Severity = "error"
    ) -> BlockFinding:
        """A finding whose place is within the block, its message no longer than a few lines."""
        line = max(1, min(line, len(self._lines)))
        width = len(self._lines[line - 1])
        column = max(1, min(column, width + 1))
        length = max(1, min(length, width - column + 1))
        return BlockFinding(
            line=line,
            column=column,
            length=length,
            message=clip(message, _LONGEST_MESSAGE),
            hint=hint,
            severity=severity,
        )

    def _place(self, node: ast.AST) -> tuple[int, int, int]:
        """Line, column and length of a node, on its first line; of the name alone for an attribute."""
        at = cast("Any", node)
        line: int = at.lineno
        start, end = self._column(line, at.col_offset), self._column(at.end_lineno, at.end_col_offset)
        if isinstance(node, ast.Attribute):
            return at.end_lineno, end - len(node.attr), len(node.attr)
        return line, start, end - start if at.end_lineno == line else len(self._lines[line - 1])

    def _column(self, line: int, offset: int) -> int:
        """The column of a byte offset in UTF-8, as the syntax tree counts."""
        return len(self._lines[line - 1].encode()[:offset].decode(errors="ignore")) + 1

    def _offset(self, line: int, column: int) -> int:
        """The byte offset of a column."""
        return len(self._lines[line - 1][: column - 1].encode()) if line <= len(self._lines) else 0


def _tree(code: str) -> ast.Module:
    """The syntax tree of a block; raises `SyntaxError`, or others for what is nested too deeply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a SyntaxWarning is for whoever runs the code
        tree = ast.parse(code, mode="exec")
        compile(tree, "<block>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return tree


def _bindings(roots: Iterable[ast.AST]) -> dict[str, list[ast.AST]]:
    """Each name bound in the block itself, with the nodes that bind it; what functions and classes hold is theirs."""
    found: dict[str, list[ast.AST]] = {}
    todo = list(roots)
    while todo:
        node = todo.pop()
        for name in lacks.bound_by(node):
            found.setdefault(name, []).append(node)
        if isinstance(node, ast.comprehension):  # its target is its own, but a `:=` inside is not
            todo += [node.iter, *node.ifs]
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return found
