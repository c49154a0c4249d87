"""The sandbox's type checker: asked about code that is not run, and believed where what it finds must fail.

The code never runs because it stands behind a call of a name that the checker knows and the interpreter does not:
the first statement ends every feed, whatever follows it.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from runllm.blocks.lacks import Names
from runllm.blocks.phases import BlockFailure
from runllm.blocks.sandbox import UNSUPPORTED, Workers
from runllm.diagnostics import Severity, nearest
from runllm.values import frozen

if TYPE_CHECKING:
    from pydantic_monty import ResourceLimits

STOP = "stop_before_the_block"
UNSET = "no_value_yet"
STUBS = {STOP: f"def {STOP}() -> None: ...", UNSET: f"@_t.final\nclass {UNSET}: ..."}

_LIMITS: ResourceLimits = {
    "max_feed_duration_secs": 2.0,  # the checker's time counts too
    "max_turn_duration_secs": 2.0,
    "max_memory": 64 << 20,
    "max_recursion_depth": 200,
    "max_suspensions": 1000,
    "max_total_sleep_secs": 0.0,
}
_MOST_PROBES = 200
_MOST_DIAGNOSTICS = 200

_WORKERS = Workers(answer=10.0, queue=30.0)


@frozen
class Diagnostic:
    """What the checker says; lines and columns count from 1, in code points, and `end_column` is exclusive."""

    code: str
    message: str
    line: int
    column: int
    end_line: int
    end_column: int


@frozen
class Answer:
    """All that the sandbox says of a block.

    Attributes:
        diagnostics: of the type checker, in the order of the code.
        refusal: the first thing in the code that the sandbox cannot run, if any.
        failed: those of the probes that fail there.
    """

    diagnostics: tuple[Diagnostic, ...]
    refusal: Diagnostic | None
    failed: frozenset[str]


def ask(code: str, stubs: str, probes: Iterable[str], *, before: str = "", after: str = "", name: str) -> Answer | None:
    """Check `code` and what stands around it against `stubs`, and try each probe.

    Args:
        code: the block; never run.
        stubs: a stub module that declares `STUBS` and what the code sees.
        probes: single statements of our own making, such as `import re`, which are run.
        before: statements for the checker alone, on one line, before the code.
        after: statements for the checker alone, on the lines after the code.
        name: of the block, for the sandbox's own records.

    Returns:
        None where nothing is known: there is no sandbox here, or the code was too much for its checker.
    """
    try:
        pool = _WORKERS.started()
    except BlockFailure:
        return None
    import pydantic_monty as monty  # loaded by then

    script = "".join(c for c in name if c.isascii() and (c.isalnum() or c in "_-"))[:60] or "block"
    out = monty.CollectString(4096)
    report, refusal, failed = "", None, set[str]()
    try:
        with pool.checkout(
            limits=_LIMITS, script_name=script, type_check=True, type_check_stubs=stubs, type_check_format="gitlab"
        ) as session:
            try:
                session.feed_run(f"{STOP}(); {before}\n{code}\n{after}", print_callback=out)
            except monty.MontyTypingError as error:
                report = error.display()
            except (monty.MontyRuntimeError, monty.MontySyntaxError):
                pass  # stopped before the block, or refused: asked again below, without the checker
            try:
                session.feed_run(f"{STOP}()\n{code}\n", skip_type_check=True, print_callback=out)
            except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
                refusal = _refusal(error)
            for probe in list(dict.fromkeys(probes))[:_MOST_PROBES]:
                try:
                    session.feed_run(f"{probe}\nNone", skip_type_check=True, print_callback=out)
                except (monty.MontyRuntimeError, monty.MontySyntaxError):
                    failed.add(probe)
    except (monty.MontyError, OSError, RuntimeError, UnicodeError):  # too much for the checker, or no worker to be had
        return None
    return Answer(diagnostics=tuple(_diagnostics(report)), refusal=refusal, failed=frozenset(failed))


def _refusal(error: Any) -> Diagnostic | None:
    inner, frames = error.exception(), error.traceback()
    if isinstance(inner, NameError) and STOP in str(inner):
        return None
    line, column = (max(1, frames[-1].line - 1), frames[-1].column) if frames else (1, 1)
    message = str(inner).replace(UNSUPPORTED, "the sandbox does not support ")
    return Diagnostic(code="", message=message, line=line, column=column, end_line=line, end_column=column + 1)


def _diagnostics(report: str) -> Iterable[Diagnostic]:
    """Read the checker's report: of its formats the one with both ends and no proposed edits.

    An edit is placed in the wrong file by the checker, which kills the worker where that file is shorter.
    """
    entries: list[dict[str, Any]] = json.loads(report) if report else []
    for entry in entries[:_MOST_DIAGNOSTICS]:
        start, end = entry["location"]["positions"]["begin"], entry["location"]["positions"]["end"]
        yield Diagnostic(
            code=entry["check_name"],
            message=entry["description"].removeprefix(f"{entry['check_name']}: "),
            line=start["line"] - 1,  # the first line is ours
            column=start["column"],
            end_line=end["line"] - 1,
            end_column=end["column"],
        )


# --- what of it is believed -------------------------------------------------------------------------------------------
# A block's own annotations are not enforced when it runs, containers take any value, and a value that may be one of
# several types may well be the right one. So what is wrong for one type out of several is a warning where `None` is
# the other one and nothing otherwise, and what only breaks an annotation is nothing.


@frozen
class Verdict:
    """A finding in words for the author."""

    message: str
    hint: str = ""
    severity: Severity = "error"


class Facts:
    """What the tree of a block says of its values; `given` are the names that it sees."""

    def __init__(self, tree: ast.Module, names: Names, given: Collection[str]) -> None:
        nodes = list(ast.walk(tree))
        self.names = names
        self.nodes: dict[tuple[int, int, int | None, int | None], ast.AST] = {}
        for node in nodes:
            if isinstance(node, ast.expr | ast.AugAssign):
                self.nodes.setdefault((node.lineno, node.col_offset, node.end_lineno, node.end_col_offset), node)
        self.bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self.given = set(given) - self.bound
        self.runs_text = any(isinstance(node, ast.Name) and node.id in ("exec", "eval") for node in nodes)
        self.shared = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        self.reads = {id(n.slice): n for n in nodes if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load)}
        self.stored_keys = {key for node in nodes for key in _keys_set_by(node)}
        self.containers = {
            target.id
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, _DISPLAYS)
            for target in node.targets
            if isinstance(target, ast.Name)
        }


_DISPLAYS = ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp | ast.Tuple


def _keys_set_by(node: ast.AST) -> Iterable[object]:
    """Constant keys that a dict may get from this node after it came in."""
    match node:
        case ast.Subscript(slice=ast.Constant(value=key), ctx=ast.Store()):
            return [key]
        case ast.Call(func=ast.Attribute(attr="setdefault" | "update")):
            texts = [sub.value for sub in ast.walk(node) if isinstance(sub, ast.Constant)]
            return [*texts, *(word.arg for word in node.keywords)]
        case _:
            return ()


def believed(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    """What `found`, at `node`, means for the author; None where it is no mistake, or may be none."""
    rule = _RULES.get(found.code)
    types = [text for pair in _TYPES.findall(found.message) for text in pair if text]
    if rule is None or any(_UNKNOWN.search(text) for text in types) or not rule(found, node, facts):
        return None
    unions = [parts for text in types if len(parts := _parts(text)) > 1]
    if not unions and found.code != "no-matching-overload":
        return Verdict(message=_plain(found.message), hint=_hint(found, node, facts, types))
    if (node is not None and _reads_container(node, facts)) or any(len(p) > 2 or "None" not in p for p in unions):  # noqa: PLR2004 - a type and None
        return None
    hint = "Test it first: `if x is not None:`." if unions else ""
    return Verdict(message=_plain(found.message), hint=hint, severity="warning")


def outgoing(found: Diagnostic, name: str) -> Verdict | None:
    """What it means that the checker does not take the output `name` for its schema, or finds it without a value."""
    if found.code == "revealed-type":
        message = f"`{name}` is an output, and some paths through the block do not assign it"
        hint = f"Give it a value first, such as `{name} = None`."
        return Verdict(message=message, hint=hint, severity="warning") if UNSET in found.message else None
    types = _EXPECTED.search(found.message)
    if types is None or re.search(rf"Unknown|Any|\bobject\b|{UNSET}", types[2]):
        return None
    wanted, given, kinds = _plain(types[1]), _plain(types[2]), _parts(types[2])
    partly = len(kinds) > 1 or (kinds == ["float"] and "int" in wanted)
    if partly and "None" not in kinds and kinds != ["float"]:
        return None
    return Verdict(
        message=f"`{name}` {'may be' if partly else 'is'} `{given}`, and the output wants `{wanted}`",
        hint="Give another value where it is `None`." if "None" in kinds else "",
        severity="warning" if partly else "error",
    )


# --- one rule for each code that is believed at all

_Rule = Callable[[Diagnostic, ast.AST | None, Facts], bool]


def _always(_found: Diagnostic, _node: ast.AST | None, _facts: Facts) -> bool:
    return True


def _reference(found: Diagnostic, _node: ast.AST | None, facts: Facts) -> bool:
    """A name that exists nowhere; the checker does not know all names that are built in."""
    name = _first_name(found)
    return not (facts.runs_text or name in facts.shared or hasattr(builtins, name))


def _key(_found: Diagnostic, node: ast.AST | None, facts: Facts) -> bool:
    """A constant key that is read and that the block sets nowhere: maps may be built up."""
    return isinstance(node, ast.Constant) and id(node) in facts.reads and node.value not in facts.stored_keys


def _operator(found: Diagnostic, node: ast.AST | None, _facts: Facts) -> bool:
    """Not where it is only guessed what a container holds."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
        return False
    return len(re.findall(r"`list\[", found.message)) < 2  # noqa: PLR2004 - lists may always be added


