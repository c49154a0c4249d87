"""What the sandbox runs otherwise than Python: the table is what both give today, and validate finds each of it."""

import random

import pytest

pytest.importorskip("pydantic_monty")

from tools.gen_docs import in_python, in_sandbox

from runllm.blocks import BlockFailure, Limits, Sandbox
from runllm.blocks.check import check
from runllm.blocks.differs import DIFFERENCES, RARE, Difference

IMPORTS = "import json, re\nimport datetime as dt\nfrom datetime import datetime, timedelta\n"
NAMES = {
    "text": {"type": "string"},
    "words": {"type": "array", "items": {"type": "string"}},
    "hours": {"type": "number"},
    "count": {"type": "integer"},
}


def found(code, name="block"):
    """The differences that validate names in `code`, each with its place in it."""
    known = {one.message: key for key, one in DIFFERENCES.items()}
    findings = check(IMPORTS + code, NAMES, {}, name=name)
    return [
        (known[finding.message], finding.line - IMPORTS.count("\n"), finding.column)
        for finding in findings
        if finding.message in known
    ]


def kinds(code):
    return sorted({key for key, _, _ in found(code)})


@pytest.mark.parametrize("one", [*DIFFERENCES.values(), *RARE.values()], ids=[*DIFFERENCES, *RARE])
def test_each_row_differs_and_what_is_to_be_written_instead_does_not(one: Difference):
    assert in_python(one.code) != in_sandbox(one.code)
    assert in_python(one.instead) == in_sandbox(one.instead)


@pytest.mark.parametrize("key", DIFFERENCES)
def test_validate_warns_of_each_row_and_is_content_with_what_is_written_instead(key):
    one = DIFFERENCES[key]
    code = one.code if "\n" in one.code else f"r = {one.code}"
    assert key in kinds(code)
    assert all(
        finding.severity == "warning" for finding in check(IMPORTS + code, {}, {}, name="x") if finding.hint == one.hint
    )
    assert kinds(f"r = {one.instead}") == []


WRITTEN = [
    (r're.match(r"^\d{4}-\d\d$", text)', ["end"]),
    ((r'p = re.compile(r"\d+$")' "\nr = p.match(text)"), ["end"]),
    (r'r = re.compile(r"a\Z").search(text)', ["last end"]),
    ('P = "^" + re.escape(text) + "$"\nr = re.search(P, text)', ["end"]),
    (r'r = [p for p in (r"a$", r"b") if re.search(p, text)]', ["end"]),
    (r'r = re.search(rf"\b{re.escape(text)}$", text)', ["end"]),
    ((r'from re import search as find' "\n" r'r = find(r"a$", text)'), ["end"]),
    ((r'import re as rx' "\n" r'r = rx.search(r"a$", text)'), ["end"]),
    (r'r = re.sub(pattern=r"a$", repl="", string=text)', ["end"]),
    (r're.findall(r"[\w.-]+@\w+", text)', ["word"]),
    (r're.sub(r"[^\W\d]", "", text)', ["word"]),
    (r're.split(r"\s*", text)', ["empty"]),
    (r're.findall(r"\d*|x", text)', ["empty"]),
    (r'[m for m in re.finditer("(?:a?b?)", text)]', ["empty"]),
    ((r'p = re.compile("x*")' "\nr = p.sub('', text)"), ["empty"]),
    (r're.findall(r"[[:alpha:]]+", text)', ["class"]),
    (r're.findall(r"[a-z--b]+", text)', ["class"]),
    (r're.findall(r"[[(]", text)', ["class"]),
    (r're.sub("a", r"x\ty", text)', ["replacement"]),
    ((r'p = re.compile("a")' "\nr = p.sub(r'\\n', text)"), ["replacement"]),
    ((r'SPACE = r"\n"' '\nr = re.sub("a", SPACE, text)'), ["replacement"]),
    (r're.findall("a", text, re.ASCII)', ["ascii"]),
    ("', '.join(set(words))", ["set order"]),
    ("seen = {w.lower() for w in words}\nr = list(seen)", ["set order"]),
    ("r = [w for w in set(words) | {'a'}]", ["set order"]),
    ("r = []\nfor w in set(words).union(['a']):\n    r.append(w)", ["set order"]),
    ("r = f'{set(words)}'", ["set order"]),
    ("r = [*set(words)]", ["set order"]),
    ("r = set(words).pop()", ["set order"]),
    ("r = {0: 'a', False: 'b'}", ["equal keys"]),
    ("w = (x for x in words)\nr = [list(w), list(w)]", ["twice"]),
    ("w = filter(None, words)\nr = 'none' if not w else 'some'", ["twice"]),
    ("pairs = zip(words, words)\nfor a in pairs:\n    r = a\nfor b in pairs:\n    r = b", ["twice"]),
    ("r = getattr(text, 'lower')", ["attribute"]),
    ("class Bag:\n    def __bool__(self):\n        return False", ["truth"]),
    ("class Bag:\n    def __le__(self, other):\n        return False", ["compared"]),
    ("r = dt.datetime.strptime(text, '%m/%d/%y')", ["short year"]),
    ("r = datetime.strptime(text, '%Y-%m')", ["no whole date"]),
    ("r = datetime.strptime(text, '%Y-%m-%d %I %p')", ["hour alone"]),
    ("r = timedelta(days=count / 2)", ["fraction"]),
    ("r = timedelta(hours=hours)", ["fraction"]),
    ("r = dt.timedelta(hours=float(text))", ["fraction"]),
    ("day = timedelta(days=1)\nr = 0.5 * day", ["fraction of a time"]),
    ("r = dt.date.fromisoformat('20240101')", ["short iso"]),
    ("r = ''\ntry:\n    int(text)\nexcept ValueError as e:\n    if 'literal' in str(e):\n        r = 'no'", ["error text"]),
    ("r = ''\ntry:\n    assert text\nexcept AssertionError as e:\n    r = f'{e}'", ["asserted"]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "wanted"), WRITTEN)
