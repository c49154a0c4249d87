"""What the syntax tree of a block shows about its names, imports and definitions."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runllm.blocks import assignment
from runllm.values import frozen


@frozen
class Known:
    """What the calls of a block need to be understood.

    Attributes:
        imported: local names that stand for a module, and only for it, with its name.
        functions: local names that are functions of the block, and only that.
        others: names that the block or its inputs give another meaning.
        members: attributes and fields that the block defines.
        paths: the block uses `pathlib`.
    """

    imported: dict[str, str]
    functions: frozenset[str]
    others: frozenset[str]
    members: frozenset[str]
    paths: bool


def known_in(tree: ast.Module, bindings: Iterable[tuple[str, ast.AST]], names: Mapping[str, Any]) -> Known:
    """What is known of the block's names before anything is checked."""
    kinds: dict[str, list[ast.AST]] = {}
    for name, node in bindings:
        kinds.setdefault(name, []).append(node)
    plain = {id(alias) for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported = {
        name: (node.name if node.asname else name)
        for name, nodes in kinds.items()
        if name not in names and all(isinstance(node, ast.alias) for node in nodes)
        for node in nodes[-1:]
        if isinstance(node, ast.alias) and id(node) in plain
    }
    members = {
        m for n in ast.walk(tree) if isinstance(n, ast.ClassDef) for m, _ in assignment.bindings(ast.Module(n.body, []))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            members.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("namedtuple"):
            texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            members |= {word for text in texts for word in text.replace(",", " ").split()}
    return Known(
        imported=imported,
        functions=frozenset(n for n, nodes in kinds.items() if all(isinstance(x, ast.FunctionDef) for x in nodes)),
        others=frozenset(kinds) | frozenset(names) | _local_names(tree),
        members=frozenset(members),
        paths=any(what.partition(":")[0] == "pathlib" for _, _, what in imports(tree)),
    )


def _local_names(tree: ast.Module) -> frozenset[str]:
    """Every name that is bound anywhere, in functions too: a built-in of the same name may not be meant."""
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(stored | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)} | defined(tree))


def defined(tree: ast.Module) -> frozenset[str]:
    """The functions and classes of the block, wherever they stand."""
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )


def imports(tree: ast.Module) -> Iterator[tuple[ast.AST, str, str]]:
    """Each import that must succeed: its node, a statement that tries it, and `module` or `module:member`."""
    guarded = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.Try) and outer.handlers
        for statement in outer.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias, f"import {alias.name}", alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level and node.module != "__future__":
            for alias in node.names:
                if alias.name != "*":
                    yield alias, f"from {node.module} import {alias.name}", f"{node.module}:{alias.name}"


def members(tree: ast.Module, known: Known) -> Iterator[tuple[ast.AST, str, str]]:
    """Each `module.member` that is read: its node, a statement that tries it, and its name as `module:member`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=base), attr=attr, ctx=ast.Load()) if base in known.imported:
                module_name = known.imported[base]
                yield node, f"import {module_name} as probed\nprobed.{attr}", f"{module_name}:{attr}"
            case _:
                pass


def loose_names(tree: ast.Module) -> frozenset[str]:
    """Built-in names that the block reads; the checker does not know all that the sandbox has."""
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return frozenset(name for name in read if hasattr(builtins, name))


def stored_keys(tree: ast.Module) -> frozenset[str]:
    """Constant texts that may become keys of a dict after it came in."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value=str(key)), ctx=ast.Store()):
                found.add(key)
            case ast.Call(func=ast.Attribute(attr="setdefault" | "update")):
                found |= {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                found |= {word.arg for word in node.keywords if word.arg}
            case _:
                pass
    return frozenset(found)


def runs_text(tree: ast.Module) -> bool:
    """Whether code may be made while the block runs, so that any name may exist."""
    return any(isinstance(n, ast.Name) and n.id in ("exec", "eval") for n in ast.walk(tree))


def containers(tree: ast.Module) -> frozenset[str]:
    """Names that are given a list, dict or set of the block's own making."""
    made = ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp | ast.Tuple
    return frozenset(
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, made)
        for target in node.targets
        if isinstance(target, ast.Name)
    )
