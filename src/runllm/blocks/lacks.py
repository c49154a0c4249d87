"""Python that the sandbox does not have, found in a block's syntax tree, each with what to write instead."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from runllm.values import frozen

_FILES = "Pass the text in through `input`: a block has no files."
_NO_OUTSIDE = "Pass what you need in through `input`."
_REGROUP = "Use `.replace()`, or a dict: `''.join(table.get(c, c) for c in text)`."
_FOLLOWING = "Loop over `re.finditer(...)` and join the pieces."

REWRITES: Mapping[str, str] = {
    "statistics": "Write it out: `sum(xs) / len(xs)`, `sorted(xs)[len(xs) // 2]`.",
    "textwrap": "Break the lines with a loop over `text.split()`.",
    "string": "Write the characters: `'abcdefghijklmnopqrstuvwxyz'`, or use `c.isalpha()`.",
    "operator": "Use a `lambda`: `key=lambda row: row['name']`.",
    "enum": "Use plain strings or a dict.",
    "uuid": "Use `hashlib.sha256(text.encode()).hexdigest()` for an id.",
    "dataclasses.asdict": "Build the dict: `{'x': point.x, 'y': point.y}`.",
    "collections.OrderedDict": "Use a dict: it keeps its order.",
    "collections.ChainMap": "Merge the dicts: `{**defaults, **own}`.",
    "functools.cmp_to_key": "Sort by a value: `key=lambda x: (x['a'], x['b'])`.",
    "heapq": "Use `sorted(xs)[:n]`.",
    "re.subn": "Use `re.sub`, and `len(re.findall(...))` for the count.",
    "datetime.UTC": "Use `datetime.timezone.utc`.",
    "datetime.now": "Write `datetime.datetime.now`, or `from datetime import datetime`.",
    "re.VERBOSE": "Write the pattern on one line.",
    "os.environ": _NO_OUTSIDE,
}
"""What to write instead of a module or a member of one."""

_LACKING_TEXT_METHODS = {
    "translate": _REGROUP,
    "maketrans": _REGROUP,
    "format_map": "Use `.format(**values)`.",
}
_WEEK = "Use `int(day.strftime('%V'))` for the week, and `isoweekday()`."
_DAYS = "Use `(day - date(1970, 1, 1)).days`."
_SINCE = "Use `datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=n)`."
_PARTS = "Use `strftime`, or `.year`, `.month`, `.day`."
_NAMED = "Use `m.groups()` or `m.group('name')`."
_OF_MODULES: Mapping[str, Mapping[str, str]] = {
    "": {
        "is_integer": "Use `x == int(x)`.",
        "as_integer_ratio": "Calculate with `decimal.Decimal(str(x))`.",
        "bit_length": "Use `len(bin(n)) - 2`.",
        "bit_count": "Use `bin(n).count('1')`.",
        "to_bytes": "Use `hex(n)`.",
    },
    "datetime": {
        "isocalendar": _WEEK,
        "fromisocalendar": "Use `datetime.strptime(text, '%G-W%V-%u')`.",
        "toordinal": _DAYS,
        "fromordinal": "Add a `timedelta(days=n)` to a date.",
        "fromtimestamp": _SINCE,
        "utcfromtimestamp": _SINCE,
        "timetuple": _PARTS,
        "utctimetuple": _PARTS,
        "ctime": _PARTS,
    },
    "re": {
        "subn": "Use `sub`, and `len(re.findall(...))` for the count.",
        "expand": "Join the groups: `m.group(1) + ...`.",
        "lastgroup": _NAMED,
        "lastindex": _NAMED,
        "groupindex": _NAMED,
    },
}
_METHODS_BY_NAME = {name: (module, hint) for module, own in _OF_MODULES.items() for name, hint in own.items()}
"""Methods of values that the sandbox lacks and its checker takes for there, by the module whose values have them."""
_FILE_METHODS = frozenset(
    ["read_text", "write_text", "read_bytes", "write_bytes", "iterdir", "mkdir", "unlink", "exists"]
)
_LACKING_ENCODING = re.compile(r"(?:latin|l1$|iso|cp\d|windows|mac|shift|sjis|gb|big5|euc|koi8)")
_TYPES = frozenset({"str", "list", "dict", "set", "int", "float", "bytes", "tuple", "frozenset"})
_METHODS = frozenset(name for kind in (str, list, dict, set) for name in vars(kind) if not name.startswith("_"))
_UNBOUND = _METHODS - {"fromkeys", *_LACKING_TEXT_METHODS}  # what a type in the sandbox does not have by itself
_LISTS = frozenset({"map", "filter", "zip", "reversed", "enumerate"})  # iterators elsewhere

Lack = tuple[ast.AST, str, str]  # where it stands, what is lacking, what to write instead


class Names:
    """What the names in a block stand for.

    Attributes:
        own: names that the block or its inputs give a meaning of their own, attributes among them.
        modules: local names that stand for a module, and only for it, with the module's name.
        imported: the modules that are imported, in whatever way.
        functions: the functions of the block.
    """

    def __init__(self, tree: ast.Module, given: Iterable[str]) -> None:
        nodes = list(ast.walk(tree))
        plain = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        skipped = {id(alias) for alias in plain}
        self.own = {*given, *(name for node in nodes if id(node) not in skipped for name in bound_by(node))}
        self.own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        self.own |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
        self.modules = {
            bound: alias.name if alias.asname else bound
            for alias in plain
            for bound in bound_by(alias)
            if bound not in self.own
        }
        self.imported = {alias.name for alias in plain} | {
            node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module
        }
        self.functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def bound_by(node: ast.AST) -> tuple[str, ...]:
    """The name that this node by itself gives a value to."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            return (name,)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.alias():
            return (node.asname or node.name.partition(".")[0],)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return (name,)
        case ast.MatchMapping(rest=str(name)):
            return (name,)
        case _:
            return ()


