"""What Jinja writes where a template has words or signs of another language: `and` for `&&`, `elif` for `else if`."""

# ruff: noqa: E501 - tables, a row a line

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from runllm.diagnostics import clip
from runllm.template.lexer import tags
from runllm.template.signatures import FILTERS, Finding

_LOOKED_AT = 300
_SHOWN = 60
_AROUND = 2  # characters beside a sign in which the engine may stop
_OPENING = re.compile(r"\{[{%]")
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'"
_BLOCKS = frozenset({"for", "if", "set", "macro", "call", "filter", "with", "block", "raw", "autoescape"})
_IN_IF = frozenset({"else", "elif"})
_STATEMENTS = (
    r"set|if|elif|else|for|macro|call|with|block|filter|endif|endfor|endset|endmacro|endwith|endblock|endfilter"
)

_FORM = "Write `'%.2f' | format(x)`."
_ABSENT = "What may be absent is nothing in a text."
_CONDITION = '`"a" if x else "b"`'
_BEGINS: Mapping[str, str] = {
    r"\{%[-+]?\s*else\s*if\b|\{%[-+]?\s*(?:elseif|elsif)\b": "Write `{% elif ... %}`.",
    rf"\{{\{{[-+~]?\s*(?:{_STATEMENTS})\b(?!\s*[.|(\[])": "A statement stands between `{%` and `%}`: `{% if x %}`, `{% set x = 1 %}`, `{% endif %}`.",
    r"\{%[-+]?\s*for\s*each\b": "Write `{% for x in xs %}` and `{% endfor %}`.",
    r"\{%[-+]?\s*(?:while|do|until|loop|repeat)\b": "There are loops over lists alone: `{% for x in input.list %}`; a `pre` block can do more.",
    r"\{%[-+]?\s*(?:switch|case|match)\b": 'Write `{% if x == "a" %}`, `{% elif x == "b" %}`, `{% else %}`, `{% endif %}`.',
    r"\{%[-+]?\s*unless\b": "Write `{% if not x %}` and `{% endif %}`.",
    r"\{%[-+]?\s*(?:let|var|const|assign|local|my|def)\b|\{%[-+]?\s*\w+\s*[-+*/]?=(?!=)": "Write `{% set name = value %}`.",
    r"\{%[-+]?\s*set\s+\w+\s*[-+*/.~]=": "Write `{% set n = n + 1 %}`.",
    r"\{%[-+]?\s*(?:print|echo|write|puts|output|return)\b|\{%[-+]?=": "A value is written between `{{` and `}}`: `{{ input.text }}`.",
    r"\{%[-+]?\s*(?:IF|ELSE|ELIF|FOR|SET|END\w+|If|Else|Elif|For|Set|End\w+)\b": "Statements are written in small letters: `{% if x %}`.",
    r"\{\{%": "A statement has one brace on each side: `{% for x in xs %}`.",
    r"\{%[-+]?\s*for\s*\(": "Write it without brackets: `{% for x in xs %}`.",
    r"\{%[-+]?\s*for\s+\w+\s+(?:of|from|:|->|=)\s*": "Write `{% for x in xs %}`; numbers are `range(1, 4)`.",
}  # fmt: skip
"""What a whole tag begins with, as a pattern, and what to write."""

