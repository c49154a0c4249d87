"""Python that the sandbox runs with another result, found in a block's syntax tree, each with what means one thing.

The rows are the table of docs/python-blocks.md, where `tools/gen_docs.py` writes what each gives in both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import cast

from runllm.blocks.lacks import Names
from runllm.blocks.patterns import marks
from runllm.blocks.sources import Sources, called, texts
from runllm.values import frozen


@frozen
class Difference:
    """One thing that Python and the sandbox run differently.

    Attributes:
        code: an expression that shows it; or several lines, of which the last sets `r`.
        instead: an expression of the same use that both run alike.
        message: what the sandbox does.
        hint: what to write instead.
        written: what stands for `code` in the table, if that has several lines.
    """

    code: str
    instead: str
    message: str
    hint: str
    written: str = ""


def _row(code: str, instead: str, message: str, hint: str, *, written: str = "") -> Difference:
    return Difference(code=code, instead=instead, message=f"in the sandbox {message}", hint=hint, written=written)


DIFFERENCES: Mapping[str, Difference] = {
    "end": _row(
        r'bool(re.search(r"^\d+$", "12\n"))', r're.fullmatch(r"\d+", "12\n") is not None',
        "`$` is the end of the text alone, and not also before a last line end",
        r"Write `re.fullmatch(...)`, or `$(?!\n)`, which both read as the end alone.",
    ),
    "last end": _row(
        r'bool(re.search(r"a\Z", "a\n"))', r'bool(re.search(r"a$(?!\n)", "a\n"))',
        r"`\Z` is also before a last line end, and not the end of the text alone",
        r"Write `re.fullmatch(...)`, or `$(?!\n)`, which both read as the end alone.",
    ),
    "word": _row(
        r're.findall(r"\w+", "12 m²")', r're.findall(r"[A-Za-z0-9_²³]+", "12 m²")',
        r"`\w` takes accents and vowel signs that stand apart, and not `²` or `½`",
        "Name the characters, `[A-Za-z0-9_]` or `[A-Za-zÀ-ÿ0-9_]`; for words, `text.split()`.",
    ),
    "empty": _row(
        're.sub("x*", "-", "abxd")', 're.sub("x+", "-", "abxd")',
        "a pattern that may match nothing does not match right behind a match",
        "Let it match at least one character: `+` for `*`.",
    ),
    "class": _row(
        're.findall("[a&&b]", "a&b")', 're.findall("[a&b]", "a&b")',
        "`&&`, `--`, `~~` and `[` within a class `[...]` make a class of classes",
        r"Write one character once, and a bracket as `\[`.",
    ),
    "edge": _row(
        r're.findall(r"\<b", "<b b")', 're.findall("<b", "<b b")',
        r"`\<` and `\>` are the ends of a word", "Write `<` and `>` without a backslash.",
    ),
    "ascii": _row(
        're.findall("[a-zà-ÿ]+", "né É", re.I | re.A)', 're.findall("[a-zà-ÿ]+", "né")',
        "`re.ASCII` changes nothing", r"Name the characters: `[A-Za-z0-9_]` for `\w`, `[0-9]` for `\d`.",
    ),
    "replacement": _row(
        r're.sub(" ", r"\n", "a b")', r're.sub(" ", "\n", "a b")',
        r"an escape such as `\n` in the replacement of `re.sub` stays two characters",
        r'Write the character itself: `"\n"` without `r`; with groups `"\\1\n"`.',
    ),
    "set order": _row(
        "list({3, 1, 2})", "sorted({3, 1, 2})",
        "a set keeps the order in which it was filled; in Python it has none",
        "Say which order: `sorted(...)`, or `list(dict.fromkeys(...))` for the first of each.",
    ),
    "equal keys": _row(
        'json.dumps({1: "a", True: "b"})', 'json.dumps({"1": "a", "true": "b"})',
        "of two keys that are equal the last one is kept; in Python the first one", 'Use texts: `"1"`, `"true"`.',
    ),
    "twice": _row(
        "[list(m := map(str, [1])), list(m)]", "[m := list(map(str, [1])), list(m)]",
        "this is a list; in Python it can be read once, and is never empty in an `if`", "Make it a list: `list(...)`.",
    ),
    "attribute": _row(
        'hasattr("a", "upper")', 'isinstance("a", str)',
        "built-in values have no methods to ask for", "Ask for the type: `isinstance(x, str)`.",
    ),
    "truth": _row(
        "class Cart:\n    def __len__(self):\n        return 0\nr = bool(Cart())", "len([]) > 0",
        "an object is true, whatever its `__bool__` or `__len__` says, and has no `len`",
        "Give the method a name, and call it: `cart.count() > 0`.", written="`bool(x)` of a class with `__len__`",
    ),
    "unequal": _row(
        "class A:\n    def __ne__(self, other):\n        return False\nr = A() != A()", "not 1 == 1",
        "`__ne__` is not called", "Define `__eq__` and write `not a == b`.",
        written="`a != b` of a class with `__ne__`",
    ),
    "short year": _row(
        'datetime.strptime("1.2.69", "%d.%m.%y").year', 'datetime.strptime("1.2.1969", "%d.%m.%Y").year',
        "`%y` reads 69 to 99 as 2069 to 2099", "Read four digits with `%Y`.",
    ),
    "hour alone": _row(
        'datetime.strptime("1.2.2024 10", "%d.%m.%Y %H").hour',
        'datetime.strptime("1.2.2024 10:00", "%d.%m.%Y %H:%M").hour',
        "an hour without minutes is read as midnight", "Add the minutes: `strptime(text + ':00', '... %H:%M')`.",
    ),
    "asserted": _row(
        "try:\n    assert 1 == 2, 'no'\nexcept AssertionError as e:\n    r = str(e)", "str(ValueError('no'))",
        "the text of a failed `assert` has its values added", "Raise and catch a `ValueError` instead.",
        written="`str(e)` of a caught `assert 1 == 2, 'no'`",
    ),
    "error text": _row(
        "try:\n    json.loads('{')\nexcept ValueError as e:\n    r = 'property name' in str(e)",
        "isinstance(ValueError(), ValueError)",
        "the words of many errors are others", "Ask for the kind of error: `except ValueError:`.",
        written="`'property name' in str(e)` of `json.loads('{')`",
    ),
    "compared": _row(
        "class A:\n    def __lt__(self, other):\n        return True\nr = A() < A()", "(1, 'a') < (1, 'b')",
        "this method is not called: the operation fails", "Compare plain values: `sorted(xs, key=lambda x: x.size)`.",
        written="`a < b`, `sorted` of a class with `__lt__`",
    ),
    "fraction": _row(
        "timedelta(hours=1.5)", "timedelta(minutes=90)",
        "`timedelta` takes whole numbers alone, and fails with others",
        "Use a smaller unit: `timedelta(seconds=round(hours * 3600))`.",
    ),
    "fraction of a time": _row(
        "timedelta(hours=1) * 1.5", "timedelta(hours=1) * 3 / 2",
        "a `timedelta` is multiplied by whole numbers alone, and fails with others", "Write `delta * 3 / 2`.",
    ),
    "short iso": _row(
        'datetime.fromisoformat("20240101T101112")', 'datetime.strptime("20240101T101112", "%Y%m%dT%H%M%S")',
        "`fromisoformat` reads `2024-01-31` and `2024-01-31T10:11` alone, with seconds and an offset or without",
        'Say the form: `datetime.strptime(text, "%Y%m%dT%H%M%S")`.',
    ),
    "no whole date": _row(
        'datetime.strptime("10:11", "%H:%M").hour', 'datetime.strptime("2000-01-01 10:11", "%Y-%m-%d %H:%M").hour',
        "`strptime` fails without a whole date", 'Put one before it: `strptime("2000-01-01 " + text, "%Y-%m-%d ...")`.',
    ),
}  # fmt: skip
"""Each difference by its name."""

RARE: Mapping[str, Difference] = {
    "digits": _row(
        'int("\u0663")', 'int("3")',
        "`int` and `float` read the digits `0` to `9` alone, and fail with those of other scripts",
        "Ask for `[0-9]` in the input's `pattern`.", written="`int(x)` of a digit of another script, U+0663",
    ),
    "half character": _row(
        "len(json.loads(r'\"\\ud800\"'))", "len(json.loads('\"x\"'))",
        "`json.loads` fails with half a character", "No request could carry it: leave it out.",
    ),
    "separators": _row(
        r'bool(re.search(r"\s", "\x1c"))', r'bool(re.search(r"[\s\x1c-\x1f]", "\x1c"))',
        r"`\s` does not take the separators `\x1c` to `\x1f`",
        r"Add them where a text may hold them: `[\s\x1c-\x1f]`.",
    ),
    "Turkish i": _row(
        're.findall("(?i)i", "\u0130\u0131I")', 're.findall("[iI\u0130\u0131]", "\u0130\u0131I")',
        "`(?i)` and `re.IGNORECASE` do not take the `i` of Turkish without or with its dot for an `i`",
        "Name the letters where a text may be Turkish.",
    ),
}  # fmt: skip
"""Differences on values that hardly come, which are in the table, and no warning at each `int(...)` and `\\s`."""

Found = tuple[ast.AST, Difference]

_LAZY = frozenset({"map", "filter", "zip", "enumerate", "reversed"})
_ORDERED = frozenset({"list", "tuple", "enumerate", "iter", "zip", "map", "filter", "str", "repr", "print"})
_ORDERLESS = frozenset({"set", "frozenset", "sorted", "sum", "min", "max", "any", "all", "len", "Counter"})
_SETS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
_SPECIAL = {
    **dict.fromkeys(["__bool__", "__len__"], "truth"),
    "__ne__": "unequal",
    **dict.fromkeys(["__lt__", "__le__", "__gt__", "__ge__", "__format__", "__getattr__", "__iadd__"], "compared"),
}
_MATCHING = frozenset({"match", "search", "fullmatch", "findall", "finditer", "sub", "split", "compile"})
_MANY = frozenset({"findall", "finditer", "sub", "split"})


def uses(tree: ast.Module, names: Names, numbers: Collection[str] = ()) -> list[Found]:
    """What of a block differs, each with the node it stands at; `numbers` are the inputs that may have a fraction."""
    sources = Sources(tree, names, numbers)
    finders: tuple[Callable[[ast.AST, Sources], Iterable[tuple[ast.AST, str]]], ...]
    finders = (_in_pattern, _in_replacement, _in_times, _in_order, _in_values, _in_errors)
    found = [(at, name) for node in ast.walk(tree) for finder in finders for at, name in finder(node, sources)]
    found += [(node, "twice") for node in sources.read_twice(_is_lazy)]
    return [(at, DIFFERENCES[name]) for at, name in found]


def _is_lazy(node: ast.AST, sources: Sources) -> bool:
    return isinstance(node, ast.GeneratorExp) or sources.function(node) in (*_LAZY, "re.finditer")


def _in_pattern(node: ast.AST, sources: Sources) -> Iterator[tuple[ast.AST, str]]:
    """The regular expression of a call, with what is done with it."""
    function = sources.function(node)
    if not function.startswith("re.") or function[3:] not in _MATCHING:
        return
    call = cast("ast.Call", node)
    done = {function[3:]} if function != "re.compile" else sources.methods_of(call) or _MATCHING
    flags = {sub.attr: sub for sub in _flags(call, sources)}
    pattern = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "pattern")]
    for at, text in (pair for given in pattern for pair in texts(given, sources)):
        found = marks(text, lines=bool(flags.keys() & {"M", "MULTILINE"}))
        found -= {"end", "last end"} if done == {"fullmatch"} else set()
        found -= set() if done & _MANY else {"empty"}
        yield from ((at, mark) for mark in sorted(found))
    yield from ((sub, "ascii") for name, sub in flags.items() if name in ("A", "ASCII"))


def _flags(call: ast.Call, sources: Sources) -> Iterator[ast.Attribute]:
    given = (*call.args[1:], *(word.value for word in call.keywords))
    for sub in (sub for one in given for sub in ast.walk(one)):
        if isinstance(sub, ast.Attribute) and sources.module(sub.value) == "re":
            yield sub


def _in_replacement(node: ast.AST, sources: Sources) -> Iterator[tuple[ast.AST, str]]:
    function = sources.function(node)
    if function == "re.sub" or (function.endswith(".sub") and sources.imports("re")):
        call = cast("ast.Call", node)
        place = 1 if function == "re.sub" else 0
        given = [*call.args[place : place + 1], *(word.value for word in call.keywords if word.arg == "repl")]
        for at, text in (pair for one in given for pair in texts(one, sources)):
            if re.search(r"\\[a-fh-zA-Z]", text.replace("\\\\", "")):
                yield at, "replacement"


def _in_times(node: ast.AST, sources: Sources) -> Iterator[tuple[ast.AST, str]]:
    """Lengths of time, and texts read as times."""
    function = sources.function(node)
    match node:
        case ast.Call() if function.endswith("timedelta"):
            for given in (*node.args, *(word.value for word in node.keywords)):
                if _is_fraction(given, sources):
                    yield given, "fraction"
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            for one, other in ((left, right), (right, left)):
                if sources.function(sources.value(one)).endswith("timedelta") and _is_fraction(other, sources):
                    yield other, "fraction of a time"
        case ast.Call(args=[given]) if function.endswith(".fromisoformat"):
            yield from ((at, "short iso") for at, text in texts(given, sources) if _is_short(text))
        case ast.Call(args=[_, given]) if function.endswith("datetime.strptime"):
            for at, text in texts(given, sources):
                yield from ((at, name) for name in _of_format(text) if isinstance(at, ast.Constant))
        case _:
            pass


def _is_fraction(node: ast.AST, sources: Sources) -> bool:
    match sources.value(node):
        case ast.Constant(value=float()):
            return True
        case ast.Name(id=name):
            return name in sources.numbers
        case ast.UnaryOp(operand=operand):
            return sources.known("fraction", operand, lambda: _is_fraction(operand, sources))
        case ast.BinOp(op=ast.Div()):
            return True
        case ast.BinOp(left=left, right=right):
            return any(
                sources.known("fraction", one, lambda one=one: _is_fraction(one, sources)) for one in (left, right)
            )
        case ast.Call() as call:
            return sources.function(call) == "float"
        case _:
            return False


def _is_short(text: str) -> bool:
    date, _, time = text.partition("T")
    return text.isascii() and (date.isdigit() or "W" in date or (time.isdigit() and len(time) in (2, 4, 6)))


def _of_format(text: str) -> Iterator[str]:
    parts = set(re.findall(r"%-?([a-zA-Z])", text.replace("%%", "")))
    day = "j" in parts or (parts & set("mbBhUWV") and parts & set("deuwaA"))
    if not (parts & set("cxDFs") or (parts & set("yYG") and day)):
        yield "no whole date"
    elif parts & {"H", "I"} and "M" not in parts:
        yield "hour alone"
    if "y" in parts:
        yield "short year"


def _in_order(node: ast.AST, sources: Sources) -> Iterator[tuple[ast.AST, str]]:
    """Where the order of a set comes out."""
    given: list[ast.AST] = []
    match node:
        case ast.Call(func=ast.Attribute(attr="join"), args=[only]):
            given = [only]
        case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[]):
            given = [value]
        case ast.Call() if sources.function(node) in _ORDERED and not sources.is_within(node, _ORDERLESS):
            given = list(node.args)
        case ast.Starred(value=value) | ast.FormattedValue(value=value):
            given = [value]
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() if not sources.is_within(node, _ORDERLESS):
            given = [part.iter for part in node.generators]
        case ast.For() if any(isinstance(sub, _KEEPS_ORDER) or called(sub) in _KEEPING for sub in ast.walk(node)):
            given = [node.iter]
        case _:
            pass
    yield from ((one, "set order") for one in given if _is_set(one, sources))


_KEEPS_ORDER = ast.Break | ast.Return | ast.Assert | ast.Raise
_KEEPING = frozenset({"append", "extend", "insert", "print"})


def _is_set(node: ast.AST, sources: Sources) -> bool:
    match sources.value(node):
        case ast.Set() | ast.SetComp():
            return True
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), left=left, right=right):
            parts = [left, right]
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _SETS:
            parts = [value]
        case ast.Call() as call:
            return sources.function(call) in ("set", "frozenset")
        case _:
            return False
    return any(sources.known("set", part, lambda part=part: _is_set(part, sources)) for part in parts)


def _in_values(node: ast.AST, sources: Sources) -> Iterator[tuple[ast.AST, str]]:
    """Keys that are equal, and what classes and values say of themselves."""
    match node:
        case ast.Dict(keys=keys):
            plain = [key.value for key in keys if isinstance(key, ast.Constant)]
            for at, value in enumerate(plain):
                if any(value == other and type(value) is not type(other) for other in plain[:at]):
                    yield node, "equal keys"
                    break
        case ast.ClassDef(body=body):
            for statement in body:
                if isinstance(statement, ast.FunctionDef) and statement.name in _SPECIAL:
                    yield statement, _SPECIAL[statement.name]
        case ast.Call(args=[_, ast.Constant(value=str(name)), *_]) if sources.function(node) in ("hasattr", "getattr"):
            if any(hasattr(kind, name) for kind in (str, list, dict, set, int, float)):
                yield node, "attribute"
        case _:
            pass


def _in_errors(node: ast.AST, sources: Sources) -> Iterator[tuple[ast.AST, str]]:
    """The words of an error that was caught."""
    if isinstance(node, ast.ExceptHandler) and node.name:
        of_assert = isinstance(node.type, ast.Name) and node.type.id == "AssertionError"
        for sub in (sub for statement in node.body for sub in ast.walk(statement)):
            parts = [sub.left, *sub.comparators] if isinstance(sub, ast.Compare) else []
            if of_assert and sources.is_text_of(sub, node.name):
                yield sub, "asserted"
            elif any(sources.is_text_of(part, node.name) for one in parts for part in ast.walk(one)):
                yield sub, "error text"
