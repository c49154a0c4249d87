"""A form in llama.cpp's own notation: what a pattern means stands in it, bounded, and in a JSON string's own letters."""

from __future__ import annotations

import pytest

from runllm.engines.local.bounding import bounded
from runllm.engines.local.gbnf import gbnf


def rules(**schema: object) -> str:
    whole = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return gbnf(bounded(whole, 300).form)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("^[A-Z]{2}-[0-9]+$", r'r0 ::= "\"" [\x41-\x5A]{2,2} "-" [\x30-\x39]{1,36} "\""'),
        (r"^(a|b\.)?$", r'r0 ::= "\"" ("a" | "b" "."){0,1} "\""'),
        (r'^"\\$', r'r0 ::= "\"" "\\\"" "\\\\" "\""'),
        (r'^[^x"]$', r'r0 ::= "\"" [\x20-\x21\x23-\x5B\x5D-\x77\x79-\x7E\U000000A0-\U0010FFFF] "\""'),
        (r"^\d\s\w$", r'r0 ::= "\"" [\x30-\x39] [\x20-\x20] [\x30-\x39\x41-\x5A\x5F-\x5F\x61-\x7A] "\""'),
        ("^é[à-ü]$", r'r0 ::= "\"" "\\u00e9" [\U000000E0-\U000000FC] "\""'),
    ],
)
def test_a_pattern_is_written_out(pattern, written):
    assert written in rules(type="string", pattern=pattern).replace(' "" ', " ")


def test_nothing_is_repeated_without_an_end_and_what_must_differ_is_kept_apart():
    text = rules(type="array", items={"enum": ["a", "b", "c"]}, uniqueItems=True, minItems=2)
    assert "*" not in text
    assert "+" not in text
    assert text.count('"\\"b\\""') > 1
    keys = gbnf(bounded({"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2}, 300).form)
    assert "*" not in keys


def test_multiples_are_listed():
    assert '"0" | "7" | "14"' in rules(type="integer", multipleOf=7, minimum=0)