_SIGNS: Mapping[str, str] = {
    r"[\u201c-\u201f\u2018-\u201b«»]": 'Write straight quotes: `"text"`.',
    r"&&?": "Write `and`.",
    r"\|\|": 'Write `or`; for what may be absent, `x | default("none")`.',
    r"!==?(?==)|!==": "Write `!=`.",
    r"===": "Write `==`.",
    r"<>": "Write `!=`.",
    r"=~|!~": 'A part of a text is asked for with `"part" in x`; patterns are for a Python block.',
    r"=>(?=\s*-?\d)": "Write `>=`.",
    r"=<": "Write `<=`.",
    r"=>|\blambda\b": "There are no functions to write here: use a filter, `xs | map(attribute='name')`, or a `for`.",
    r"!(?!=)": "Write `not x`.",
    r"\?\?|\?:": f'Write `x | default("none")`. {_ABSENT}',
    r"\?\.|\?\[": "Write `.` alone: what is absent is nothing, and so is each step from it.",
    r"\?": f"Write {_CONDITION}.",
    r"\+\+|--|[-+*/]=": "Write `{% set n = n + 1 %}`, in a tag of its own.",
    r"->|::": "A property is read with `.`: `input.text`.",
    r"[$@](?=\w)": "Names have no sign before them: `input.text`.",
    r"`|\bf(?=[\"'])": 'Texts are joined with `~`: `"a " ~ input.text`.',
    r";": "Take the `;` out.",
    r"\^": "A power is written `**`.",
    r"\b(?:AND|OR|NOT|IN|IS)\b": "Write it in small letters: `and`, `or`, `not`, `in`, `is`.",
    r"\b(?:eq|equals|ne|gt|lt|ge|le|gte|lte)\s": "Values are compared with `==`, `!=`, `>`, `<`, `>=`, `<=`.",
    r"\bis\s+(?:not\s+)?(?=[\"'0-9\[])": "Values are compared with `==` and `!=`; `is` is for tests, as in `x is defined`.",
    r"\bcontains\b|\bincludes\b": 'Write `"part" in x`.',
    r"\|\s*\w+\s*:": 'What a filter is given stands in brackets: `x | default("none")`.',
    r"\|\s*\w+\s+(?=[\"'\d])": 'What a filter is given stands in brackets: `xs | join(", ")`.',
    r"\[.*\bfor\s.*|\(.*\bfor\s.*": "Lists are not built so: use `xs | map(attribute='name')`, `xs | select(...)` or a `{% for %}`.",
    r":\s*[-+]?%\}": "Take the `:` out.",
    r":\s*[-+,_ 0<>^]?\d*\.?\d*[dfegs%]?\s*\}\}": _FORM,
    r"\{\s*[-+]?%\}": "Take the `{` out: a block ends with `{% endif %}` or `{% endfor %}`.",
    r"(?<![=!<>])=(?!=)": "Values are compared with `==`; `=` is for `{% set x = 1 %}`.",
    r",": "One tag writes one value: `{{ a }} {{ b }}`, or `{{ a ~ b }}`.",
}  # fmt: skip
"""Signs that the engine stops at, in this order, and what to write."""

_DATE = "A date is a text, as `2026-11-30`: its year is `x[:4]`, its month `x[5:7]`, its day `x[8:10]`."
_IN_BLOCK = "There is none here: a `pre` block can make it."
_NOTHING = "Nothing is `none`: `x is none`, or `x is not defined` for what is absent; `{% if x %}` asks for both."
_EMPTY = "Write `{% if x %}`, or `{% if not x %}` for one that is empty or absent."
_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("null", "nil", "undefined", "NULL", "Null", "NONE", "nothing"), _NOTHING),
    **dict.fromkeys(("TRUE", "FALSE", "YES", "NO"), "Write `true` or `false`."),
    **dict.fromkeys(("now", "today", "date", "datetime"), "The day of the run is `{{ run.date }}`, the time `{{ run.time }}`."),
    **dict.fromkeys(("enumerate", "index", "forloop"), "Within a loop the number is `loop.index`, from 1, or `loop.index0`."),
    **dict.fromkeys(("JSON", "json"), "Write `x | tojson`."),
    **dict.fromkeys(("env", "ENV", "environ", "os"), "A template reads no environment: what it is to know is an input."),
    **dict.fromkeys(("defined", "exists", "isset", "empty"), "Write `x is defined`, or `{% if x %}`."),
    **dict.fromkeys(("print", "echo"), "A value is written so: `{{ x }}`."),
}  # fmt: skip
"""Names of other languages, where there is no such name or function."""
_FILTER_OF: Mapping[str, str] = {
    **dict.fromkeys(("len", "length", "size", "count", "strlen"), "length"),
    **dict.fromkeys(("str", "toString", "to_s", "String"), "string"),
    **dict.fromkeys(("sorted", "sort"), "sort"),
    **dict.fromkeys(("reversed", "reverse"), "reverse"),
    **dict.fromkeys(("dumps", "stringify", "to_json", "toJSON"), "tojson"),
    **dict.fromkeys(("toUpperCase", "upcase", "uppercase", "toUpper"), "upper"),
    **dict.fromkeys(("toLowerCase", "downcase", "lowercase", "toLower"), "lower"),
    **dict.fromkeys(("strip", "trim"), "trim"),
    **dict.fromkeys(("uniq", "distinct"), "unique"),
    **dict.fromkeys(("dump", "pprint", "to_yaml", "inspect"), "tojson"),
    "filter": "select",
    "parseInt": "int",
    "parseFloat": "float",
    "capitalise": "capitalize",
}
_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("includes", "contains", "has", "include", "indexOf"), 'Write `"part" in x`.'),
    **dict.fromkeys(("push", "append", "add", "concat", "extend"), "A list is not changed: write `xs + [x]`."),
    **dict.fromkeys(("entries", "iteritems", "each"), "Write `{% for name, value in x.items() %}`."),
    **dict.fromkeys(("substring", "substr"), "Write `x[:100]`."),
    **dict.fromkeys(("number_format", "toFixed", "currency", "toLocaleString"), _FORM),
    **dict.fromkeys(("date", "strftime", "date_format", "year", "month", "day", "isoformat"), _DATE),
    **dict.fromkeys(
        ("md5", "sha256", "hash", "b64encode", "b64decode", "base64", "regex_replace", "markdown"), _IN_BLOCK
    ),
    **dict.fromkeys(("nl2br", "newline_to_br"), "Line ends stay as they are: take it out."),
    **dict.fromkeys(("wordcount", "word_count", "number_of_words"), "Write `x | split | length`."),
    **dict.fromkeys(("yesno", "ternary", "iif"), f"Write {_CONDITION}."),
}
"""Methods and filters of other languages that are no filter here, and what to write."""
_TESTS: Mapping[str, str] = {
    **dict.fromkeys(("null", "nil", "None", "Null", "NULL"), "Write `x is none`; for what is absent, `x is not defined`."),
    **dict.fromkeys(("empty", "blank"), _EMPTY),
    **dict.fromkeys(("present", "set", "exists"), "Write `x is defined`, or `{% if x %}` for one that is not empty either."),
    **dict.fromkeys(("list", "array"), "Write `x is sequence`; a text is one, too: `x is not string`."),
    **dict.fromkeys(("dict", "object", "map"), "Write `x is mapping`."),
    **dict.fromkeys(("str", "text"), "Write `x is string`."),
    **dict.fromkeys(("bool",), "Write `x is boolean`."),
}  # fmt: skip

