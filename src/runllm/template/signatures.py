"""What filters, tests, functions and methods take, and what is wrong with what they are given.

The engine is the judge. A use is tried on a value of each kind, with its arguments as they are written and with many
values for those that are not plain; it is wrong where it fails for all of them, and would fail in every run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import product

from runllm.diagnostics import Severity, did_you_mean
from runllm.template.environment import environment
from runllm.template.tree import Node
from runllm.template.views import Meter, show
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
        unread: whether nothing of its tag is understood, which may be meant for no template at all.
    """

    offset: int
    length: int
    message: str
    hint: str = ""
    severity: Severity = "error"
    unread: bool = False


def finding(node: Node, message: str, hint: str = "", severity: Severity = "error") -> Finding:
    """A finding that covers a node."""
    return Finding(offset=node.at, length=node.end - node.at, message=message, hint=hint, severity=severity)


# --- how they are written ------------------------------------------------------------------------


def _table(lines: str) -> dict[str, str]:
    """What each name is given, as it is written, in the order of the alphabet."""
    parts = [line.partition(":") for line in lines.strip().splitlines()]
    return dict(sorted((name, text.strip()) for names, _, text in parts for name in names.split()))


FILTERS = _table("""
    abs bool capitalize count e escape first items last length lines list lower reverse safe string striptags title:
    upper urlencode:
    attr: name
    batch slice: count, fill
    chain zip: other, ...
    d default: other, boolean
    dictsort: case_sensitive=, by=, reverse=
    filesizeformat: binary
    float: default
    format: value, ...
    groupby: attribute, default=, case_sensitive=
    indent: width, first, blank
    int: default, base
    join: d, attribute
    map: filter, argument, ...
    max min unique: attribute=, case_sensitive=
    pluralize: singular, plural
    reject select: test, argument
    rejectattr selectattr: attribute, test, argument
    replace: old, new, count
    round: precision, method
    sort: attribute=, case_sensitive=, reverse=
    split: separator, maxsplit
    sum: attribute, start
    tojson: indent
    trim: chars
    truncate: length, killwords, end, leeway
    wordwrap: width=, break_long_words=, wrapstring=, break_on_hyphens=
""")
TESTS = _table("""
    boolean defined escaped even false filter float int integer iterable lower mapping none number odd safe sequence:
    string test true undefined upper:
    divisibleby endingwith eq equalto ge greaterthan gt in le lessthan lt ne sameas startingwith: other
""")
FUNCTIONS = _table("""
    cycler: items
    dict namespace: values
    joiner: separator
    range: start, stop, step
""")
METHODS = {
    "object": _table("""
        get: key, default
        items keys values:
    """),
    "array": _table("count: value"),
    "string": _table("""
        capitalize isalnum isalpha isascii isdigit islower isnumeric isspace isupper lower title upper:
        count find rfind: part
        endswith startswith: part
        format: value, ...
        join: items
        lstrip rstrip strip: chars
        replace: old, new, count
        split: separator, maxsplit
        splitlines: keepends
    """),
}
LOOP = _table("""
    depth depth0 first index index0 last length nextitem previtem revindex revindex0:
    changed: value, ...
    cycle: item, ...
""")


def unknown(what: str, node: Node, known: Collection[str], also: Collection[str] = ()) -> Iterator[Finding]:
    """A name that is not among the `known` ones, which are suggested, nor among others."""
    if node.text not in known and node.text not in also:
        yield finding(node, f"there is no {what} `{node.text}`", did_you_mean(node.text, tuple(known)))


# --- what is tried -------------------------------------------------------------------------------


@frozen
class Use:
    """A way to use something, as a template around a value and around arguments.

    Attributes:
        before: the template up to the value.
        between: from the value to the arguments.
        after: the rest.
        owners: what stands for the value, one after the other.
        written: the arguments that there are, as an author writes them.
    """

    before: str = "{% set it = ("
    between: str = ""
    after: str = " %}"
    owners: tuple[str, ...] = ("",)
    written: str = ""


_VALUES = ("'a b'", "['b', 'a']", "{'a': 1}", "3", "'1'", "1.5", "true", "none", "[1]", "[[1, 2]]", "[{'a': 1}]")
"""A value of each kind that a filter or test may be given."""
_ARGUMENTS = ("2", "'upper'", "true", "['a']", "'eq'", "'key'", "'floor'", "{'a': 1}")
"""Among them is one for every parameter: numbers, texts, names of filters and tests, words that are options."""
_OWNERS = {"object": ("{'a': 1}", "object"), "array": ("['a']", "array"), "string": ("'a b'",)}
"""Values with methods: of a template's own making, and of its data."""
_OF_NAMES = frozenset({"map", "reject", "select"})
_MOST_TRIED = 1200
_FUEL = 20_000
"""For one use: a file of many that are dear, such as `slice(100000)`, is looked at soon all the same."""


def method_of(kinds: Collection[str], name: str) -> Use:
    """A method of a value of one of these types."""
    owners = tuple(owner for kind in kinds for owner in _OWNERS[kind])
    written = next(METHODS[kind][name] for kind in kinds)
    return Use(between=f").{name}", owners=owners, written=written)


def function(name: str, *, block: bool = False) -> Use:
    """A function of the engine, called in an expression or by a `call` block."""
    return _called(name, FUNCTIONS[name], block=block)


