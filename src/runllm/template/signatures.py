"""What filters, tests, functions and methods take, and what is wrong with what they are given.

The tables were measured against the engine: a wrong name or number of arguments fails there in every run, and what
it accepts is accepted here (`tests/unit/test_signatures.py` goes over all of them).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from runllm.diagnostics import Severity, did_you_mean
from runllm.template.tree import Node
from runllm.values import frozen


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


def finding(node: Node, message: str, hint: str = "", severity: Severity = "error") -> Finding:
    """A finding that covers a node."""
    return Finding(offset=node.at, length=node.end - node.at, message=message, hint=hint, severity=severity)


def _table(lines: str) -> dict[str, str]:
    """The parameters of each name, in the order of the alphabet."""
    parts = [line.partition(":") for line in lines.strip().splitlines()]
    return dict(sorted((name, text.strip()) for names, _, text in parts for name in names.split()))


# Parameters as Python writes them: `/` behind those that are given by place alone, `*` before those that are given by
# name alone, `?` on what may be left out, `...` on what may be given many times, `**` where any name may be given.
FILTERS = _table("""
    abs bool capitalize count e escape first items last length lines list lower reverse safe string striptags title:
    upper urlencode:
    attr: name /
    batch slice: count:integer fill? /
    chain zip: other... /
    d default: other? boolean? /
    dictsort: * case_sensitive:boolean? by:string? reverse:boolean?
    filesizeformat: binary:boolean? /
    float: default?
    format: value... **
    groupby: attribute:string * default? case_sensitive:boolean?
    indent: width:integer? first:boolean? blank:boolean?
    int: default? base:integer?
    join: d? attribute:string?
    map: filter:filter argument... **
    max min unique: * attribute:string? case_sensitive:boolean?
    pluralize: singular? plural? /
    reject select: test:test? argument... /
    rejectattr selectattr: attribute test:test? argument... /
    replace: old new / count:integer?
    round: precision:integer? method:string?
    sort: * attribute:string? case_sensitive:boolean? reverse:boolean?
    split: separator:string? maxsplit:integer? /
    sum: attribute:string? start?
    tojson: indent:integer?
    trim: chars? /
    truncate: length:integer? killwords? end? leeway:integer?
    wordwrap: * width:integer? break_long_words:boolean? wrapstring:string? break_on_hyphens:boolean?
""")
_MAPPED_ATTRIBUTE = "* attribute default?"
TESTS = _table("""
    boolean defined escaped even false filter float int integer iterable lower mapping none number odd safe sequence:
    string test true undefined upper:
    divisibleby endingwith eq equalto ge greaterthan gt in le lessthan lt ne sameas startingwith: other /
""")
_SIGNS = dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), "other /")
"""Tests by another name, which only `select` and its like know."""
FUNCTIONS = _table("""
    cycler: items:list /
    dict namespace: values? / **
    joiner: separator? /
    range: start:integer stop:integer? step:integer? /
""")
METHODS = {
    "object": _table("""
        get: key default? /
        items keys values:
    """),
    "array": _table("count: value /"),
    "string": _table("""
        capitalize isalnum isalpha isascii isdigit islower isnumeric isspace isupper lower title upper:
        count find rfind: part:string /
        endswith startswith: part /
        format: value... **
        join: items /
        lstrip rstrip strip: chars:string? /
        replace: old:string new:string count:integer? /
        split: separator:string? maxsplit:integer? /
        splitlines: keepends:boolean? /
    """),
}
LOOP = _table("""
    depth depth0 first index index0 last length nextitem previtem revindex revindex0:
    changed: value... /
    cycle: item value... /