_TWO = 'Values are joined with `~`: `{{ a ~ b }}`. A text that holds a quote stands in the other ones: `"it\'s"`.'
_STOPPED: Mapping[str, str] = {
    **{
        f"unexpected {what}, expected end of variable block": _TWO
        for what in ("identifier", "string", "integer", "float")
    },
    "unexpected `}`": "Something is missing before it, such as a `)`.",
    "unexpected `}`, expected end of block": "Close it with `%}`.",
    "unexpected `==`, expected assignment operator": "Write one `=`: `{% set x = 1 %}`.",
    "unexpected `}`, expected `]`": "Close the `[` with `]`.",
    "unexpected `}`, expected `)`": "Close the `(` with `)`.",
    "unexpected `}`, expected `,`": "Close the `(` with `)`, and the `[` with `]`.",
    **dict.fromkeys(
        ("unexpected `}`, expected `:`", "unknown `{`, expected statement"),
        "Within a tag names stand without braces of their own: `{% if input.x %}`, `{{ input.x }}`.",
    ),
    "unexpected end of comment": "Close it with `#}`.",
    "unexpected end of raw block": "Close it with `{% endraw %}`.",
    "unexpected end of string": "Close the text with the quote that it begins with.",
    "unknown end of block, expected statement": "Take it out.",
    "unexpected end of block, expected in": "Write `{% for x in xs %}`.",
    "unexpected end of variable block, expected identifier": "Something is missing before `}}`.",
    "unexpected end of variable block, expected identifier or integer": "Something is missing before `}}`.",
    "unexpected end of variable block": "Something is missing before `}}`.",
    "unexpected end of block": "Something is missing before `%}`.",
}
"""Where the engine stopped at nothing that another language writes."""


def rewrite(source: str, finding: Finding) -> str:
    """What to write instead of what a finding marks, if another language writes it so; else empty."""
    word = source[finding.offset : finding.offset + finding.length]
    if finding.message.startswith("there is no test "):
        name = word.strip("\"'")  # of `is name`, and of `select("name")`
        said = f'Values are compared with `==`; a text stands in quotes: `x == "{clip(name, _SHOWN)}"`.'
        return _TESTS.get(name, said)
    if finding.message.startswith("there is no ") or " has no " in finding.message:
        return _name(source, finding.offset, word) or (_whole_tag(source, finding.offset) if finding.unread else "")
    if finding.unread and not finding.hint:
        return _unclosed(source, finding) or _sign(source, finding.offset) or _STOPPED.get(finding.message, "")
    return ""


