"""What an author meant whose frontmatter is no YAML, loses words in it, or has a value of another type: a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runllm.diagnostics import clip, did_you_mean
from runllm.documents import DocumentError, Mark, Node

_LOOKED_AT = 200  # characters of a value
_SHOWN = 60
_LISTS = frozenset({"list", "array", "sequence", "set", "tuple"})


# --- values of another type -----------------------------------------------------------------------


def other_type(value: Any, wanted: str) -> str:
    """What to write where the frontmatter takes a value of the type `wanted` and has another; empty for what is far."""
    if wanted in ("number", "integer") and isinstance(value, str):
        pointed = value.strip().replace(",", ".", 1)
        if re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", pointed):
            return f"Write it without quotes: {pointed}." if "," not in value else f"Write it with a point: {pointed}."
        if bare := _without_unit(value, wanted):
            return f"Write the number alone: {bare}."
    if wanted == "array" and isinstance(value, str) and value.strip():
        items = [item.strip() for item in clip(value, _LOOKED_AT).split(",")]
        return f"Write a list: `[{clip(', '.join(filter(None, items)), _SHOWN)}]`."
    if wanted == "array" and isinstance(value, dict) and {"input", "output"} & value.keys():
        return "Write each pair as an entry of a list: `- {input: ..., output: ...}`."
    if wanted == "boolean" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return f"Write `{'true' if value.lower() in ('yes', 'on', 'true') else 'false'}`, without quotes."
    return ""


_UNITS = {
    "": 1, "k": 1000, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "min": 60, "mins": 60, "minute": 60,
    "minutes": 60, "$": 1, "usd": 1, "dollar": 1, "dollars": 1, "token": 1, "tokens": 1, "cent": 0.01, "cents": 0.01,
}  # fmt: skip


def _without_unit(text: str, wanted: str) -> str:
    """The number that a text says with a unit behind it or a currency before: `30s`, `8k`, `$0.10`; else empty."""
    found = re.fullmatch(r"(\$?) ?(\d{1,9}(?:[.,]\d{1,9})?) ?([a-z$]*)", text.strip().lower())
    if not found or found[3] not in _UNITS or not (found[1] or found[3]):
        return ""
    number = round(float(found[2].replace(",", ".")) * _UNITS[found[3]], 6)
    return str(int(number)) if number.is_integer() else "" if wanted == "integer" else str(number)


# --- keys of other tools ----------------------------------------------------------------------------

_BELOW = "The prompt stands below the second `---` line."
_RETURNS = "What the model answers is described under `returns`."
_INPUT = "What goes in is described under `input`."
_ELSEWHERE = {
    **dict.fromkeys(("system", "system_prompt", "systemPrompt", "instructions", "instruction", "role", "persona"),
                    "It stands below the second `---` line, under a line `<<<SYSTEM>>>`."),
    **dict.fromkeys(("prompt", "template", "user", "user_prompt", "messages", "body", "prompt_template"), _BELOW),
    **dict.fromkeys(("outputs", "result", "results", "response", "answer", "output_format", "output_type"), _RETURNS),
    **dict.fromkeys(("variables", "vars", "arguments", "args", "parameters", "input_variables"), _INPUT),
    **dict.fromkeys(("imports", "include", "includes", "depends_on", "dependencies", "tools"),
                    "Other apps that this one needs stand under `uses`."),
    **dict.fromkeys(("provider", "engine"), "It is a part of the model's name: `llm: openai/gpt-4o-mini`."),
    **dict.fromkeys(("options", "settings", "config", "model_params", "llm_config"),
                    "Parameters of the model stand under `llm_params`."),
}  # fmt: skip
"""Keys that other tools have at the top, and where the same stands here."""
_OF_A_CASE = dict.fromkeys(
    ("expect", "expected", "expects", "equals", "result", "returns", "want", "should_be"), "output"
)
"""Keys of a test in other tools, and which one it is here."""


def unknown(
    key: str, path: str, known: Sequence[str], inside: Mapping[str, Any], names: Mapping[str, Sequence[str]]
) -> str:
    """A hint for a key that is none.

    Args:
        key: it.
        path: where it stands, as a JSON Pointer.
        known: the keys that there are.
        inside: the keys of `llm` and of `llm_params`, by these names.
        names: the properties of the input and of the output, under `input` and `output`.
    """
    if hint := unseen(key):
        return hint
    hint = did_you_mean(key, known)
    if key.isdecimal():  # `{temperature: 0,2}`
        return f"Inside braces a comma ends a value: a number has a point, as `0.{key}`."
    if path == "/llm" and key in inside["llm_params"]:
        return "It is a model parameter: put it under `llm_params`."
    if path == "/llm_params":
        return hint or "What only one provider knows goes under `llm.provider_params`."
    if path.startswith("/tests/") and key in _OF_A_CASE:
        return f"Did you mean `{_OF_A_CASE[key]}`?"
    if path.startswith(("/tests/", "/examples/")):
        side = next((side for side in names if key in names[side] and side in known), "")
        return f"Put it under `{side}`: `{side}: {{{key}: ...}}`." if side else hint
    if path == "":
        place = next((name for name, keys in inside.items() if key in keys), "")
        hint = _ELSEWHERE.get(key) or f"{hint} Data of your own goes under `metadata`.".strip()
        return f"Put it under `{place}`." if place else hint
    return hint


def of_example(path: str, value: Any, names: Sequence[str]) -> str:
    """How an input of an example or a test is written that is no mapping; empty for another value."""
    if not re.fullmatch(r"/(?:examples|tests)/\d+/input", path) or not names or isinstance(value, dict | list):
        return ""
    return f"Write it with its name: `{{{names[0]}: {clip(str(value), _SHOWN)}}}`."


_ODD = "\u00a0\u1680\u2000-\u200f\u202f\u205f\u2060\u3000\ufeff"
_NAMES = {
    "\u00a0": "a no-break space", "\u202f": "a no-break space", "\u200b": "a space of no width",
    "\ufeff": "a byte order mark", "\u3000": "a wide space", "\u2060": "a sign that nobody sees",
}  # fmt: skip


def unseen(text: str) -> str:
    """A hint for a text with a blank in it that is none to a computer, or a sign that nobody sees; else empty."""
    found = re.search(f"[{_ODD}]", text)
    if not found:
        return ""
    what = _NAMES.get(found[0], "a sign that looks like a blank")
    return f"It holds {what} (U+{ord(found[0]):04X}): delete it, and type an ordinary blank where one is needed."


# --- what YAML cuts ----------------------------------------------------------------------------------

_CUT = re.compile(r"[ \t]+#(?=\w)(?![\w-]+:(?:\s|$))(.*)")


def cut(root: Node, lines: Sequence[str]) -> Iterator[tuple[Mark, str]]:
    """Texts that a ` #` cuts and that were probably meant whole: where the sign stands, and a hint.

    A comment begins with a blank behind its sign, or says what a key would: `#temperature: 0`.
    """
    for _, node in root.walk():
        mark, text = node.mark, node.value if isinstance(node.value, str) else ""
        line = lines[mark.line] if mark.line < len(lines) else ""
        if not line.startswith(text, mark.column) or not (text or node.value is None):
            continue  # in quotes, over several lines, or no text at all
        end = mark.column + len(text)
        found = _CUT.fullmatch(line, end)
        if found and (" " in text or found[1][:1].isdigit()):
            start = line.index("#", end)
            whole = f"{text}{line[end:]}".strip()
            if re.search(r"[{\[]", line[: mark.column]):  # what follows in the braces is cut as well
                whole = re.split(r"[,}\]]", whole)[0]
            yield Mark(mark.line, start, len(line) - start), f"Quote it: `{_quoted(clip(whole, _SHOWN))}`."


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text and "\\" not in text else "'" + text.replace("'", "''") + "'"


# --- what is no YAML -----------------------------------------------------------------------------

_CONTRACT = r"(?:input|returns)\s*:"
_QUOTED = r'(?<!\\)"([^"\n]{0,200}\{[{%][^"}\n]{0,200}[\[(|= ]"[^"}\n]{0,200}"[^"\n]{0,40})'
"""A template in double quotes that quotes something itself."""
_LAST_WORD = r"[\w-]{1,40}\Z"


def in_yaml(text: str, error: DocumentError) -> str:
    """A hint for a frontmatter that is no YAML; empty where `documents` says all there is."""
    lines = text.split("\n")[: error.mark.line + 1]
    return _in_contract(lines, error) or _in_line(lines, error)


def _in_contract(lines: Sequence[str], error: DocumentError) -> str:
    """For what only a short contract is written like, and for templates."""
    if quoted := next(filter(None, (re.search(_QUOTED, line) for line in reversed(lines[-2:]))), None):
        return f"Inside double quotes a `\"` ends the text: put single ones around it, `'{clip(quoted[1], _SHOWN)}'`."
    key = next((line for line in reversed(lines) if line[:1] not in ("", " ", "\t", "#", "}", "]")), "")
    if not lines or not re.match(_CONTRACT, key):
        return ""
    before, rest = lines[-1][: error.mark.column], lines[-1][error.mark.column :]
    if "',' or '" in error.message and rest.startswith("["):
        found = re.search(_LAST_WORD, before[-_SHOWN:])
        item = found[0] if found and found[0].lower() not in _LISTS else "string"
        return f'Inside braces and brackets a `[` begins a list: quote the type, `"{item}[]"`.'
    if rest.startswith(":") and re.search(r"[(\[]\s*default\Z", before, re.IGNORECASE):
        return "A default is written in `input_schema`; a description stands after a comma."
    if rest.startswith(":") and ": " in before:
        return "The description of a type stands after a comma; quote a type whose description contains `: `."
    if "block scalar" in error.message:
        return "An enum is written without quotes: `calm | upset`."
    return "A list is written `string[]`, the brackets behind." if before.endswith("[]") else ""


_NO_COLON = r"(\s*)([\w-]+)[ \u00a0]*(?:=|\uff1a|[ \u00a0])[ \u00a0]*(\S.*)"
_ENDED = r"'[^']*'\Z|\"[^\"]*\"\Z"
_IN_BRACES = r"[{\[][^{}\[\]]*\Z"


def _in_line(lines: Sequence[str], error: DocumentError) -> str:
    """For what is mistyped anywhere, where the line shows it, or the one before."""
    line, column = lines[-1] if lines else "", error.mark.column
    before, rest = line[:column], line[column:]
    if error.message == "a key must be a text" and before.endswith("{") and re.match(r"\{\s*[\w-]+\s*:", rest):
        return f"A mapping has one brace on each side: `{clip(rest.replace('}}', '}'), _SHOWN)}`."
    if "unknown escape" in error.message:
        return "Inside double quotes a backslash begins an escape: put single quotes around the text."
    if "cannot start any token" in error.message:
        return _no_token(before, rest)
    if "block scalar" in error.message and re.search(_ENDED, before.rstrip("| ")):
        return "Words to choose from are a list: `enum: [a, b]`."
    if "did not find expected" in error.message and (ended := re.search(_ENDED, before)) and rest[:1].isalnum():
        inside = re.split(r" *[,}\]]", rest)[0].rstrip("'\"")
        quote = "'" if ended[0][0] == '"' else '"'
        whole = clip(f"{ended[0][1:-1]}{ended[0][0]}{inside}", _SHOWN)
        return f"The quote in the text ends it: put the other quotes around all of it, `{quote}{whole}{quote}`."
    if "parsing a flow" in error.message and (opened := _opened(lines)):
        return opened
    previous = next((line for line in reversed(lines[:-1]) if line.strip() and line.lstrip()[:1] != "#"), "")
    lacking = re.fullmatch(_NO_COLON, previous)
    if "mapping values" in error.message and lacking and ": " not in previous and not lacking[3].endswith(":"):
        return f"In the line before, the colon is missing: `{clip(f'{lacking[2]}: {lacking[3]}', _SHOWN)}`."
    return ""


def _no_token(before: str, rest: str) -> str:
    """For a sign that no text begins with."""
    if rest.startswith("\t") and not before.strip():
        return "The line is indented with a tab: indent with spaces."
    if rest[:1] in ("|", ">"):
        return "A text of several lines does not stand in braces: quote it, or write the braces as lines, indented."
    if rest[:1] in ("@", "`", "%"):
        return f"Quote a text that starts with `{rest[0]}`." if rest[0] != "`" else "Quote a text that starts so."
    return ""


def _opened(lines: Sequence[str]) -> str:
    """For a brace or bracket that is not closed in its line."""
    for line in reversed(lines[:-1]):
        if not line.strip():
            continue
        said = line.partition(" #")[0]
        if not (found := re.search(_IN_BRACES, re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]", "", said))):
            return ""
        sign = found[0][0]
        if said != line:
            return (
                "In the line before, ` #` begins a comment, which takes the rest of the line with it: quote the text."
            )
        closing = "}" if sign == "{" else "]"
        return f"In the line before, the `{sign}` is not closed: put a `{closing}` behind what it holds."
    return ""