""")
RECURSION = "items /"


@frozen
class _Parameter:
    name: str
    kind: str
    required: bool
    many: bool
    place: bool
    keyword: bool


_WRITTEN = re.compile(r"(\w+)(?::(\w+))?(\?|\.\.\.)?")


@lru_cache(maxsize=256)
def _parameters(text: str) -> tuple[_Parameter, ...]:
    parts = text.split()
    slash, star = (parts.index(sign) if sign in parts else -1 for sign in "/*")
    return tuple(
        _Parameter(
            name=found[1],
            kind=found[2] or "",
            required=not found[3],
            many=found[3] == "...",
            place=star < 0 or at < star,
            keyword=at > slash and found[3] != "...",
        )
        for at, part in enumerate(parts)
        if (found := _WRITTEN.fullmatch(part))
    )


def unknown(what: str, node: Node, known: Collection[str], also: Collection[str] = ()) -> Iterator[Finding]:
    """A name that is not among the `known` ones, which are suggested, nor among others."""
    if node.text not in known and node.text not in also:
        yield finding(node, f"there is no {what} `{node.text}`", did_you_mean(node.text, tuple(known)))


def misused(node: Node) -> Iterator[Finding]:
    """What is wrong with a `filter` or `test`: its name, or what it is given."""
    known = FILTERS if node.kind == "filter" else TESTS
    yield from unknown(node.kind, node, known)
    if node.text == "map" and any(argument.text == "attribute" for argument in node.parts):
        yield from misgiven(node, _MAPPED_ATTRIBUTE, node.parts)
    elif node.text in known:
        yield from misgiven(node, known[node.text], node.parts)
    if node.text == "map" and node.parts and not node.parts[0].text:
        for argument in node.parts:
            if argument.text.isidentifier() and argument.text != "attribute":
                message = f"`map` hands no arguments on by name: `{argument.text}` has no effect"
                yield finding(argument, message, "Give it by place, or use a loop.", "warning")


def misgiven(node: Node, text: str, given: Sequence[Node]) -> Iterator[Finding]:
    """What is wrong with arguments for these parameters; with unpacked ones among them, nothing is known.

    Args:
        node: what they are given to.
        text: its parameters, as the tables have them.
        given: the arguments.
    """
    if any(argument.text.startswith("*") for argument in given):
        return
    found = _parameters(text)
    by_place = [argument for argument in given if not argument.text]
    places = [parameter for parameter in found if parameter.place]
    while places and places[-1].many and len(places) < len(by_place):
        places.append(places[-1])
    if len(by_place) > len(places):
        yield _too_many(node, by_place[len(places)], found)
    pairs = list(zip(places, by_place, strict=False))
    if node.text == "namespace" and by_place and len(given) > len(by_place):
        yield finding(node, "`namespace` takes one object, or names, not both")
    yield from _by_name(node, text, given[len(by_place) :], pairs)
    for parameter in found:
        if parameter.required and all(parameter is not other for other, _ in pairs):
            yield finding(node, f"`{node.text}` needs `{parameter.name}`", f"Write `{_shown(node, found)}`.")
    for parameter, argument in pairs:
        yield from _of_wrong_type(node, parameter, argument.parts[0])
        if parameter.kind in ("filter", "test"):
            yield from _named(parameter.kind, argument.parts[0], by_place[by_place.index(argument) + 1 :])


def _by_name(node: Node, text: str, given: Sequence[Node], pairs: list[tuple[_Parameter, Node]]) -> Iterator[Finding]:
    """What is wrong with arguments that are given by name; those that are right join the `pairs`."""
    found = _parameters(text)
    for argument in given:
        meant = next((one for one in found if one.keyword and one.name == argument.text), None)
        if meant and all(parameter is not meant for parameter, _ in pairs):
            pairs.append((meant, argument))
        elif meant:
            yield finding(argument, f"`{node.text}` is given `{argument.text}` twice")
        elif "**" not in text:
            yield _unnamed(node, argument, found)


def _named(kind: str, name: Node, given: Sequence[Node]) -> Iterator[Finding]:
    """What is wrong with a filter or test that is named by a text, and with what it is handed."""
    known = FILTERS if kind == "filter" else TESTS
    if name.kind == "constant" and isinstance(name.value, str):
        named = Node(kind=kind, at=name.at, end=name.end, text=name.value)
        yield from unknown(kind, named, known, _SIGNS if kind == "test" else ())
        if text := {**_SIGNS, **known}.get(name.value):
            yield from misgiven(named, text, given)


def _too_many(node: Node, argument: Node, found: Sequence[_Parameter]) -> Finding:
    if not found:
        return finding(argument, f"`{node.text}` takes no arguments")
    most = sum(parameter.place for parameter in found)
    if most:
        how_many = f"{most} argument{'s' if most > 1 else ''}"
        return finding(argument, f"`{node.text}` takes no more than {how_many}", f"Write `{_shown(node, found)}`.")
    hint = f"Write `{found[0].name}=` before it, say: it takes {', '.join(f'`{one.name}`' for one in found)}."
    return finding(argument, f"`{node.text}` takes arguments by name only", hint)


def _unnamed(node: Node, argument: Node, found: Sequence[_Parameter]) -> Finding:
    known = [parameter.name for parameter in found if parameter.keyword]
    if any(parameter.name == argument.text for parameter in found) or (found and not known):
        hint = f"Write `{_shown(node, found)}`, without names."
        return finding(argument, f"`{node.text}` does not take `{argument.text}` by name", hint)
    return finding(argument, f"`{node.text}` takes no `{argument.text}`", did_you_mean(argument.text, known))


def _shown(node: Node, found: Sequence[_Parameter]) -> str:
    """How a call is written, with all that it may be given."""
    shown = ", ".join(one.name if one.place else f"{one.name}=" for one in found)
    return f"{node.text}({shown})"


_PLAIN = {
    "array": "a list",
    "object": "an object",
    "string": "text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "null": "none",
}
_NAME = ("integer", "number", "boolean", "array", "object")
_REFUSES = {
    "integer": ("string", "array", "object"),
    "boolean": ("string", "integer", "number", "array", "object"),
    "string": _NAME,
    "filter": _NAME,
    "test": _NAME,
    "array": ("integer", "number", "boolean"),
    "list": ("integer", "number", "boolean", "string", "null"),
}
_WANTED = {
    **_PLAIN,
    "integer": "a whole number",
    "list": "a list",
    "filter": "the name of a filter",
    "test": "the name of a test",
}


def _of_wrong_type(node: Node, parameter: _Parameter, value: Node) -> Iterator[Finding]:
    """A literal that the engine takes for nothing that a parameter could be."""
    kind = value.text if value.kind == "constant" else value.kind
    refused = _REFUSES.get(parameter.kind, ())
    if kind in refused or (kind == "null" and refused and parameter.required):
        yield finding(
            value, f"`{parameter.name}` of `{node.text}` must be {_WANTED[parameter.kind]}, not {_PLAIN[kind]}"
        )
