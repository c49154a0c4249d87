"""Check the frontmatter against its one definition, and for what no schema can say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runllm._version import __version__
from runllm.diagnostics import Problem, Span, errors_in, nearest, pointer, steps
from runllm.documents import Mark
from runllm.parser.frontmatter import Frontmatter
from runllm.redaction import looks_secret
from runllm.schema import Contract, Schema, declared_properties, resolve, schema_problems, stated
from runllm.values import record

if TYPE_CHECKING:
    from runllm.parser.short import Expanded

FORMATS = ("0.1", "0.2")
"""The versions of the format that are read, the newest last; a file that names none may use all of it."""

_LIKE_A_KEY = r"(?i)(?:^|[_-])(?:api[_-]?key|secret|secret[_-]?key|password|access[_-]?token|auth[_-]?token)$"
# Beside the names that LiteLLM's own source gives: what is named like these says where a call goes, or as whom.
_STEERING = (  # compiled for those who set such parameters
    r"(?i)(?:^|_)(?:url|uri|base|host|domain|endpoint(?:_(?:id|format))?|credentials?|(?<!prompt_cache_)key|key_file"
    r"|apikey|token|secret|username|password|jwt|signer|region|location|proxy|headers?|user_agent|callbacks?|loggers?"
    r"|(?:account|tenant|workspace|project|org|organization|deployment|space|instance|bucket_owner)(?:_?id)?)$"
    r"|^(?:_|aws|azure|vertex|sagemaker|watsonx|oci|databricks|litellm|langfuse|user_api_key|use_psc|is_vertex|s3|gdc)_?"
    r"|_(?:caching|connection_string|router|executor|callback|logger|obj)$|^anthropic[-_]workspace"
)
_HINTS_AT_SECRET = re.compile(r"api[_-]?key|secret|password|(?:access|auth)[_-]?token|\\", re.IGNORECASE)
SIDES = {"input": "input_schema", "returns": "output_schema"}
"""The two keys for what goes in, and for what comes out: in words, and as JSON Schema."""
DATA = ("examples", "tests", *SIDES, *SIDES.values())
"""Keys whose values are data, in which no secrets are looked for: an example may speak of passwords."""
_PARAMETERS = ("/llm_params", "/llm/provider_params")
_VERSION_NUMBERS = 3
_WAYS = {
    "input": "Write `input:`, and below it, indented, a line such as `text: string` for each value",
    "returns": "Write `returns: string`, or below it, indented, a line such as `answer: string` for each value",
}


TO_FORMAT_02 = 'Write `rllm: "0.2"`, or leave it out.'


@cache
def frontmatter_schema() -> dict[str, Any]:
    """The definition of the frontmatter, with the parameters of `llm_params` bundled into it."""
    schema = _packaged("frontmatter.schema.json")
    schema["$defs"] = {"llm_params": _packaged("llm_params.schema.json")}
    schema["properties"]["llm_params"]["$ref"] = "#/$defs/llm_params"
    return schema


def _packaged(name: str) -> dict[str, Any]:
    # `importlib.resources` would cost 8 ms for a package that is never imported from an archive.
    return json.loads((Path(__file__).parents[1] / name).read_text(encoding="utf-8"))


def _parameters() -> dict[str, Any]:
    """The definition of `llm_params`."""
    return frontmatter_schema()["$defs"]["llm_params"]


@cache
def _contract() -> Contract:
    return Contract(frontmatter_schema(), known_plain=True)


@record
class Findings:
    """What is wrong with a frontmatter by itself, and those of its two schemas that can be used.

    Attributes:
        problems: in no order.
        sound_schemas: under `input_schema` and `output_schema`, in whichever form the file has them.
        inputs: where each property of the input stands.
    """

    problems: list[Problem] = field(default_factory=list[Problem])
    sound_schemas: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    inputs: dict[str, Span] = field(default_factory=dict[str, Span])


def check(header: Frontmatter) -> Findings:
    """Find everything that is wrong with the frontmatter by itself."""
    checker = _Checker(header)
    checker.check()
    return checker.found


def check_tests(header: Frontmatter) -> list[Problem]:
    """What is wrong with the form of `tests` alone."""
    checker = _Checker(header)
    checker.check_definition()
    return [problem for problem in checker.found.problems if problem.pointer.startswith("/tests")]


class _Checker:
    def __init__(self, header: Frontmatter) -> None:
        self.header = header
        self.values = header.values
        self.root = header.root
        self.found = Findings()

    def check(self) -> None:
        if self.root.mapping is None:
            self.report("the frontmatter must be a mapping of keys to values", "", keyword="type")
            return
        self._check_versions()
        self.check_definition()
        self._check_secrets()
        self._check_contracts()
        if not self.found.problems:
            self._check_examples()
            self._check_uses()
        if not self.found.problems and self.values.get("tests"):
            from runllm.parser.cases import misfits  # most files have none

            sound = self.found.sound_schemas
            self.found.problems += misfits(
                self.header, Contract(sound["input_schema"]), Contract(sound["output_schema"])
            )

    def report(
        self,
        message: str,
        path: str,
        *,
        keyword: str,
        key: str | None = None,
        mark: Mark | None = None,
        kind: str = "",
        **more: Any,
    ) -> None:
        """Add a problem at a JSON Pointer of the frontmatter, at one of the keys there, or at a mark inside."""
        kind = kind or ("LLMParamValidationError" if path.startswith(_PARAMETERS) else "MetadataValidationError")
        span = self.header.span_of(mark) if mark else self.header.span(path, key=key)
        self.found.problems.append(
            Problem(message=message, pointer=path, keyword=keyword, span=span, kind=kind, **more)
        )

    # --- the definition ------------------------------------------------------------------------

    def check_definition(self) -> None:
        for problem in _contract().problems(self.values):
            if problem.pointer == "/rllm" and self.values["rllm"] is not None:
                continue  # `_check_versions` says more of it
            if problem.pointer.removeprefix("/") in SIDES:
                continue  # `_check_words` does
            if problem.keyword == "additionalProperties":
                self._unknown_keys(problem.pointer)
            elif problem.keyword == "required":
                name = problem.message.split("`")[1]
                if self._mistyped(problem.pointer, (name,)):
                    continue  # told as an unknown key
                hint = f"Add `{name}`. {self._describe(f'{problem.pointer}/{name}')}".strip()
                self.report(problem.message, problem.pointer, keyword="required", hint=hint)
            else:
                self._wrong_value(problem)
        self._check_provider_params()

    def _wrong_value(self, problem: Problem) -> None:
        value = self._value(problem.pointer)
        hint = (self._used(problem.pointer) if problem.keyword == "type" else "") or self._describe(problem.pointer)
        message = problem.message
        if problem.keyword == "pattern":
            name = problem.pointer.rsplit("/", 1)[-1]
            message = f"`{value}` is not a valid `{name}`" if str(value).strip() else f"`{name}` is empty"
        elif problem.keyword == "type" and isinstance(value, int | float) and problem.message.endswith('"string"'):
            hint = f'Quote it: "{json.dumps(value)}". {hint}'
        elif problem.keyword == "type" and not problem.pointer.startswith("/uses"):
            from runllm.parser import mistakes  # only needed once something is wrong

            wanted = problem.message.rpartition(" ")[2].strip('"')
            write = mistakes.of_example(problem.pointer, value, self._names("input"))
            hint = f"{write or mistakes.other_type(value, wanted)} {hint}".strip()
        self.report(message, problem.pointer, keyword=problem.keyword, hint=hint)

    def _used(self, path: str) -> str:
        """How an app that `uses` names in another way is written; empty for another value."""
        uses, entry = self._value("/uses"), self._value(path)
        if not path.startswith("/uses") or path.count("/") > 2:  # noqa: PLR2004 - the list, or one of its entries
            return ""
        pairs = cast("dict[str, Any]", uses) if isinstance(uses, dict) else {"": entry}
        name, file = next(((name, file) for name, file in pairs.items() if isinstance(file, str)), ("", ""))
        name = name or re.sub(r"\W", "_", Path(file).stem) or "NAME"
        written = f"{{name: {name}, path: {file or 'FILE.rllm'}, with: {{...}}}}"
        return f"Write each app as an entry of a list: `- {written}`."

    def _unknown_keys(self, path: str) -> None:
        definition = self._definition(path)
        known = list(declared_properties(definition, definition))
        owned: dict[str, dict[str, str]] = definition.get("x-owned", {})
        noun = "parameter" if path == "/llm_params" else "key"
        for key in cast("dict[str, Any]", self._value(path)):
            if key in known or (path == "/llm" and re.search(_LIKE_A_KEY, key)):
                continue  # one that is named like a secret is reported as that
            if key in owned:
                message, hint = f"`{key}` is not set here: {owned[key]['message']}", owned[key].get("use", "")
                self.report(message, path, key=key, keyword="owned", hint=hint)
                continue
            from runllm.parser.mistakes import unknown  # only needed once something is wrong

            inside = {"llm": self._definition("/llm")["properties"], "llm_params": _parameters()["properties"]}
            names = {"input": self._names("input"), "output": self._names("returns")}
            hint = unknown(key, path, known, inside, names)
            self.report(f"unknown {noun} `{key}`", path, key=key, keyword="additionalProperties", hint=hint)

    def _names(self, side: str) -> list[str]:
        """The names of the properties of a side of the contract, in whichever form it is written."""
        found: Any = self._value(f"/{side}") or self._value(f"/{SIDES[side]}/properties")
        names = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        return [name.removesuffix("?") for name in names]

    def _mistyped(self, path: str, names: tuple[str, ...]) -> bool:
        """Whether one of these keys is missing at a path since it is spelt otherwise there."""
        definition = self._definition(path)
        known = list(declared_properties(definition, definition))
        given: Any = self._value(path)
        return any(nearest(key, known) in names for key in cast("dict[str, Any]", given) if key not in known)

    def _check_provider_params(self) -> None:
        llm = self.values.get("llm")
        params = cast("dict[str, Any]", llm).get("provider_params") if isinstance(llm, dict) else None
        if not isinstance(params, dict):
            return
        forbidden = set(_parameters()["x-forbidden-provider-params"])
        for key in cast("dict[str, Any]", params):
            if key in forbidden or re.search(_STEERING, key):
                message = f"`{key}` steers the client itself and cannot be set by a file"
                self.report(message, "/llm/provider_params", key=key, keyword="owned")

    def _value(self, path: str) -> Any:
        node = self.root.at(path)
        return None if node is None else node.value

    def _definition(self, path: str) -> Schema:
        """The part of the definition that describes the value at a JSON Pointer."""
        node: Schema = frontmatter_schema()
        for step in steps(path):
            node = resolve(frontmatter_schema(), stated(node, int(step) if step.isdecimal() else step))
        return node

    def _describe(self, path: str) -> str:
        return str(self._definition(path).get("description", ""))

    # --- what a schema cannot say ----------------------------------------------------------------

    def _check_versions(self) -> None:
        stated = self.values.get("rllm")
        if stated is not None and str(stated) not in FORMATS:
            newer = _numbers(str(stated)) > _numbers(FORMATS[-1])
            self.report(
                f"the file is written in format {stated}; this runllm ({__version__}) reads {' and '.join(FORMATS)}",
                "/rllm",
                keyword="version",
                kind="IncompatibleVersionError" if newer else "MetadataValidationError",
                hint="Upgrade runllm to read it." if newer else f'Write `rllm: "{FORMATS[-1]}"`, or leave it out.',
            )
        if self.header.format == FORMATS[0]:
            for path, key, what in _newer(self.values):
                self.report(f"{what} is of format 0.2", path, key=key, keyword="version", hint=TO_FORMAT_02)
        compat = self.values.get("runllm_compat")
        if not isinstance(compat, dict):
            return
        bounds = {key: str(value) for key, value in cast("dict[str, Any]", compat).items()}
        here = _numbers(__version__)
        if here < _numbers(bounds.get("min", "")):
            self._incompatible(f"{bounds['min']} or later", "Upgrade runllm.")
        if bounds.get("max_exclusive", "")[:1].isdecimal() and here >= _numbers(bounds["max_exclusive"]):
            self._incompatible(
                f"a version before {bounds['max_exclusive']}",
                "Use an older runllm, or test the file with this one and raise the bound.",
            )

    def _incompatible(self, wanted: str, hint: str) -> None:
        message = f"the file asks for runllm {wanted}; this is {__version__}"
        self.report(message, "/runllm_compat", keyword="version", kind="IncompatibleVersionError", hint=hint)

    def _check_secrets(self) -> None:
        text = self.header.source.text
        if not (_HINTS_AT_SECRET.search(text) or looks_secret(text)):
            return  # nearly every file: the walk below costs as much as reading the YAML
        hint = "Put the key in an environment variable and name it in `llm.api_key_env`."
        data = tuple(f"/{key}/" for key in DATA)
        for path, node in self.root.walk():
            if f"{path}/".startswith(data):
                continue
            for key, child in node.children.items():
                held = isinstance(key, str) and re.search(_LIKE_A_KEY, key) and isinstance(child.value, str)
                if held and child.value and "{{" not in child.value:
                    self.report(f"`{key}` holds a literal secret", path, key=str(key), keyword="secret", hint=hint)
                elif isinstance(child.value, str) and looks_secret(child.value):
                    self.report("this value looks like a secret", f"{path}/{key}", keyword="secret", hint=hint)

    def _check_contracts(self) -> None:
        for short, long in SIDES.items():
            written = [key for key in self.values if key in (short, long)]
            if len(written) > 1:
                message = f"`{written[0]}` says already what `{written[1]}` says"
                self.report(message, "", key=written[1], keyword="contract", hint="Keep one of them.")
            elif written == [short]:
                self._check_words(short, long)
            elif written and isinstance(self.values[long], dict):
                self._check_schema(long, self.values[long])
            elif not written and self.header.format != FORMATS[0] and not self._mistyped("", (short, long)):
                hint = f"{_WAYS[short]}; or JSON Schema as `{long}`."
                if short == "returns" and "output" in self.values:
                    hint = "`output` builds the answer without a model. What a model is to answer is called `returns`."
                self.report(f"neither `{short}` nor `{long}` is there", "", keyword="required", hint=hint)

    def _check_words(self, short: str, long: str) -> None:
        from runllm.parser.short import expand  # 4 ms that a file with JSON Schema need not pay

        found = expand(self.root.children[short], one_type=short == "returns")
        for fault in found.faults:
            self.report(fault.message, f"/{short}", keyword="contract", mark=fault.mark, hint=fault.hint)
        if not found.faults:
            self._check_schema(long, found.schema, short, found)

    def _check_schema(self, side: str, schema: dict[str, Any], short: str = "", words: Expanded | None = None) -> None:
        """Check a schema: the value of its key, or what the `words` under the `short` one stand for."""
        of_input = side == "input_schema"
        is_object = of_input or (words is None and self.header.format == FORMATS[0])
        found = schema_problems(schema, is_object=is_object)
        if not errors_in(found):
            self.found.sound_schemas[side] = schema
            if of_input:
                self.found.inputs = self._places(schema, words)
                found += Contract(schema).misfits()
        if words is None:
            from runllm.schema.doubts import doubts  # what the table gives is meant as it is

            found = doubts(schema, found)
        for problem in found:
            at, hint, severity = problem.pointer, problem.hint, problem.severity
            if not of_input and (problem.keyword, at) == ("type", "/type") and not hint:
                hint = f"Another root is of format 0.2. {TO_FORMAT_02}"
            path = f"/{short}" if words else f"/{side}{at}"
            mark = words.place(at) if words and at else None
            if problem.keyword == "keyword":
                mark = self.root.mark_of(path.rpartition("/")[0], key=steps(path)[-1])
            self.report(problem.message, path, mark=mark, keyword=problem.keyword, hint=hint, severity=severity)

    def _places(self, schema: dict[str, Any], words: Expanded | None) -> dict[str, Span]:
        """Where each property of the input stands."""
        names = schema.get("properties", {})
        if words:
            return {name: self.header.span_of(words.place(pointer(["properties", name]))) for name in names}
        return {name: self.header.span("/input_schema/properties", key=name) for name in names}

    def _check_examples(self) -> None:
        sides = [("input", "input", "input_schema"), ("output", "returns", "output_schema")]
        for index, example in enumerate(self.values.get("examples", ())):
            for part, short, long in sides:
                for problem in Contract(self.found.sound_schemas[long]).problems(example[part]):
                    at = f"/examples/{index}/{part}{problem.pointer}"
                    key = short if short in self.values else long
                    message = f"the example does not fit `{key}`: {problem.message}"
                    self.report(message, at, keyword=problem.keyword, hint=problem.hint)

    def _check_uses(self) -> None:
        seen: set[str] = set()
        for index, entry in enumerate(self.values.get("uses", ())):
            if entry["name"] in seen:
                message, kind = f"a dependency is named `{entry['name']}` already", "DependencyResolutionError"
                self.report(message, f"/uses/{index}/name", keyword="unique", kind=kind)
            if "on_error" in entry and "for_each" not in entry:
                message, hint = "`on_error` says what becomes of an item, and there is no `for_each`", "Take it out."
                self.report(message, f"/uses/{index}", key="on_error", keyword="on_error", hint=hint)
            seen.add(entry["name"])


def _newer(values: dict[str, Any]) -> Iterator[tuple[str, str | None, str]]:
    """What a frontmatter says that only format 0.2 has: the JSON Pointer, the key there, and how it is called."""
    yield from (
        ("", key, f"`{key}`") for key in ("input", "returns", "max_calls", "max_cost", "tests") if key in values
    )
    uses = values.get("uses")
    for index, entry in enumerate(cast("list[Any]", uses) if isinstance(uses, list) else ()):
        if isinstance(entry, dict) and "on_error" in entry:
            yield f"/uses/{index}", "on_error", "`on_error`"
    if isinstance(values.get("llm"), str):
        yield "/llm", None, "`llm` without a mapping"
    if "output" in values and not isinstance(values["output"], dict):
        yield "/output", None, "an `output` that is no mapping"


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, padded so that `1` equals `1.0.0`."""
    found = [int(n) for n in re.findall(r"\d{1,9}", re.split("[-+]", version, maxsplit=1)[0])][:_VERSION_NUMBERS]
    return tuple(found + [0] * (_VERSION_NUMBERS - len(found)))