def _attribute(found: Diagnostic, node: ast.AST | None, facts: Facts) -> bool:
    """An attribute that is read, and that the block sets nowhere."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return False
    if node.attr in facts.names.own or node.attr in ("__name__", "__doc__", "__class__"):
        return False
    return node.attr not in _DICT_METHODS or not _OUR_CLASS.search(found.message)


def _argument(found: Diagnostic, _node: ast.AST | None, facts: Facts) -> bool:
    """An argument of the wrong kind; but not of the block's own functions, and not what a container is to hold."""
    if "`__getitem__`" in found.message:
        key, owner = re.findall(r"of type `([^`]+)`", found.message)[-2:]
        return _parts(owner)[0] in ("list", "str", "tuple") and _parts(key) != ["int"]
    called = re.match(r"Argument to [a-z ]+ `([^`]+)` is incorrect: ", found.message)
    if called is None or _OF_A_CONTAINER.match(called[1]) or called[1].partition(".")[0] in facts.names.own:
        return False
    types = _EXPECTED.search(found.message)
    if types is None:
        return "Argument type" in found.message
    wanted, given = _parts(types[1]), _parts(types[2])
    same = _bare(types[1]) == _bare(types[2]) or (wanted == given and wanted[0] in _CONTAINERS)
    return not same and not _OUR_CLASS.search(types[1])