def macro(node: Node, *, block: bool = False) -> Use:
    """A macro of the template, called in an expression or by a `call` block."""
    name, *binds, body = node.parts
    names = [name for bind in binds for name in bind.names]
    caller = any(part.kind == "name" and part.text == "caller" for part in body.inside())
    made = f"{{% macro {name.names[0]}({', '.join(names)}) %}}{{{{ {'caller' if caller else 0} }}}}{{% endmacro %}}"
    return _called(name.names[0], ", ".join(names), block=block, before=made)


def _called(name: str, written: str, *, block: bool, before: str = "") -> Use:
    if block:
        return Use(before=f"{before}{{% call ", between=name, after=" %}{% endcall %}", written=written)
    return Use(before=f"{before}{{% set it = ", between=name, written=written)


def of_loop(name: str) -> Use:
    """What `loop` has; without a name its call."""
    if name:
        before = "{% for it in [1, 2] %}{% set it = "
        return Use(before=before, between=f"loop.{name}", after=" %}{% endfor %}", written=LOOP[name])
    before = "{% for it in [1] recursive %}{% if loop.first and loop.depth < 2 %}{% set it = "
    return Use(before=before, between="loop", after=" %}{% endif %}{% endfor %}", written="items")


def misused(node: Node, value: Node, source: str) -> Iterator[Finding]:
    """What is wrong with a `filter` or `test` of a value: its name, or what it is given."""
    name, given = node.text, node.parts
    known = FILTERS if node.kind == "filter" else TESTS
    yield from unknown(node.kind, node, known)
    if name not in known or (name == "format" and not value.is_literal):  # a text may name any arguments
        return
    owners = (source[value.at : value.end],) if value.is_literal else _VALUES
    if not value.is_literal and name in ("selectattr", "rejectattr") and given[1:]:
        name, given = "select", given[1:]  # as that does to what the attribute holds
    if not value.is_literal and name in _OF_NAMES:  # those look at nothing where there is no item
        owners = tuple(f"[{owner}]" for owner in _VALUES)
    between = f")|{name}" if node.kind == "filter" else f") is {name}"
    after = "|list %}" if name == "chain" else " %}"  # that looks at nothing before it is read
    yield from misgiven(Use(between=between, after=after, owners=owners, written=known[name]), node, given, source)
    if name == "map" and given and not given[0].text:
        for argument in given:
            if argument.text.isidentifier() and argument.text != "attribute":
                message = f"`map` hands no arguments on by name: `{argument.text}` has no effect"
                yield finding(argument, message, "Give it by place, or use a loop.", "warning")


def misgiven(use: Use, name: Node, given: Sequence[Node], source: str) -> Iterator[Finding]:
    """What is wrong with arguments; with unpacked ones among them, nothing is known.

    Args:
        use: what they are given to.
        name: its name, where it is used.
        given: the arguments.
        source: the template.
    """
    if any(argument.text.startswith("*") for argument in given):
        return
    texts = [_text(argument, source) for argument in given]
    why = _refusal(use, tuple(texts))
    if not why:
        return
    called = str(name.value or name.text)
    known = {"unknown filter": FILTERS, "unknown test": TESTS}.get(why, ())
    for value in (argument.parts[0] for argument in given if known):
        if isinstance(value.value, str) and value.value not in FILTERS and value.value not in TESTS:
            named = Node(kind="name", at=value.at, end=value.end, text=value.value)
            yield from unknown(why.removeprefix("unknown "), named, known)
            return
    place = name
    for at in reversed(range(len(given))):
        before, after = texts[:at], texts[at + 1 :]
        if not (_refusal(use, (*before, (texts[at][0], ""), *after)) and _refusal(use, (*before, *after))):
            place = given[at]
            break
    yield finding(place, f"`{called}` fails like this: {why}", f"It is written `{called}({use.written})`.")


def _text(argument: Node, source: str) -> tuple[str, str]:
    """How an argument is introduced, and its value as it is written; that is empty where it may be anything."""
    value = argument.parts[0]
    before = f"{argument.text}=" if argument.text else ""
    return before, source[value.at : value.end] if value.is_literal else ""


@lru_cache(maxsize=2048)
def _refusal(use: Use, given: tuple[tuple[str, str], ...]) -> str:
    """What the engine says where it renders with none of the values; empty where it does with one, or may.

    Args:
        use: what is tried.
        given: each argument, as from `_text`.
    """
    tried, said = 0, ""
    for chosen in product(*([text] if text else _ARGUMENTS for _, text in given)):
        written = ", ".join(name + text for (name, _), text in zip(given, chosen, strict=True))
        for owner in use.owners:
            said, tried = _said(f"{use.before}{owner}{use.between}({written}){use.after}"), tried + 1
            if not said or tried > _MOST_TRIED:
                return ""
    return said


def _said(source: str) -> str:
    """What the engine says against a template; empty where it renders, or is too much work to try."""
    import minijinja

    data = {"object": show({"a": 1}, Meter()), "array": show(["a"], Meter())}
    try:
        environment(_FUEL).render_str(source, **data)
    except minijinja.TemplateError as error:
        if error.kind == "OutOfFuel":
            return ""
        return error.detail or error.message.partition(" (in ")[0]
    except Exception as error:
        return str(error)
    return ""
