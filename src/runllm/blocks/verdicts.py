"""The type checker's words made plain, and held to one rule: only what must fail is an error.

A block's own annotations are not enforced when it runs, containers take any value, and a value that may be one of
several types may well be the right one. So what is wrong for one type out of several is a warning where `None` is
among them and nothing otherwise, and what only breaks an annotation is nothing.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Mapping

from runllm.blocks.probing import Diagnostic
from runllm.blocks.rewrites import AVAILABLE, BUILTINS, METHODS
from runllm.blocks.typenames import OUR_CLASS, base_of, kind_of, one_of, parts_of, plain
from runllm.diagnostics import Severity, did_you_mean, nearest
from runllm.values import frozen


@frozen
class Verdict:
    """What a diagnostic means for the author; `place` is the node at fault where that is not the whole."""

    message: str
    hint: str = ""
    severity: Severity = "error"
    place: ast.AST | None = None


@frozen
class Facts:
    """What is known of the block besides its types.

    Attributes:
        nodes: the expressions by line, column, end line and end column, in code points.
        parents: each node's parent, by identity.
        given: what the block sees and does not bind anew.
        names: what the block sees or binds.
        shared: names that a function makes global.
        functions: functions and classes that the block defines.
        stored_keys: constant keys that the block itself sets somewhere.
        stored_attributes: attributes that the block itself sets somewhere.
        runs_text: the block calls `exec`, so that any name may exist.
        containers: names that the block gives a list, dict or set of its own making.
        there: names that the checker does not know and the sandbox does.
    """

    nodes: Mapping[tuple[int, int, int, int], ast.AST]
    parents: Mapping[int, ast.AST]
    given: frozenset[str]
    names: frozenset[str]
    shared: frozenset[str]
    functions: frozenset[str]
    stored_keys: frozenset[str]
    stored_attributes: frozenset[str]
    runs_text: bool
    containers: frozenset[str]
    there: frozenset[str]


_Judge = Callable[[Diagnostic, ast.AST | None, Facts], Verdict | None]

_KEY = re.compile(r'Unknown key "(.*)" for TypedDict `[^`]*`(?: - did you mean "(.*)"\?)?$', re.DOTALL)
_OPERANDS = re.compile(
    r"Operator `([^`]+)` is not supported between (?:two )?objects of type `([^`]+)`(?: and `([^`]+)`)?"
)
_UNARY = re.compile(r"Unary operator `([^`]+)` is not supported for object of type `([^`]+)`")
_ATTRIBUTE = re.compile(r"Object of type `([^`]+)` has no attribute `([^`]+)`")
_UNION_ATTRIBUTE = re.compile(r"Attribute `([^`]+)` is not defined on `([^`]+)` in union `([^`]+)`")
_MEMBER = re.compile(r"(?:Module|Class|Function|Type) `([^`]+)` has no (?:member|attribute) `([^`]+)`")
_ARGUMENT = re.compile(
    r"Argument(?: to (?:function|bound method|constructor|method) `([^`]+)`)? is incorrect: (.*)", re.DOTALL
)
_EXPECTED = re.compile(r"Expected `(.+)`, found `(.+)`$", re.DOTALL)
_BOUND = re.compile(r"Argument type `(.+)` does not satisfy upper bound", re.DOTALL)
_GETITEM = re.compile(
    r"Method `__getitem__` of type `.*` cannot be called with key of type `(.+)` on object of type `(.+)`$", re.DOTALL
)
_OF_TYPE = re.compile(r"[Oo]bject of type `([^`]+)`")
_DICT_METHODS = frozenset({"update", "pop", "setdefault", "popitem", "clear", "get", "copy"})
_CONTAINER_METHODS = re.compile(
    r"(?:list|dict|set|defaultdict|deque|Counter|OrderedDict|MutableMapping|MutableSequence)\."
)


def verdict(found: Diagnostic, facts: Facts) -> Verdict | None:
    """What `found` means, or None where it is no mistake."""
    judge = _JUDGES.get(found.code)
    node = facts.nodes.get((found.line, found.column, found.end_line, found.end_column))
    judged = judge(found, node, facts) if judge is not None else None
    if judged is None or judged.severity == "error" or node is None or not _reads_container(node, facts):
        return judged
    return None


def _reads_container(node: ast.AST, facts: Facts) -> bool:
    """Whether an item of a list or dict is read that the block made, whose items the checker takes for all alike."""
    return any(
        isinstance(sub, ast.Subscript | ast.comprehension)
        and any(isinstance(name, ast.Name) and name.id in facts.containers for name in ast.walk(sub))
        for sub in ast.walk(node)
    )


def _reference(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    del node
    name = found.message.partition("`")[2].partition("`")[0]
    if facts.runs_text or name in facts.shared or name in facts.there:
        return None
    if name in facts.names:
        return Verdict(message=f"`{name}` has no value yet", hint="Give it a value on the lines before.")
    if name in AVAILABLE:
        return Verdict(message=f"`{name}` is not defined", hint=f"Write `import {name}` first.")
    if hasattr(builtins, name):
        return Verdict(message=f"the sandbox has no `{name}`", hint=BUILTINS.get(name, ""))
    near = did_you_mean(name, sorted(facts.names)) if nearest(name, facts.names) or len(facts.names) <= 6 else ""  # noqa: PLR2004 - one line
    if nearest(name, facts.names) is None and (near_builtin := nearest(name, dir(builtins))):
        near = f"Did you mean `{near_builtin}`?"
    return Verdict(message=f"`{name}` is not defined", hint=near)


def _key(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    match = _KEY.match(found.message)
    parent = facts.parents.get(id(node)) if node is not None else None
    if match is None or not isinstance(parent, ast.Subscript) or not isinstance(parent.ctx, ast.Load):
        return None  # maps may be built up, and a key that is computed is not known
    if not isinstance(node, ast.Constant) or node.value in facts.stored_keys:
        return None
    hint = f"Did you mean `{match[2]}`?" if match[2] else ""
    return Verdict(message=f"`{_source(parent.value)}` has no key `{node.value}`", hint=hint)


def _operator(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    del facts
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
        return None  # what a container holds is only guessed
    if match := _UNARY.match(found.message):
        return _judged(f"`{match[1]}` does not work on {plain(match[2])}", match[2])
    match = _OPERANDS.match(found.message)
    if match is None:
        return None
    left, right = match[2], match[3] or match[2]
    if match[1] in ("+=", "+") and {kind_of(left), kind_of(right)} == {"list"}:
        return None
    hint = "Make it text first: `str(...)`, or use an f-string." if match[1] in ("+", "+=") and "str" in (
        plain(left).strip("`"), plain(right).strip("`")) else ""  # fmt: skip
    return _judged(f"`{match[1]}` does not work between {plain(left)} and {plain(right)}", left, right, hint=hint)


def _attribute(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return None
    if node.attr in facts.stored_attributes or node.attr in ("__name__", "__doc__", "__class__"):
        return None
    if match := _UNION_ATTRIBUTE.match(found.message):
        return _judged(f"`{_source(node.value)}` may be `None`, which has no `{match[1]}`", match[3], place=node)
    if match := _MEMBER.match(found.message):
        return Verdict(message=f"`{match[1]}` has no `{match[2]}`", hint=member_hint(match[1], match[2]), place=node)
    match = _ATTRIBUTE.match(found.message)
    if match is None:
        return None
    owner, attr = match[1], match[2]
    if OUR_CLASS.search(owner):
        if attr in _DICT_METHODS:
            return None
        key = f"{_source(node.value)}[{attr!r}]"
        return _judged(
            f"`{_source(node.value)}` is a dict and has no `{attr}`",
            owner,
            hint=f"A key is read as `{key}`.",
            place=node,
        )
    kind = getattr(builtins, plain(owner).strip("`"), None)
    known = [name for name in dir(kind) if not name.startswith("_")] if isinstance(kind, type) else []
    near = nearest(attr, known)
    hint = f"Did you mean `{near}`?" if near else METHODS.get((kind_of(owner), attr), "")
    return _judged(f"{plain(owner)} has no `{attr}`", owner, hint=hint, place=node)


def _argument(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    if match := _GETITEM.match(found.message):
        return _index(match[1], match[2], node)
    match = _ARGUMENT.match(found.message)
    if (
        match is None
        or match[1] is None
        or _CONTAINER_METHODS.match(match[1])
        or match[1].partition(".")[0] in facts.functions
    ):
        return None
    called = match[1].removesuffix(".__new__").removesuffix(".__init__")
    if bound := _BOUND.match(match[2]):
        return _judged(f"`{called}` does not take {plain(bound[1])}", bound[1])
    types = _EXPECTED.match(match[2])
    if types is None or OUR_CLASS.search(types[1]) or base_of(types[1]) == base_of(types[2]):
        return None
    if kind_of(types[1]) == kind_of(types[2]) and kind_of(types[1]) in ("list", "dict", "set", "tuple"):
        return None  # the same container; what it holds is only guessed
    return _judged(f"`{called}` does not take {plain(types[2])}", types[2])


def _index(key: str, owner: str, node: ast.AST | None) -> Verdict | None:
    if kind_of(owner) in ("list", "str", "tuple") and base_of(key) != "int":
        source = _source(node) if node is not None else "it"
        message = f"`{source}` is {plain(owner)}: it is read by number, not by {plain(key)}"
        return _judged(message, owner, key)
    return None  # a dict takes any key


def _overload(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    if node is None or not _is_known(node, facts):
        return None
    called = found.message.rpartition("`")[0].rpartition("`")[2].removesuffix(".__new__").removesuffix(".__init__")
    return Verdict(message=f"`{called}` does not take these arguments", severity="warning")


def _is_known(node: ast.AST, facts: Facts) -> bool:
    """Whether all that is read comes with a type of its own: what came in, and no mixed values of a dict."""
    return all(
        sub.id in facts.given or hasattr(builtins, sub.id)
        if isinstance(sub, ast.Name)
        else not (isinstance(sub, ast.Attribute) and sub.attr in _DICT_METHODS | {"values", "items"})
        for sub in ast.walk(node)
    )


def _of_type(text: str, hint: str = "") -> _Judge:
    def judge(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
        del node, facts
        match = _OF_TYPE.search(found.message)
        return _judged(text.format(plain(match[1])), match[1], hint=hint) if match is not None else None

    return judge


def _count(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    del node, facts
    if "update" in found.message or (
        "does not match any known parameter" in found.message and " of " not in found.message
    ):
        return None
    message = found.message[:1].lower() + found.message[1:]
    return Verdict(
        message=message.replace("positional arguments to", "arguments for").replace("`object.__init__`", "this class")
    )


def _assignment(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    del node, facts
    if "unpack" not in found.message:
        return None
    return Verdict(message=found.message[:1].lower() + found.message[1:].replace(": Expected", ": expected"))


def _bounds(found: Diagnostic, node: ast.AST | None, facts: Facts) -> Verdict | None:
    del node, facts
    match = re.match(r"Index (-?\d+) .* length (\d+)$", found.message, re.DOTALL)
    return Verdict(message=f"there is no item {match[1]} in a tuple of {match[2]}") if match is not None else None


def outgoing(found: Diagnostic, name: str) -> Verdict | None:
    """What it means that the checker does not accept an output for its schema."""
    match = _ARGUMENT.match(found.message) if found.code == "invalid-argument-type" else None
    types = _EXPECTED.match(match[2]) if match is not None else None
    if types is None:
        return None
    wanted, given = types[1], types[2]
    if re.search(r"Unknown|Any|\bobject\b", given):
        return None
    partly = len(parts_of(given)) > 1 or (base_of(given) == "float" and "int" in base_of(wanted))
    optional = "None" in parts_of(given)
    if partly and not optional and base_of(given) != "float":
        return None
    return Verdict(
        message=f"`{name}` {'may be' if partly else 'is'} {plain(given)}, and `output_schema` wants {plain(wanted)}",
        hint="Give another value where it is `None`." if optional else "",
        severity="warning" if partly else "error",
    )


# --- what several judges share ----------------------------------------------------------------


def _judged(message: str, *types: str, hint: str = "", place: ast.AST | None = None) -> Verdict | None:
    """An error where each type is one; a warning where one of several is `None`; else nothing."""
    if any(re.search(r"Unknown|@|\bobject\b", text) for text in types):
        return None
    several = [parts for text in types if len(parts := parts_of(text)) > 1]
    if not several:
        return Verdict(message=message, hint=hint, place=place)
    if not all("None" in parts and len({one_of(part) for part in parts}) == 2 for parts in several):  # noqa: PLR2004 - a type and None
        return None
    return Verdict(message=message, hint="Test it first: `if x is not None:`.", severity="warning", place=place)


def _source(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 and "\n" not in text else text[:39].partition("\n")[0] + "…"  # noqa: PLR2004 - for one line


def member_hint(owner: str, attr: str) -> str:
    """The nearest member of one of the sandbox's modules to a mistyped one."""
    if owner == "datetime":
        return f"Write `datetime.datetime.{attr}`, or `from datetime import datetime`."
    if owner in AVAILABLE:
        import importlib

        near = nearest(attr, [name for name in dir(importlib.import_module(owner)) if not name.startswith("_")])
        return f"Did you mean `{owner}.{near}`?" if near else ""
    return ""


_JUDGES: dict[str, _Judge] = {
    "unresolved-reference": _reference,
    "invalid-key": _key,
    "unsupported-operator": _operator,
    "unresolved-attribute": _attribute,
    "possibly-missing-attribute": _attribute,
    "invalid-argument-type": _argument,
    "no-matching-overload": _overload,
    "not-iterable": _of_type("{} cannot be looped over"),
    "not-subscriptable": _of_type("{} cannot be read with `[...]`"),
    "call-non-callable": _of_type("{} cannot be called"),
    "invalid-context-manager": _of_type("{} cannot be used with `with`"),
    "invalid-raise": _of_type("{} cannot be raised", "Raise an exception: `raise ValueError('...')`."),
    "too-many-positional-arguments": _count,
    "missing-argument": _count,
    "unknown-argument": _count,
    "parameter-already-assigned": _count,
    "index-out-of-bounds": _bounds,
    "invalid-assignment": _assignment,
}
