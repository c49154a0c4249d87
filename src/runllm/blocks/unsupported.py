"""Python that the sandbox does not have, found in the syntax tree, each with what to write instead.

Two lists: syntax, which the sandbox refuses as a whole, and calls, which fail when they are reached.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runllm.blocks.reading import Known
from runllm.blocks.rewrites import FILES
from runllm.values import frozen

_DEL_ITEM = "Use `d.pop(key)`, or build what is left: `{k: v for k, v in d.items() if k != key}`."
_DEL_SLICE = "Assign an empty list: `items[a:b] = []`, or keep what you want: `items = items[:a]`."
_DEL_NAME = "Leave the statement out: names end with the block."
_YIELD = "Collect the values in a list and return it."
_DECORATED = {
    "property": "Make it a method and call it: `box.size()`.",
    "staticmethod": "Make it a function outside the class.",
    "classmethod": "Make it a function outside the class.",
}

_TEXT_METHODS = {
    "maketrans": "Use `.replace()`, or a dict: `''.join(table.get(c, c) for c in text)`.",
    "translate": "Use `.replace()`, or a dict: `''.join(table.get(c, c) for c in text)`.",
    "format_map": "Use `.format(**values)`.",
}
_KEYWORDS = {
    ("json", "dumps"): {
        "default": "Make the values plain before: `str(value)`.",
        "cls": "Make the values plain before.",
    },
    ("json", "loads"): {
        "object_hook": "Change the value after it is read.",
        "object_pairs_hook": "Change the value after it is read.",
        "parse_float": "Change the value after it is read.",
        "parse_int": "Change the value after it is read.",
        "cls": "Change the value after it is read.",
    },
}
_FILE_METHODS = frozenset(
    [
        "read_text",
        "write_text",
        "read_bytes",
        "write_bytes",
        "iterdir",
        "mkdir",
        "unlink",
        "touch",
        "rmdir",
        "exists",
        "is_file",
        "is_dir",
        "stat",
    ]
)
_PURE_OS = frozenset({"fspath"})
_METHODS = frozenset(
    name for kind in (str, list, dict, set) for name in vars(kind) if not name.startswith("_")
) | {"most_common"}  # fmt: skip

_TYPES = frozenset({"str", "list", "dict", "set", "int", "float", "bytes", "tuple", "frozenset"})
_LISTS = frozenset({"map", "filter", "zip", "reversed", "enumerate"})


@frozen
class Feature:
    """Something that the sandbox does not have: where it stands, what it is, what to write instead."""

    node: ast.AST
    message: str
    hint: str


def syntax(tree: ast.Module) -> Iterator[Feature]:  # noqa: C901 - one case per kind of node
    """Statements and expressions that the sandbox does not read."""
    for node in ast.walk(tree):
        match node:
            case ast.Yield() | ast.YieldFrom():
                yield Feature(node=node, message="the sandbox has no `yield`", hint=_YIELD)
            case ast.Delete(targets=[target, *_]):
                hint = _DEL_NAME if isinstance(target, ast.Name) else _DEL_ITEM
                if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
                    hint = _DEL_SLICE
                yield Feature(node=node, message="the sandbox has no `del`", hint=hint)
            case ast.ClassDef():
                yield from _class(node)
            case ast.AsyncFor() | ast.AsyncWith():
                yield Feature(
                    node=node, message="the sandbox has no asynchronous loops or `with`", hint="Leave `async` out."
                )
            case ast.comprehension(is_async=1):
                message = "the sandbox has no asynchronous comprehensions"
                yield Feature(node=node.target, message=message, hint="Leave `async` out.")
            case ast.TryStar():
                yield Feature(node=node, message="the sandbox has no `except*`", hint="Use `except`.")
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                yield Feature(node=node, message="the sandbox has no `@` operator", hint="Write the sum of products.")
            case ast.ImportFrom(names=[ast.alias(name="*")]):
                hint = f"Name what you need: `from {node.module} import a, b`."
                yield Feature(node=node, message="the sandbox has no `import *`", hint=hint)
            case _ if type(node).__name__ == "TypeAlias":
                yield Feature(node=node, message="the sandbox has no `type` statement", hint="Assign it: `X = int`.")
            case _:
                pass


def _class(node: ast.ClassDef) -> Iterator[Feature]:
    if node.bases or node.keywords:
        first = (node.bases or [word.value for word in node.keywords])[0]
        message = f"the sandbox has no class inheritance (`{node.name}`)"
        yield Feature(node=first, message=message, hint=_base_hint(node.name, ast.unparse(first)))
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in part.decorator_list:
                name = ast.unparse(decorator)[:60]
                hint = _DECORATED.get(name.partition(".")[2] or name, "Call the function inside the method.")
                yield Feature(node=decorator, message=f"the sandbox has no method decorators (`@{name}`)", hint=hint)
        elif isinstance(part, ast.ClassDef):
            yield Feature(node=part, message="the sandbox has no classes inside classes", hint="Move the class out.")
        elif isinstance(part, ast.Assign) and not (len(part.targets) == 1 and isinstance(part.targets[0], ast.Name)):
            message = "a class body assigns one name at a time"
            yield Feature(node=part, message=message, hint="Write `a = 1` and `b = 2`.")
        elif not isinstance(part, ast.Assign | ast.AnnAssign | ast.Expr | ast.Pass):
            message = "a class body holds methods and `name = value` only"
            yield Feature(node=part, message=message, hint="Set it in `__init__`.")


def _base_hint(name: str, base: str) -> str:
    """What to write instead of a class `name` with the base `base`."""
    if base.endswith(("Error", "Exception")):
        return f"Raise a built-in one: `raise ValueError('{name}: ...')`."
    if "Enum" in base:
        return "Use a class without a base, with plain values, or a dict."
    if base.endswith(("NamedTuple", "TypedDict")):
        return "Use a dataclass or a plain `dict`."
    return "Leave the base out, and share code through functions."


def calls(tree: ast.Module, known: Known) -> Iterator[Feature]:
    """Uses of functions and methods that fail in the sandbox when they are reached."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _call(node, known)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in called:
            yield from _unbound(node, known)


