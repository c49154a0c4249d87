"""Braces of another language in a prompt: which language it is, and how the prompt shows them as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from runllm.diagnostics import clip
from runllm.template.lexer import comments, tags
from runllm.template.rewrites import rewrite
from runllm.template.signatures import Finding

MAX_CHANGES = 20
_LOOKED_BACK = 40
_LOOKED_AT = 300
_SHOWN = 40
_NUMBERS = ("integer", "number")
_OPENING = ("{{", "{%", "{#")
_GO = r"range|end|else|if|with|template|define|include|block|printf|len|and|or|not|eq|ne"
_LIQUID = (
    "assign|comment|unless|case|when|capture|liquid|render|layout|section|schema|form|paginate|tablerow|increment|cycle"
    "|highlight|post_url|link"
)
_DJANGO = (
    "load|url|csrf_token|static|trans|translate|blocktrans|blocktranslate|spaceless|widthratio|firstof|verbatim"
    "|ifequal|ifchanged|templatetag|now|lorem|regroup"
)
_BEHIND = {
    "GitHub Actions": r"\$$",
    "Blade": r"@$",
    "LaTeX": r"(?:\\[A-Za-z]+\*?(?:[\[{][^\]\n]*[\]}])?|[}\w)][\^_])$",
}
"""What stands before `{{`, where the tag reads nothing that a template has."""
_OWN = r"\b(?:input|uses|vars|run|errors|previous_output|attempt|output_schema|item|loop|context|output)\b"
_STATEMENT = (
    r"\{%[-+]?\s*(?:end)?(?:for|if|elif|else|set|macro|call|filter|with|block|raw|do|include|import|from|extends"
    r"|autoescape)\b"
)
_LOOKS = {
    "a length in bash": r"\$\{#",
    "Svelte": r"\{#(?:if|each|await|key|snippet)\b",
    "an identifier of Pandoc or a parameter of TeX": r"\{#[^\s#{}]+\}",
    "a comment of LaTeX": r"\{%[ \t]*(?:\n|$)",
    "LaTeX": r"\{[{%][^{}\n]*\\[A-Za-z]",
    "Blade": r"\{\{--",
    "Handlebars or Mustache": r"\{\{[~-]?\s*[#/^>&]|\{\{!|\{\{\{|\{\{\s*else\s*\}\}",
    "Liquid": rf"\{{%-?\s*(?:end)?(?:{_LIQUID})\b|\{{\{{[^{{}}\n]*\|\s*\w+\s*:",
    "Django": rf"\{{%-?\s*(?:end)?(?:{_DJANGO})\b",
    "a template of Go": rf"\{{\{{-?\s*(?:\.|/\*|\$\w*\s*:?=|(?:{_GO})\b(?:\s+[.$(\"]|\s*-?\}}\}}))",
    "JSON": r"\{\{\s*(?:\"[^\"\n]*\"|'[^'\n]*')\s*:",
    "JavaScript": r"\{\{[^{}\n]*(?:&&|\|\||===|!==|=>|\?|`|!\w|\$)|\{\{\s*\w+\s*:",
    "a list of C": r"\{\{[^{}()\[\]\n]*,[^{}\n]*\}",
}


def _taken_for(source: str, offset: int) -> tuple[str, str]:
    """The language that the tag around an offset looks like, empty where none, and the tag."""
    first = max(0, offset - _LOOKED_AT)
    start = max(source.rfind(sign, first, offset + 2) for sign in _OPENING)
    while start > first and source[start - 1] == "{":
        start -= 1
    if start < 0:
        return "", ""
    end = source.find("}", start, start + _LOOKED_AT)
    while 0 <= end < start + _LOOKED_AT and source[end + 1 : end + 2] == "}":
        end += 1
    tag = source[start : end + 1 if end >= 0 else start + _LOOKED_AT]
    if source[start - 1 : start] == "$" and tag.startswith("{#"):
        tag = f"${tag}"
    for language, looks in _LOOKS.items():
        if re.match(looks, tag):
            return language, tag
    if re.search(_OWN, tag) or not tag.startswith("{{"):
        return "", tag
    before = source[max(0, start - _LOOKED_BACK) : start]
    return next((language for language, looks in _BEHIND.items() if re.search(looks, before)), ""), tag


def explained(source: str, found: Iterable[Finding]) -> list[Finding]:
    """What is wrong with a prompt, with the way out of other languages, and what it silently changes of them."""
    told = [replace(finding, hint=_way_out(source, finding)) for finding in found]
    return sorted([*told, *islice(_changed(source), MAX_CHANGES)], key=lambda finding: finding.offset)


def _changed(source: str) -> Iterator[Finding]:
    """Warnings of what is hardly meant for a template, and is one: comments, and numbers in braces."""
    told = "this begins a comment of the template: what stands up to the next `#}` is left out of the prompt"
    places = [(start, told) for start in comments(source)]
    alone = [tag for tag in tags(source) if tag.output and [token.kind in _NUMBERS for token in tag.tokens] == [True]]
    places += [(tag.start, "this writes the number alone, without the braces") for tag in alone]
    for start, message in places:
        if _taken_for(source, start)[0]:
            doubt = Finding(offset=start, length=2, message=message, severity="warning")
            yield replace(doubt, hint=_way_out(source, doubt))


def _way_out(source: str, finding: Finding) -> str:
    """The hint of a finding and, where its tag looks like another language, how the prompt shows that."""
    language, tag = _taken_for(source, finding.offset)
    if meant := rewrite(source, finding):
        if not tag or re.search(_OWN, tag) or re.match(_STATEMENT, tag) or not finding.unread:
            return meant
        finding = replace(finding, hint=meant)
    if language == "JSON":
        return f"{finding.hint} Braces of JSON are not doubled in a prompt: write `{{` and `}}`.".strip()
    is_own = not tag or not finding.unread or re.search(_OWN, tag) or re.match(_STATEMENT, tag)
    if not language and is_own:
        return finding.hint
    shown = clip(tag.partition("\n")[0], _SHOWN)
    said = f"This looks like {language}: where" if language else "Where"
    return f"{finding.hint} {said} the prompt itself shows it, write `{{% raw %}}{shown}{{% endraw %}}`.".strip()