def _overload(_found: Diagnostic, node: ast.AST | None, facts: Facts) -> bool:
    """Only where all that is read comes with a type of its own: what came in, and no mixed values of a dict."""
    return node is not None and all(
        sub.id in facts.given or hasattr(builtins, sub.id)
        if isinstance(sub, ast.Name)
        else not (isinstance(sub, ast.Attribute) and sub.attr in _DICT_METHODS | {"values", "items"})
        for sub in ast.walk(node)
    )


def _count(found: Diagnostic, _node: ast.AST | None, _facts: Facts) -> bool:
    """`update` takes any keyword, and so may what has no name."""
    return "update" not in found.message and not found.message.endswith("does not match any known parameter")


def _unpacking(found: Diagnostic, _node: ast.AST | None, _facts: Facts) -> bool:
    """Not a value that breaks the annotation of its name."""
    return "unpack" in found.message


_RULES: dict[str, _Rule] = {
    "unresolved-reference": _reference,
    "invalid-key": _key,
    "unsupported-operator": _operator,
    "unresolved-attribute": _attribute,
    "possibly-missing-attribute": _attribute,
    "invalid-argument-type": _argument,
    "no-matching-overload": _overload,
    "too-many-positional-arguments": _count,
    "missing-argument": _count,
    "unknown-argument": _count,
    "parameter-already-assigned": _count,
    "invalid-assignment": _unpacking,
    "not-iterable": _always,
    "not-subscriptable": _always,
    "call-non-callable": _always,
    "invalid-context-manager": _always,
    "invalid-raise": _always,
    "index-out-of-bounds": _always,
}