def _call(node: ast.Call, known: Known) -> Iterator[Feature]:
    match node.func:
        case ast.Name(id=name) if name not in known.others:
            if name == "open":
                yield Feature(node=node.func, message="a block cannot open files", hint=FILES)
            elif name == "next" and node.args and (what := _list_like(node.args[0], known)):
                example = "next(iter([x for x in xs if ...]), None)"
                yield Feature(
                    node=node.func,
                    message=f"`next` needs an iterator, and in the sandbox {what} is a list",
                    hint=f"Wrap it in `iter`: `{example}`.",
                )
        case ast.Attribute(value=ast.Name(id=base), attr=attr) if base in known.imported:
            yield from _module_call(node, known.imported[base], attr, known)
        case ast.Attribute(value=value, attr=attr):
            kind = value.id if isinstance(value, ast.Name) and value.id in _TYPES - known.others else ""
            if kind and attr in _METHODS - {"fromkeys", "maketrans"}:
                yield _method_of_type(node.func, kind, attr)
            elif attr in _TEXT_METHODS and attr not in known.members:
                hint = _TEXT_METHODS[attr]
                yield Feature(node=node.func, message=f"the sandbox has no `str.{attr}`", hint=hint)
            elif attr == "sub" and node.args and _is_function(node.args[0], known) and "sub" not in known.members:
                yield _callable_sub(node.args[0])
            elif attr in _FILE_METHODS and known.paths and attr not in known.members:
                yield Feature(node=node.func, message=f"a block has no files (`.{attr}`)", hint=FILES)
        case _:
            pass


def _module_call(node: ast.Call, module: str, attr: str, known: Known) -> Iterator[Feature]:
    words = {word.arg: word for word in node.keywords if word.arg}
    if module == "re" and attr == "sub":
        replacement = words["repl"].value if "repl" in words else node.args[1] if len(node.args) > 1 else None
        if replacement is not None and _is_function(replacement, known):
            yield _callable_sub(replacement)
    elif module == "os" and attr not in _PURE_OS:
        hint = "Pass what you need in through `input`."
        message = f"a block sees no files, environment or processes (`os.{attr}`)"
        yield Feature(node=node.func, message=message, hint=hint)
    for name, hint in _KEYWORDS.get((module, attr), {}).items():
        if name in words and not (isinstance(words[name].value, ast.Constant)):
            message = f"the sandbox's `{module}.{attr}` takes no `{name}`"
            yield Feature(node=words[name], message=message, hint=hint)


def _unbound(node: ast.Attribute, known: Known) -> Iterator[Feature]:
    """A method that is handed on instead of called: built-in values have none in the sandbox."""
    if node.attr not in _METHODS or node.attr in known.members:
        return
    root = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id in known.imported:
        return
    if isinstance(node.value, ast.Name) and node.value.id in _TYPES - known.others:
        yield _method_of_type(node, node.value.id, node.attr)
        return
    source = ast.unparse(node.value)[:40]
    yield Feature(
        node=node,
        message=f"the sandbox can call `{source}.{node.attr}(...)` but not hand the method on",
        hint=f"Wrap it: `lambda x: {source}.{node.attr}(x)`.",
    )


def _method_of_type(node: ast.AST, kind: str, attr: str) -> Feature:
    message = f"the sandbox has no `{kind}.{attr}` apart from a value"
    return Feature(node=node, message=message, hint=f"Call it on the value: `lambda x: x.{attr}()`.")


def _callable_sub(node: ast.AST) -> Feature:
    message = "the sandbox's `re.sub` takes a text, not a function"
    return Feature(node=node, message=message, hint="Loop over `re.finditer(...)` and join the pieces.")


def _is_function(node: ast.AST, known: Known) -> bool:
    return isinstance(node, ast.Lambda) or (isinstance(node, ast.Name) and node.id in known.functions)


def _list_like(node: ast.AST, known: Known) -> str:
    match node:
        case ast.GeneratorExp():
            return "a generator expression"
        case ast.Call(func=ast.Name(id=name)) if name in _LISTS - known.others:
            return f"`{name}(...)`"
        case ast.Call(func=ast.Attribute(value=ast.Name(id=base), attr="finditer")) if known.imported.get(base) == "re":
            return "`re.finditer(...)`"
        case _:
            return ""