def _name(source: str, offset: int, word: str) -> str:
    """What to write for a name that is none here: a filter for what is a property, method or function elsewhere."""
    before, after = source[max(0, offset - _LOOKED_AT) : offset], source[offset + len(word) :][:_LOOKED_AT]
    name = _FILTER_OF.get(word, word)
    if word[:1] in "\"'" and re.search(r"\bmap\(\s*$", before):
        return f"Write `map(attribute={clip(word, _SHOWN)})`."
    if word == "format" and before.endswith("."):
        return _FORM
    if name not in FILTERS:
        is_used = before.endswith(".") or before.rstrip().endswith("|")
        if is_used:
            return _INSTEAD.get(word, "")
        is_compared = re.search(r"[=!]=\s*$", before) or re.match(r"\s*[=!]=", after)
        quoted = f'A text stands in quotes: `"{clip(word, _SHOWN)}"`.' if is_compared and word.isidentifier() else ""
        return _NAMES.get(word, quoted)
    if before.rstrip().endswith("|"):
        return f"Write `| {name}`."
    given = "(...)" if name in ("join", "replace", "select", "map", "split") else ""
    if before.endswith("."):
        found = re.search(r"[\w.\[\]\"']+(?=\.$)", before)
    else:
        found = re.match(r"\(\s*([\w.\[\]\"']+)\s*[,)]", after)
        if not after.startswith("("):
            return _NAMES.get(word, "")
    return f"Write `{found[found.lastindex or 0] if found else 'x'} | {name}{given}`."


def _whole_tag(source: str, offset: int) -> str:
    """What to write for the tag around an offset, by what it begins with."""
    tag = _tag(source, offset)[1]
    return next((hint for looks, hint in _BEGINS.items() if re.match(looks, tag)), "")


def _sign(source: str, offset: int) -> str:
    """What to write for the sign at which the engine stopped, or for the whole tag around it."""
    if told := _whole_tag(source, offset):
        return told
    start, tag = _tag(source, offset)
    at = offset - start
    for looks, hint in _SIGNS.items():
        for found in re.finditer(looks, tag):
            if found.start() - _AROUND <= at <= found.end() + _AROUND:
                return hint
    return ""


def _tag(source: str, offset: int) -> tuple[int, str]:
    """Where the tag around an offset begins, and it with its texts blanked; nothing where there is none."""
    first = max(0, offset - _LOOKED_AT)
    starts = [found.start() for found in _OPENING.finditer(source, first, offset + 2)]
    if not starts:
        return 0, ""
    closing = "}}" if source[starts[-1] + 1] == "{" else "%}"
    end = source.find(closing, starts[-1], starts[-1] + _LOOKED_AT)
    tag = source[starts[-1] : end + 2 if end >= 0 else starts[-1] + _LOOKED_AT].partition("\n\n")[0]
    return starts[-1], re.sub(_QUOTED, lambda text: text[0][0] + "_" * (len(text[0]) - 2) + text[0][-1], tag)


# --- blocks that are not closed as they were opened ------------------------------------------------


def _unclosed(source: str, finding: Finding) -> str:
    """What closes the block that is open where the engine stopped."""
    word = finding.message.removeprefix("unknown statement ")
    ends = word.startswith("end") or word in _IN_IF
    at_end = finding.message.startswith("unexpected end of input")
    if at_end and "variable block" in finding.message:
        return "Close it with `}}`."
    if finding.message.startswith("unexpected `}`, expected end of variable"):
        return "Close it with `}}`."
    if not (at_end or (ends and word != finding.message)):
        return ""
    open_blocks = list(_open(source, finding.offset if not at_end else len(source)))
    if not open_blocks:
        return (
            f"No block is open here that `{{% {clip(word, _SHOWN)} %}}` belongs to: take it out."
            if ends and not at_end
            else ""
        )
    name, line = open_blocks[-1]
    if word in _IN_IF and name == "if":
        return "An `else` stands before it, which is the last branch: take one of them out."
    what = f"the `{{% {name} %}}` of line {line} of this section" if line > 1 else f"the `{{% {name} %}}`"
    return f"What is open is {what}: close it with `{{% end{name} %}}`."


def _open(source: str, until: int) -> Iterator[tuple[str, int]]:
    """The blocks that are open at an offset, the outer ones first: the word of each, and its line."""
    found: list[tuple[str, int]] = []
    for tag in tags(source):
        if tag.start >= until or not tag.closed:
            break
        if tag.keyword in _BLOCKS and not (tag.keyword == "set" and any(token.text == "=" for token in tag.tokens)):
            found.append((tag.keyword, source.count("\n", 0, tag.start) + 1))
        elif tag.keyword.startswith("end") and found and tag.keyword == f"end{found[-1][0]}":
            found.pop()
    yield from found