@frozen
class Read:
    """Something that a block takes from outside of itself.

    Attributes:
        node: where.
        name: `exit`, `re.VERBOSE`, `statistics`.
        probe: a statement that fails in the sandbox where it is not there.
        module: the module it comes from; empty for what is built in.
    """

    node: ast.AST
    name: str
    probe: str
    module: str = ""


def reads(tree: ast.Module, names: Names) -> Iterator[Read]:
    """The modules, members of modules and built-in names that a block reads."""
    guarded = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.Try) and outer.handlers
        for statement in outer.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom() if id(node) in guarded:
                pass
            case ast.Import():
                for alias in node.names:
                    yield Read(node=alias, name=alias.name, probe=f"import {alias.name}", module=alias.name)
            case ast.ImportFrom(module=str(module), level=0) if module != "__future__":
                for alias in node.names:
                    probe = f"from {module} import {alias.name}" if alias.name != "*" else f"import {module}"
                    yield Read(node=alias, name=f"{module}.{alias.name}", probe=probe, module=module)
            case ast.Attribute(value=ast.Name(id=base), attr=attr, ctx=ast.Load()) if base in names.modules:
                module = names.modules[base]
                yield Read(node=node, name=f"{module}.{attr}", probe=f"import {module} as it\nit.{attr}", module=module)
            case ast.Name(id=name, ctx=ast.Load()) if name not in names.own and hasattr(builtins, name):
                yield Read(node=node, name=name, probe=name)
            case _:
                pass


def missing(found: Iterable[Read], failed: Collection[str]) -> Iterator[Lack]:
    """Those of `found` whose probe has failed; of a module that is not there its import alone."""
    for read in found:
        if read.probe not in failed:
            continue
        if f"import {read.module}" not in failed:
            yield read.node, f"the sandbox has no `{read.name}`", REWRITES.get(read.name, "")
        elif isinstance(read.node, ast.alias):
            hint = REWRITES.get(read.module) or REWRITES.get(read.module.partition(".")[0], "")
            yield read.node, f"the sandbox has no module `{read.module}`", hint


def uses(tree: ast.Module, names: Names) -> Iterator[Lack]:
    """What the sandbox's checker takes for right, and what fails when it is reached."""
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                yield from _called(node, names)
            case ast.Attribute(value=value, attr=attr) if attr in _METHODS_BY_NAME and attr not in names.own:
                module, hint = _METHODS_BY_NAME[attr]
                of_module = isinstance(value, ast.Name) and value.id in names.modules  # found with what is read
                if not of_module and (not module or module in names.imported):
                    yield node, f"the sandbox has no `{attr}`", hint
            case ast.Attribute(value=ast.Name(id=kind), attr=attr) if kind in _TYPES - names.own and attr in _UNBOUND:
                message = f"the sandbox has no `{kind}.{attr}` apart from a value"
                yield node, message, f"Call it on the value: `lambda x: x.{attr}()`."
            case _:
                pass


