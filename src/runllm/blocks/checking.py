"""Check a Python block before it runs: its syntax, what the sandbox lacks, its names and types, what it gives.

Nothing of the block is run. An error is a mistake whatever the input; what only may go wrong is a warning.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runllm.blocks import assignment, probing, reading, rewrites, unsupported
from runllm.blocks.places import BlockFinding, Text
from runllm.blocks.reading import Known
from runllm.blocks.stubs import is_name, module
from runllm.blocks.unsupported import Feature
from runllm.blocks.verdicts import Facts, Verdict, member_hint, outgoing, verdict
from runllm.diagnostics import did_you_mean

__all__ = ["MAX_CODE", "MAX_FINDINGS", "BlockFinding", "check"]

MAX_CODE = 64 * 1024
MAX_FINDINGS = 20
_GIVE = "give_output_"
_GIVEN = "given_"


def check(
    code: str,
    names: Mapping[str, Mapping[str, Any] | None],
    outputs: Mapping[str, Mapping[str, Any] | None],
    *,
    name: str,
) -> list[BlockFinding]:
    """What is wrong with a block, in the order of its lines, at most `MAX_FINDINGS`; never raises for any code.

    Args:
        code: the block; it is not run.
        names: what the block sees, each with the JSON Schema of its value, or None for anything.
        outputs: the locals that are read after it, each with the schema it must fit, or None for anything.
        name: the block's name, for the sandbox's records.
    """
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    block = Text(code)
    if len(code.encode("utf-8", "surrogatepass")) > MAX_CODE:
        message = f"the block is longer than {MAX_CODE // 1024} KiB: it is not checked"
        return [block.finding(1, 1, 1, message, "Split it into several blocks.", "warning")]
    broken = next((at for at, c in enumerate(code) if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if broken is not None:
        line = code.count("\n", 0, broken) + 1
        column = broken - (code.rfind("\n", 0, broken) + 1) + 1
        return [block.finding(line, column, 1, "a character here is not text", "Remove it, or write it as an escape.")]
    try:
        found = _Check(block, names, outputs, name).findings()
    except RecursionError:
        found = []  # too deep to follow, which is no mistake in itself
    return sorted(dict.fromkeys(found), key=lambda f: (f.line, f.column))[:MAX_FINDINGS]


class _Check:
    """One check of one block."""

    def __init__(
        self, block: Text, names: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any] | None], name: str
    ) -> None:
        self._block = block
        self._names = {key: schema for key, schema in names.items() if is_name(key)}
        self._outputs = {key: schema for key, schema in outputs.items() if is_name(key)}
        self._name = name

    def findings(self) -> list[BlockFinding]:
        tree, wrong = _parsed(self._block)
        if tree is None:
            return self._unparsed(wrong)
        bindings = assignment.bindings(tree)
        known = reading.known_in(tree, bindings, self._names)
        answer, there = self._asked(tree, bindings, known)
        found = [self._feature(feature) for feature in unsupported.calls(tree, known)]
        refused = [self._feature(feature) for feature in unsupported.syntax(tree)]
        if answer is None:
            return [*found, *refused, *self._outgoing(tree, bindings)]
        if answer.refusal is not None:
            found += refused or [self._refused(answer.refusal)]
        facts = self._facts(tree, bindings, there)
        found += self._missing(tree, known, answer)
        found += self._typed(answer, facts, found)
        sinks = self._sinks(bindings)
        found += self._outgoing(tree, bindings)
        return [*found, *self._given(answer, bindings, sinks)]

    # --- the sandbox's answer -----------------------------------------------------------------

    def _asked(
        self, tree: ast.Module, bindings: list[tuple[str, ast.AST]], known: Known
    ) -> tuple[probing.Answer | None, frozenset[str]]:
        sinks = self._sinks(bindings)
        schemas = {f"{_GIVE}{n}": schema for n, (_, schema) in enumerate(sinks)}
        # A declared name keeps its type; one that the block binds anew must be able to change it.
        rebound = {name for name, _ in bindings} & self._names.keys()
        declared = {f"{_GIVEN}{name}" if name in rebound else name: schema for name, schema in self._names.items()}
        stubs = module(declared, schemas, {probing.STOP: probing.STOP_STUB})
        prologue = "; ".join(f"{name} = {_GIVEN}{name}" for name in sorted(rebound))
        epilogue = "".join(f"{_GIVE}{n}({name})\n" for n, (name, _) in enumerate(sinks))
        loose = sorted(reading.loose_names(tree))
        used = [*reading.imports(tree), *reading.members(tree, known)]
        probes = [*(probe for _, probe, _ in used), *loose]
        answer = probing.ask(self._block.code, stubs, probes, before=prologue, after=epilogue, name=self._name)
        missing = answer.missing if answer is not None else frozenset[str]()
        return answer, frozenset(loose) - missing

    def _sinks(self, bindings: Iterable[tuple[str, ast.AST]]) -> list[tuple[str, Mapping[str, Any]]]:
        """The outputs that can be held against a schema: those that have one and are assigned."""
        assigned = {name for name, _ in bindings}
        return [(name, schema) for name, schema in self._outputs.items() if schema is not None and name in assigned]

    def _typed(self, answer: probing.Answer, facts: Facts, known: Iterable[BlockFinding]) -> Iterator[BlockFinding]:
        """What the checker finds within the block, except where something is known to be wrong already."""
        taken = {(finding.line, finding.column) for finding in known}
        lines = {line for line, _ in taken}
        for found in answer.diagnostics:
            if found.line > len(self._block.lines) or (found.code == "no-matching-overload" and found.line in lines):
                continue
            judged = verdict(found, facts)
            if judged is not None:
                finding = self._judged(found, judged)
                if (finding.line, finding.column) not in taken:
                    yield finding

    def _judged(self, found: probing.Diagnostic, judged: Verdict) -> BlockFinding:
        line, column = found.line, found.column
        length = found.end_column - column if found.end_line == line else len(self._block.lines[line - 1]) - column + 1
        if judged.place is not None:
            line, column, length = self._block.place(judged.place)
        return self._block.finding(line, column, length, judged.message, judged.hint, judged.severity)

    def _missing(self, tree: ast.Module, known: Known, answer: probing.Answer) -> Iterator[BlockFinding]:
        """Modules, members of modules and built-in names that the sandbox does not have."""
        absent: set[str] = set()
        for node, probe, what in reading.imports(tree):
            if probe in answer.missing and isinstance(node, ast.alias):
                absent.add(what)
                line, column, length = self._block.place(node)
                yield self._block.finding(line, column, length, *_absence(what))
        for node, probe, what in reading.members(tree, known):
            if probe in answer.missing and what.partition(":")[0] not in absent:
                line, column, length = self._block.place(node)
                yield self._block.finding(line, column, length, *_absence(what))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in answer.missing and node.id not in known.others:
                line, column, length = self._block.place(node)
                message = f"the sandbox has no `{node.id}`"
                yield self._block.finding(line, column, length, message, rewrites.BUILTINS.get(node.id, ""))

    def _refused(self, refusal: probing.Refusal) -> BlockFinding:
        message = refusal.message.replace("The monty syntax parser does not yet support", "the sandbox has no")
        if refusal.syntax and message:
            message = message[:1].lower() + message[1:]
        return self._block.finding(refusal.line or 1, refusal.column, 1, message)

    def _given(
        self,
        answer: probing.Answer,
        bindings: Iterable[tuple[str, ast.AST]],
        sinks: list[tuple[str, Mapping[str, Any]]],
    ) -> Iterator[BlockFinding]:
        """Outputs whose type their schema does not take, each at its last assignment."""
        first = len(self._block.lines) + 1
        for found in answer.diagnostics:
            if 0 <= (number := found.line - first) < len(sinks):
                name = sinks[number][0]
                judged = outgoing(found, name)
                places = [node for other, node in bindings if other == name and isinstance(node, ast.Name)]
                if judged is not None and places:
                    last = max(places, key=lambda node: (node.lineno, node.col_offset))
                    line, column, length = self._block.place(last)
                    yield self._block.finding(line, column, length, judged.message, judged.hint, judged.severity)

    # --- what the tree alone shows ------------------------------------------------------------

    def _unparsed(self, wrong: BlockFinding) -> list[BlockFinding]:
        """The block is no Python here; the sandbox may read a newer one, and then it is right."""
        stubs = module(self._names, {}, {probing.STOP: probing.STOP_STUB})
        answer = probing.ask(self._block.code, stubs, (), name=self._name)
        if answer is None or answer.refusal is not None:
            return [wrong]
        return [wrong] if any(found.code == "invalid-syntax" for found in answer.diagnostics) else []

    def _feature(self, feature: Feature) -> BlockFinding:
        line, column, length = self._block.place(feature.node)
        return self._block.finding(line, column, length, feature.message, feature.hint)

    def _outgoing(self, tree: ast.Module, bindings: Iterable[tuple[str, ast.AST]]) -> Iterator[BlockFinding]:
        """Outputs that no path assigns, or not every one."""
        assigned = {name for name, _ in bindings}
        certain = assignment.certain(tree)
        open_ended = reading.runs_text(tree) or "*" in assigned
        for name in self._outputs:
            if name in self._names or open_ended or certain is None or name in certain:
                continue
            if name in assigned:
                message = f"`{name}` is an output, and some paths through the block do not assign it"
                hint = f"Give it a value first, such as `{name} = None`."
                places = [node for other, node in bindings if other == name and isinstance(node, ast.Name)]
                first = min(places, key=lambda node: node.lineno, default=None)
                line, column, length = self._block.place(first) if first is not None else (1, 1, 1)
                yield self._block.finding(line, column, length, message, hint, "warning")
            else:
                hint = did_you_mean(name, sorted(assigned)) or f"Assign it: `{name} = ...`."
                line, column, length = self._block.place(tree.body[-1]) if tree.body else (1, 1, 1)
                yield self._block.finding(
                    line, column, length, f"`{name}` is an output that the block never assigns", hint
                )

    def _facts(self, tree: ast.Module, bindings: Iterable[tuple[str, ast.AST]], there: frozenset[str]) -> Facts:
        nodes: dict[tuple[int, int, int, int], ast.AST] = {}
        parents: dict[int, ast.AST] = {}
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                parents[id(child)] = node
            if isinstance(node, ast.expr | ast.AugAssign):
                nodes.setdefault(self._block.extent(node), node)
        return Facts(
            nodes=nodes,
            parents=parents,
            given=frozenset(self._names) - {name for name, _ in bindings},
            names=frozenset(self._names) | {name for name, _ in bindings},
            shared=frozenset(name for name, node in bindings if isinstance(node, ast.Global)),
            functions=reading.defined(tree),
            stored_keys=reading.stored_keys(tree),
            stored_attributes=frozenset(
                n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
            ),
            runs_text=reading.runs_text(tree),
            containers=reading.containers(tree),
            there=there,
        )


def _parsed(block: Text) -> tuple[ast.Module | None, BlockFinding]:
    """The tree, or what the parser says instead."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a SyntaxWarning is for whoever runs the code
            tree = ast.parse(block.code, mode="exec")
            compile(tree, "<block>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        message = f"this is not Python: {error.msg}"
        column = error.offset or 1
        width = (error.end_offset or 0) - column if error.end_lineno == error.lineno else 1
        return None, block.finding(error.lineno or 1, column, width, message)
    except (ValueError, MemoryError, RecursionError):
        return None, block.finding(1, 1, 1, "the block is nested too deeply", "Split long expressions into steps.")
    return tree, block.finding(1, 1, 1, "")


def _absence(what: str) -> tuple[str, str]:
    """Message and hint for a module, or a member of one, that the sandbox lacks."""
    name, _, member = what.partition(":")
    if member and name in rewrites.AVAILABLE | rewrites.PARTLY:
        hint = rewrites.MEMBERS.get(f"{name}.{member}") or member_hint(name, member)
        return f"the sandbox has no `{name}.{member}`", hint
    hint = rewrites.MODULES.get(name) or rewrites.MODULES.get(name.partition(".")[0], "")
    return f"the sandbox has no module `{name}`", hint