# --- words

_OUR_CLASS = re.compile(r"\b_[A-Z][A-Za-z0-9]*\b|<TypedDict[^>]*>")  # made for objects by our stubs, or of them
_TYPES = re.compile(
    r"(?:[oO]bjects? of type|found|in union|key of type|Argument type) `([^`]+)`(?: and `([^`]+)`)?"
)  # the types of values; those that are expected are left out
_EXPECTED = re.compile(r"Expected `(.+)`, found `(.+)`$", re.DOTALL)
_UNKNOWN = re.compile(rf"Unknown|@|\bobject\b|{UNSET}")
_LITERAL = re.compile(r"""Literal\[(?=(.))(?:"(?:\\.|[^"\\])*"|[^]"])*\]|LiteralString""")
_LITERALS = {"T": "bool", "F": "bool", "b": "bytes", "N": "None", '"': "str", "'": "str", None: "str"}
_INSIDE = re.compile(r"\[[^\[\]]*\]|\([^()]*\)")
_DICT_METHODS = frozenset({"update", "pop", "setdefault", "popitem", "clear", "get", "copy"})
_CONTAINERS = ("list", "dict", "set", "tuple")
_OF_A_CONTAINER = re.compile(
    r"(?:list|dict|set|defaultdict|deque|Counter|OrderedDict|MutableMapping|MutableSequence)\."
)
_MODULES = ["base64", "bisect", "collections", "copy", "csv", "dataclasses", "datetime", "decimal", "functools",
            "hashlib", "itertools", "json", "math", "random", "re", "time", "typing", "unicodedata"]  # fmt: skip


def _bare(text: str) -> str:
    """A type without exact values and classes of ours: `Literal["a"]` is `str`."""
    return _OUR_CLASS.sub("dict", _LITERAL.sub(lambda found: _LITERALS.get(found[1], "int"), text)).replace("*", "")


def _parts(text: str) -> list[str]:
    """The members of a union without what they hold: `list[str] | None` is a list or None."""
    text = _bare(text)
    while (shorter := _INSIDE.sub("", text)) != text:
        text = shorter
    return [part.strip() for part in text.split("|")]


def _plain(message: str) -> str:
    """The checker's words without what only it knows."""
    message = re.sub(r" of type `(?:Overload|bound method)[^`]*`| for TypedDict `.*", "", message, flags=re.DOTALL)
    message = _bare(message.replace("_Array[", "list[").replace("Mapping[Any, Any]", "dict"))
    message = re.sub(r"\[(?:Unknown|Any)(?:, (?:Unknown|Any))*\]", "", message)
    return message[:1].lower() + message[1:] if " " in message else message


def _first_name(found: Diagnostic) -> str:
    return found.message.partition("`")[2].partition("`")[0]


def _hint(found: Diagnostic, node: ast.AST | None, facts: Facts, types: list[str]) -> str:
    if found.code == "unresolved-reference":
        name = _first_name(found)
        if name in facts.bound:
            return "Give it a value on the lines before."
        if name in _MODULES:
            return f"Write `import {name}` first."
        near = nearest(name, {*facts.bound, *facts.given, *dir(builtins)})
        return f"Did you mean `{near}`?" if near else ""
    if near := re.search(r' - did you mean "(.*)"\?$', found.message):
        return f"Did you mean `{near[1]}`?"
    if isinstance(node, ast.Attribute) and any(_OUR_CLASS.search(text) for text in types):
        return f"A key is read as `{ast.unparse(node.value)[:40]}[{node.attr!r}]`."
    return ""


def _reads_container(node: ast.AST, facts: Facts) -> bool:
    """Whether an item of a list or dict is read that the block made, whose items the checker takes for all alike."""
    return any(
        isinstance(sub, ast.Subscript | ast.comprehension)
        and any(isinstance(name, ast.Name) and name.id in facts.containers for name in ast.walk(sub))
        for sub in ast.walk(node)
    )