def _called(node: ast.Call, names: Names) -> Iterator[Lack]:
    yield from _handed_on(node, names)
    yield from _of_bytes(node, names)
    match node.func:
        case ast.Name(id="open") if "open" not in names.own:
            yield node.func, "a block cannot open files", _FILES
        case ast.Name(id="next") if "next" not in names.own and node.args and _is_list(node.args[0], names):
            message = "`next` needs an iterator, and in the sandbox this is a list"
            yield node.func, message, "Wrap it in `iter`: `next(iter([x for x in xs if ...]), None)`."
        case ast.Attribute(value=ast.Name(id=base), attr=attr) if base in names.modules:
            yield from _of_module(node, f"{names.modules[base]}.{attr}", names)
        case ast.Attribute(attr=attr) if attr not in names.own:
            yield from _of_value(node, attr, names)
        case _:
            pass


def _of_module(node: ast.Call, name: str, names: Names) -> Iterator[Lack]:
    if name == "re.sub":
        yield from _replaced_by_function(node, names)
    elif name.startswith("os.") and name != "os.fspath":
        yield node.func, f"a block sees no files, environment or processes (`{name}`)", _NO_OUTSIDE
    for word in node.keywords:
        if name == "json.dumps" and word.arg in ("default", "cls") and not isinstance(word.value, ast.Constant):
            hint = "Make the values plain before: `str(value)`."
            yield word, f"the sandbox's `{name}` takes no `{word.arg}`", hint


def _of_value(node: ast.Call, method: str, names: Names) -> Iterator[Lack]:
    if method in _LACKING_TEXT_METHODS:
        yield node.func, f"the sandbox has no `str.{method}`", _LACKING_TEXT_METHODS[method]
    elif method == "sub":
        yield from _replaced_by_function(node, names)
    elif method in _FILE_METHODS and "pathlib" in names.imported:
        yield node.func, f"a block has no files (`.{method}`)", _FILES


def _of_bytes(node: ast.Call, names: Names) -> Iterator[Lack]:
    """An encoding that the sandbox does not know, and bytes of a list of numbers."""
    match node:
        case ast.Call(func=ast.Attribute(attr="encode" | "decode"), args=[ast.Constant(value=str(encoding)), *_]):
            pass
        case ast.Call(func=ast.Name(id="bytes" | "str" as kind), args=[_, ast.Constant(value=str(encoding)), *_]):
            encoding = "" if kind in names.own else encoding
        case ast.Call(func=ast.Name(id="bytes"), args=[ast.List() | ast.Tuple() | ast.ListComp() | ast.GeneratorExp()]):
            encoding = ""
            if "bytes" not in names.own:
                hint = "Write `''.join(map(chr, numbers)).encode()` for numbers below 128."
                yield node, "the sandbox's `bytes` takes no list of numbers", hint
        case _:
            named = (word.value for word in node.keywords if word.arg == "encoding")
            given = next((value.value for value in named if isinstance(value, ast.Constant)), "")
            encoding = given if isinstance(given, str) else ""
    if _LACKING_ENCODING.match(encoding.lower()):
        hint = "Use `utf-8`, or `ascii` with `'ignore'` or `'replace'`."
        yield node, f"the sandbox does not know the encoding `{encoding[:20]}`", hint


def _replaced_by_function(node: ast.Call, names: Names) -> Iterator[Lack]:
    for given in [*node.args[:2], *(word.value for word in node.keywords if word.arg == "repl")]:
        if isinstance(given, ast.Lambda) or (isinstance(given, ast.Name) and given.id in names.functions):
            yield given, "the sandbox's `re.sub` takes a text, not a function", _FOLLOWING


def _handed_on(node: ast.Call, names: Names) -> Iterator[Lack]:
    """A method of a value that is given to another function: built-in values have none in the sandbox."""
    first = node.args[:1] if isinstance(node.func, ast.Name) and node.func.id in ("map", "filter") else []
    for given in [*first, *(word.value for word in node.keywords if word.arg == "key")]:
        match given:
            case ast.Attribute(value=ast.Name(id=base)) if base in names.modules or base in _TYPES:
                pass
            case ast.Attribute(value=value, attr=attr) if attr in _METHODS - names.own:
                source = ast.unparse(value)[:40]
                message = f"the sandbox can call `{source}.{attr}(...)` but not hand the method on"
                yield given, message, f"Wrap it: `lambda x: {source}.{attr}(x)`."
            case _:
                pass


def _is_list(node: ast.AST, names: Names) -> bool:
    match node:
        case ast.GeneratorExp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _LISTS - names.own
        case ast.Call(func=ast.Attribute(value=ast.Name(id=base), attr="finditer")):
            return names.modules.get(base) == "re"
        case _:
            return False