def test_a_difference_is_found_however_it_is_written(code, wanted):
    assert kinds(code) == wanted


ALIKE = [
    r're.fullmatch(r"\d+$", text)', r're.findall(r"^a$", text, re.M)', r're.findall(r"(?m)^a$", text)',
    r're.sub(r"^\s+|\s+$", "", text)', r're.search(r"a$(?!\n)", text)', r're.search(r"\$5", text)', r're.search("[$]", text)',
    r're.sub(r"(a)(b)", r"\2\1\g<1>", text)', r're.sub("a", "\n", text)', r're.sub("a", r"\\n", text)',
    r're.split(r"\n\s*\n", text)', r're.sub(r"\b", "|", text)', r're.split(r"(?=[A-Z])", text)', r're.match("x*", text)',
    r're.search(r"[\[\]&]", text)', r're.search(r"[a-z-]", text)', r're.search(r"\\w", text)',
    "sorted(set(words))", "len(set(words))", "'a' in set(words)", "sum(len(w) for w in set(words))", "any(w for w in {'a'})",
    "{w for w in set(words)}", "sorted(w.lower() for w in set(words))", "sorted(map(len, set(words)))",
    "list(dict.fromkeys(words))", "{1: 'a', 2: 'b'}", "{'1': 1, 'true': 2}", "list(map(len, words))",
    "timedelta(hours=count)", "timedelta(minutes=90) * 2", "timedelta(hours=1) / 2", "timedelta(hours=int(hours))",
    "datetime.strptime(text, '%d.%m.%Y %H:%M')", "datetime.strptime(text, '%Y-%j')", "datetime.fromisoformat('2024-01-01')",
    "hasattr(text, 'x')", "round(hours, 2)", "text.split('$')", "'x*'.replace('*', '')", "words.pop()", "text.upper()",
]  # fmt: skip


@pytest.mark.parametrize("code", ALIKE)
def test_what_both_run_alike_is_not_warned_of(code):
    assert kinds(f"r = {code}") == []


def test_a_block_that_goes_in_circles_or_is_large_is_checked_in_no_time():
    assert kinds("a = a | b\nb = b | a\nr = list(a)\nr = re.sub('x*', '', text)") == ["empty"]
    doubled = "\n".join(f"s{n} = s{n + 1} | s{n + 1}" for n in reversed(range(60)))
    assert kinds(f"s60 = set(words)\n{doubled}\nr = list(s0)") == ["set order"]
    assert kinds("r = re.findall('" + "(?:|)" * 400 + "x', text)") == []


def test_the_warning_is_at_the_pattern():
    assert found('r = text\nr = re.sub("x*", "-", r)') == [("empty", 2, 12)]


def test_errors_are_told_before_warnings_where_there_are_many():
    many = "\n".join('r = re.sub("x*", "-", text)' for _ in range(40))
    findings = check(f"{IMPORTS}{many}\nr = text.translate({{}})", NAMES, {}, name="x")
    assert any(finding.severity == "error" for finding in findings)


@pytest.mark.parametrize(
    ("code", "lacking"),
    [
        ("hours.is_integer()", "is_integer"),
        ("count.bit_length()", "bit_length"),
        ("datetime(2024, 1, 1).isocalendar()", "isocalendar"),
        ("datetime.fromtimestamp(0)", "fromtimestamp"),
        ("re.compile('a').subn('b', text)", "subn"),
        ("re.search('(a)', text).lastindex", "lastindex"),
    ],
)
def test_a_method_that_the_sandbox_lacks_is_an_error(code, lacking):
    findings = check(f"{IMPORTS}r = {code}", NAMES, {}, name="x")
    assert any(f"has no `{lacking}`" in finding.message and finding.severity == "error" for finding in findings)


# --- round ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as one:
        yield one


def rounded(sandbox, numbers, digits):
    limits = Limits(timeout=20, memory=256 << 20)
    return sandbox.run(f"r = [round(x, {digits}) for x in numbers]", {"numbers": numbers}, ["r"], limits=limits).values[
        "r"
    ]


def test_round_is_pythons():
    with Sandbox() as sandbox:
        assert rounded(sandbox, [2.675, 1.15, 2.5, -0.995, 1e22, 0.0], 2) == [2.67, 1.15, 2.5, -0.99, 1e22, 0.0]
        assert rounded(sandbox, [508573.0, 250.0, 250.00001, 350.0, -1250.0], -2) == [
            508600.0,
            200.0,
            300.0,
            400.0,
            -1200.0,
        ]
        assert rounded(sandbox, [2.5, 3.5, 7], None) == [2, 4, 7]


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.soak)])
def test_round_is_pythons_of_any_number(sandbox, count):
    chance = random.Random(17)  # noqa: S311 - no secret
    makers = [
        lambda: chance.uniform(-1000, 1000),
        lambda: chance.gauss(0, 1) * 10.0 ** chance.randrange(-20, 300),
        lambda: chance.randrange(-1000, 1000) / chance.choice([2, 4, 8, 10, 100, 1000]),
        lambda: float(chance.randrange(-(10**6), 10**6)),
    ]
    for digits in (None, -300, -16, -5, -2, -1, 0, 1, 2, 3, 10, 17, 25, 350, 500):
        numbers = [chance.choice(makers)() for _ in range(count)]
        assert rounded(sandbox, numbers, digits) == [round(number, digits) for number in numbers]


def test_round_works_however_a_block_names_things(sandbox):
    block = "type = float = int = isinstance = 'x'\nr = [round(2.675, 2), round(number=1.25, ndigits=1), list(map(round, [2.5]))]"
    assert sandbox.run(block, {}, ["r"]).values["r"] == [2.67, 1.2, [2]]
    assert sandbox.run("def round(x): return 5\nr = round(2.3)", {}, ["r"]).values["r"] == 5
    assert sandbox.run("r = round + 1", {"round": 2}, ["r"]).values["r"] == 3


def test_a_failure_within_round_is_at_the_line_that_calls_it(sandbox):
    with pytest.raises(BlockFailure, match="TypeError") as failed:
        sandbox.run("\n\nround('a', 2)\n", {}, [])
    assert failed.value.line == 3
