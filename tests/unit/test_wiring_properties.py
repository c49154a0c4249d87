"""What validation says of a wiring is true of its runs, for projects of every shape; and a graph of apps runs as one."""

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from fuzz.specimens import specimens
from hypothesis import event, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm import executor, parser
from runllm import project as projects
from runllm.engines.base import Engine
from runllm.errors import (
    DependencyResolutionError,
    InputSchemaError,
    OutputSchemaError,
    ProviderError,
    TemplateError,
)
from runllm.program import Plan
from runllm.project.wire import needs
from runllm.results import Completion, Endpoint, Request, RunResult, Usage
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.schema import Contract, schema_problems
from runllm.testing import ScriptedEngine

Json = Any
HEAD = {"description": "A test.", "version": "1.0.0", "author": "me", "max_context_window": 1_000_000}
LLM = {"llm": {"model": "openai/m", "num_retries": 0}, "llm_params": {}}
NAMES = ("a", "b", "c")
UNFIT = (InputSchemaError, OutputSchemaError, TemplateError, DependencyResolutionError)


def rllm(name: str, body: str, **keys: Json) -> str:
    """The text of an app."""
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in {"name": name, **HEAD, **keys}.items())
    return "\n".join(["---", *lines, "---", body])


# --- schemas -------------------------------------------------------------------------------------

literals = st.sampled_from(["", "a", "b", "abcd", "5", "true", "2024-02-29", 0, 1, 5, 0.5, 1.0, True, None, [], ["a"], {}, {"a": 1}])  # fmt: skip
scalars = st.sampled_from(
    [
        *({"type": "string", **more} for more in ({}, {"minLength": 1}, {"maxLength": 3}, {"pattern": "^a"}, {"format": "date"})),
        *({"type": "integer", **more} for more in ({}, {"minimum": 0}, {"minimum": 1, "maximum": 9}, {"multipleOf": 5})),
        *({"type": "number", **more} for more in ({}, {"exclusiveMinimum": 0})),
        *({"type": kind} for kind in ("boolean", "null", ["integer", "null"], ["string", "null"], ["string", "integer"])),
        {"enum": ["a", "b"]}, {"enum": [1, "a", None]}, {"const": "a"}, {"const": 5}, {"type": "integer", "enum": [1, 5]},
        {"anyOf": [{"type": "integer"}, {"minLength": 1}]}, {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"type": ["string", "integer"], "not": {"const": "a"}}, {}, {"$ref": "#/$defs/d"}, {"$ref": "#/$defs/e"},
    ]
)  # fmt: skip


@st.composite
def some_of(draw: st.DrawFn, rare: int = 3, **keywords: st.SearchStrategy[Json]) -> dict[str, Json]:
    """Some of the keywords; a name in Python's own words ends in `_`."""
    return {key.rstrip("_"): draw(value) for key, value in keywords.items() if draw(st.integers(0, rare)) == 0}


def objects(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Object schemas: closed, open, with defaults, alternatives and conditions."""
    with_default = st.builds(
        lambda schema, value: {**schema, "default": value}, inner, st.sampled_from(["a", 5, None, True, {}])
    )
    properties = st.dictionaries(st.sampled_from(NAMES), st.one_of(inner, inner, inner, with_default), max_size=3)
    names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    part = st.one_of(
        names.map(lambda found: {"required": found}),
        st.builds(lambda name, schema: {"properties": {name: schema}}, st.sampled_from(NAMES), inner),
        st.builds(lambda name, schema: {"properties": {name: schema}, "required": [name]}, st.sampled_from(NAMES), inner),
    )  # fmt: skip
    more = some_of(
        rare=8,
        minProperties=st.integers(1, 2),
        maxProperties=st.integers(1, 3),
        patternProperties=st.builds(lambda p, s: {p: s}, st.sampled_from(["^a", "."]), inner),
        dependentRequired=st.sampled_from([{"a": ["b"]}, {"b": ["c"]}]),
        anyOf=st.lists(part, min_size=1, max_size=2),
        oneOf=st.lists(part, min_size=1, max_size=2),
        allOf=st.lists(part, min_size=1, max_size=2),
        not_=part,
    )
    condition = st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, part, part, part)
    rest = some_of(rare=1, additionalProperties=st.one_of(st.just(False), st.just(True), inner))
    return st.builds(
        lambda declared, share, *others: {
            "type": "object",
            "properties": declared,
            "required": [name for number, name in enumerate(declared) if share >> number & 1],
            **{key: value for other in others for key, value in other.items()},
        },
        properties, st.integers(0, 7), rest, st.one_of(st.just({}), st.just({}), more), st.one_of(*[st.just({})] * 9, condition),
    )  # fmt: skip


def lists(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Array schemas."""
    more = some_of(
        rare=4,
        minItems=st.integers(0, 2),
        maxItems=st.integers(1, 3),
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        uniqueItems=st.just(True),
    )
    return st.builds(lambda items, more: {"type": "array", **items, **more}, some_of(rare=0, items=inner), more)


def containers(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Objects and lists, some of which may be null or something else."""
    plain = objects(inner) | lists(inner)
    nullable = st.builds(lambda one, other: {"anyOf": [one, other]}, plain, st.just({"type": "null"}) | scalars)
    return st.one_of(plain, plain, plain, nullable)


parts = st.recursive(scalars, containers, max_leaves=4)


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Json]:
    """A schema that an app may have."""
    schema = {**draw(objects(parts)), "$defs": {"d": draw(parts), "e": draw(scalars)}}
    for _ in range(2):
        if usable(schema):
            return schema
        schema = {**draw(objects(scalars)), "$defs": {"d": draw(scalars.filter(bare)), "e": {"type": "string"}}}
    return {"type": "object", "properties": {"a": draw(scalars.filter(bare))}}


def bare(schema: Json) -> bool:
    return "$ref" not in schema


def usable(schema: dict[str, Json]) -> bool:
    return not any(problem.severity == "error" for problem in schema_problems(schema)) and bool(values(schema))


def values(schema: dict[str, Json], *, filled: bool = False) -> list[Json]:
    """Some values of a schema; those that are once their defaults are filled in, if so wanted."""
    contract = Contract(schema)
    return [v for v in specimens(schema) if contract.accepts(contract.with_defaults(v) if filled else v)]


# --- wirings -------------------------------------------------------------------------------------


def paths(root: str, schema: Json, depth: int = 0) -> list[str]:
    """Paths that a template may read, most of them sure to exist."""
    found = [root]
    if isinstance(schema, dict) and depth < 2:
        for name, inner in schema.get("properties", {}).items():
            found += paths(f"{root}.{name}", inner, depth + 1)
        if schema.get("type") == "array":
            found += paths(f"{root}[0]", schema.get("items"), depth + 1)
    return found


@st.composite
def expressions(draw: st.DrawFn, known: list[str]) -> str:
    """An expression that cannot fail, whatever the paths hold, and needs no process of its own."""
    path = st.sampled_from(known)
    form = draw(st.sampled_from(["{0}"] * 6 + [
        "{0} | default(5)", "{0} | default('a')", "{0} or 'a'", "{0} and {1}", "{0} if {1}", "{0} if {1} else {2}",
        "{0} == {1}", "not {0}", "{0} ~ 'a'", "{0} | tojson", "{0} is defined", "'5'", "5",
    ]))  # fmt: skip
    return form.format(draw(path), draw(path), draw(path))


def wirings(known: list[str], depth: int = 0) -> st.SearchStrategy[Json]:
    """What a value in `with` or `output` may be."""
    whole = expressions(known).map(lambda found: f"{{{{ {found} }}}}")
    texts = st.builds(
        lambda form, one, two: form.replace("0", one).replace("1", two),
        st.sampled_from(["0 1", "No. 0", "05", "5", "-0", "{# 5 #}5", "tr0", "{% if true %}5{% endif %}", " 0 ", "0\n"]),
        whole, whole,
    )  # fmt: skip
    options = [whole, whole, whole, texts, literals]
    if depth < 2:
        inner = wirings(known, depth + 1)
        options += [st.dictionaries(st.sampled_from(NAMES), inner, max_size=2), st.lists(inner, max_size=2)]
    return st.one_of(options)


@st.composite
def mappings(draw: st.DrawFn, target: dict[str, Json], known: list[str], given: Json) -> dict[str, Json]:
    """A wiring into a contract: its properties, each with something, or with the path of the same name."""
    found: dict[str, Json] = {}
    for name in dict.fromkeys([*target.get("properties", {}), *draw(st.lists(st.sampled_from(NAMES), max_size=1))]):
        same = [path for path in known if path.endswith(f".{name}")]
        if draw(st.integers(0, 7)) or name in target.get("required", ()):
            found[name] = f"{{{{ {draw(st.sampled_from(same))} }}}}" if same and draw(st.booleans()) else draw(given)
    return found


@st.composite
def changed(draw: st.DrawFn, schema: dict[str, Json]) -> dict[str, Json]:
    """The same schema, or almost: what fits one mostly fits the other."""
    copy = json.loads(json.dumps(schema))
    place = copy if draw(st.booleans()) else draw(st.sampled_from([copy, *copy.get("properties", {}).values()]))
    keywords = [key for key in place if key not in ("type", "properties", "$defs", "$ref")]
    for keyword in draw(st.lists(st.sampled_from(keywords), max_size=2)) if keywords else ():
        place.pop(keyword, None)
    return copy if usable(copy) else schema


@st.composite
def cases(draw: st.DrawFn) -> dict[str, dict[str, Json]]:
    """The files of a project: `top` uses `b`, and `a` once or for each item of a list."""
    taken, gives = draw(contracts()), draw(contracts())
    known = [*paths("input", taken), *paths("uses.b", gives)]
    takes = draw(st.one_of(contracts(), changed(taken), changed(gives)))
    uses: list[Json] = [{"name": "b", "path": "./b.rllm"}, {"name": "a", "path": "./a.rllm"}]
    inside = known
    if draw(st.integers(0, 2)) == 0:
        uses[1]["for_each"] = draw(
            expressions(known).map(lambda found: f"{{{{ {found} }}}}") | st.lists(wirings(known), max_size=2)
        )
        uses[1]["on_error"] = draw(st.sampled_from(["stop", "skip", "keep"]))
        inside = [*known, "item", "item", "item.a", "item[0]", "index"]
    uses[1]["with"] = draw(mappings(takes, inside, wirings(inside)))
    top: dict[str, Json] = {"input_schema": taken, "uses": uses, "output_schema": {"type": "object"}}
    if draw(st.booleans()):
        known += ["uses.a", *(["uses.a", "uses.a[0]"] if "for_each" in uses[1] else paths("uses.a", gives))]
        top["output_schema"] = draw(st.one_of(contracts(), changed(taken), changed(gives)))
        top["output"] = draw(mappings(top["output_schema"], known, wirings(known)))
    return {
        "a": {"input_schema": takes, "output_schema": gives, **LLM},
        "b": {"input_schema": {"type": "object"}, "output_schema": gives, **LLM},
        "top": top if "output" in top else {**top, **LLM},
    }


def written(files: dict[str, dict[str, Json]], folder: Path) -> Path:
    for name, keys in files.items():
        body = "" if "output" in keys else "Say it to {{ input }}."
        (folder / f"{name}.rllm").write_text(rllm(name, body, **keys), encoding="utf-8")
    return folder / "top.rllm"


def unchecked(path: Path) -> Plan:
    """The plan of a file whatever is wrong with its wiring."""
    program = parser.load(str(path)).program
    assert program is not None
    children = {one.name: unchecked(path.parent / one.path) for one in program.uses}
    return Plan(program=program, children=children, needs=needs(program))


def runs(plan: Plan, seed: int, unfit: float = 0.0) -> list[tuple[Json, RunResult]]:
    """Runs on some inputs, with an engine that gives any answer its schema allows, and at times one that it does not."""
    chance = random.Random(seed)  # noqa: S311 - to choose examples

    def answer(request: Request) -> str:
        assert request.schema is not None
        if chance.random() < unfit:
            return "no JSON"
        return json.dumps(chance.choice(values(dict(request.schema))))

    found = values(plan.program.input.schema, filled=True)
    chosen = chance.sample(found, min(4, len(found)))
    options = Options(stats=False, max_retries=0, whole_tree=True) if unfit else Options(stats=False)
    with Runtime(engine=ScriptedEngine(answer)) as runtime:
        return [(given, executor.run(plan, given, options, runtime)) for given in chosen]


@given(files=cases(), seed=st.integers(0, 1_000))
@examples(150)
def test_what_validation_says_is_true_of_every_run(files: dict[str, dict[str, Json]], seed: int) -> None:
    """Nothing said: no run ends for its wiring. A type error: every run that comes to it does."""
    with tempfile.TemporaryDirectory() as name:
        path = written(files, Path(name))
        loaded = projects.load(path)
        errors = [problem for problem in loaded.problems if problem.severity == "error"]
        said = {(problem.keyword, problem.kind == "MetadataValidationError") for problem in errors}
        goes_on = files["top"]["uses"][1].get("on_error", "stop") != "stop"
        event("nothing said" if not loaded.problems else "errors" if errors else "warnings")
        assert (loaded.plan is None) == bool(errors)
        if not loaded.problems:
            assert loaded.plan is not None
            for given_, result in runs(loaded.plan, seed, unfit=0.4 if goes_on else 0.0):
                assert not isinstance(result.error, UNFIT), (given_, result.error)
                event("went on" if result.skipped else "none skipped")
        elif errors and not goes_on and all(keyword in ("wiring", "required") for keyword, _ in said):
            event("type errors")
            for given_, result in runs(unchecked(path), seed):
                came_to_it = any(built for _, built in said) or any(child.name == "a" for child in result.children)
                assert result.error is not None or not came_to_it, (given_, [str(error) for error in errors])


# --- graphs --------------------------------------------------------------------------------------

TAKES = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
GIVES = {"type": "object", "properties": {"out": {"type": "string"}}, "required": ["out"]}
USAGE = Usage(prompt_tokens=10, completion_tokens=3)


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Json]]:
    """The frontmatter of some apps, each of which may use those before it; the last one is run."""
    apps: list[dict[str, Json]] = []
    for number in range(draw(st.integers(2, 6))):
        uses: list[dict[str, Json]] = []
        for place in range(draw(st.integers(0, 3)) if number else 0):
            texts = ["{{ input.text }}", "x", "{{ input.text }}y", *(read(one) for one in uses)]
            use = {"name": f"d{place}", "path": f"./app{draw(st.integers(0, number - 1))}.rllm"}
            if draw(st.integers(0, 3)) == 0:
                use["for_each"] = draw(st.lists(st.sampled_from(texts), min_size=1, max_size=4))
            use["with"] = {"text": "{{ item }}" if "for_each" in use else draw(st.sampled_from(texts))}
            uses.append(use)
        builds = bool(uses) and draw(st.booleans())
        more = {"output": {"out": " ".join(["{{ input.text }}", *map(read, uses)])}} if builds else LLM
        apps.append({"input_schema": TAKES, "output_schema": GIVES, **({"uses": uses} if uses else {}), **more})
    return apps


def read(use: dict[str, Json]) -> str:
    return f"{{{{ uses.{use['name']}{'[0]' if 'for_each' in use else ''}.out }}}}"


class Reference:
    """What an app gives, worked out one call after the other; `calls` are the prompts that a run of it must send."""

    def __init__(self, apps: list[dict[str, Json]]) -> None:
        self.apps = apps
        self.calls: set[str] = set()

    def run(self, number: int, text: str) -> str:
        app = self.apps[number]
        outs: list[str] = []
        for use in app.get("uses", ()):

            def filled(template: str) -> str:
                for name, out in enumerate(outs):
                    template = template.replace(f"{{{{ uses.d{name}.out }}}}", out).replace(
                        f"{{{{ uses.d{name}[0].out }}}}", out
                    )
                return template.replace("{{ input.text }}", text)

            used = int(use["path"].removeprefix("./app").removesuffix(".rllm"))
            each = [self.run(used, filled(one)) for one in use.get("for_each", [use["with"]["text"]])]
            outs.append(each[0])
        if "output" in app:
            return " ".join([text, *outs])
        prompt = f"app{number}: {' '.join([text, *outs])}"
        self.calls.add(prompt)
        return answer_to(prompt)


def answer_to(prompt: str) -> str:
    return f"<{len(prompt)}{prompt[-1]}{prompt[3]}>"


class Crowd(Engine):
    """An engine whose answers take some turns of the event loop; one of its calls may fail."""

    def __init__(self, seed: int, fails: str = "") -> None:
        self.chance = random.Random(seed)  # noqa: S311 - to mix the order
        self.fails = fails
        self.asked: list[str] = []
        self.answered = self.under_way = self.most = 0

    def ready(self, endpoint: Endpoint) -> None:
        pass

    def window(self, endpoint: Endpoint) -> None:
        pass

    def price(self, endpoint: Endpoint) -> None:
        pass

    def complete(self, request: Request) -> Completion:
        return asyncio.run(self.acomplete(request))

    async def acomplete(self, request: Request) -> Completion:
        prompt = request.messages[-1].content.strip()
        self.asked.append(prompt)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(self.chance.randrange(8)):
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        if prompt == self.fails:
            raise ProviderError("down")
        self.answered += 1
        return Completion(text=json.dumps({"out": answer_to(prompt)}), usage=USAGE, model="openai/m")

    def close(self) -> None:
        pass


def leads_to(plan: Plan, trail: tuple[str, ...]) -> Plan:
    """The plan at the end of a trail; every step must be the name of a dependency, with a number where there are many."""
    for step in trail:
        name, _, index = step.partition("[")
        (dependency,) = (one for one in plan.program.uses if one.name == name)
        assert (dependency.for_each is not None) == bool(index)
        plan = plan.children[name]
    return plan


@given(apps=graphs(), limit=st.integers(1, 4), seed=st.integers(0, 1_000), data=st.data())
@examples(100)
def test_a_graph_of_apps_runs_each_once_and_fails_with_all_it_spent(
    apps: list[dict[str, Json]], limit: int, seed: int, data: st.DataObject
) -> None:
    """The answer is that of one call after the other; whichever call fails, the error has its place and the tokens."""
    reference = Reference(apps)
    expected = reference.run(len(apps) - 1, "t")
    with tempfile.TemporaryDirectory() as name:
        for number, keys in enumerate(apps):
            body = f"app{number}: {' '.join(['{{ input.text }}', *map(read, keys.get('uses', ()))])}"
            text = rllm(f"app{number}", "" if "output" in keys else body, **keys)
            (Path(name) / f"app{number}.rllm").write_text(text, encoding="utf-8")
        plan = projects.load(Path(name) / f"app{len(apps) - 1}.rllm").plan
    assert plan is not None
    options = Options(stats=False, concurrency=limit)

    engine = Crowd(seed)
    result = executor.run(plan, {"text": "t"}, options, Runtime(engine=engine))
    assert result.output == {"out": expected}
    assert sorted(engine.asked) == sorted(reference.calls)
    assert engine.most <= limit
    assert result.usage.prompt_tokens == 10 * engine.answered
    order = [(child.name, child.index or 0) for child in result.children]
    assert order == sorted(order)

    engine = Crowd(seed, fails=data.draw(st.sampled_from(sorted(reference.calls))))
    result = executor.run(plan, {"text": "t"}, options, Runtime(engine=engine))
    error = result.error
    assert isinstance(error, ProviderError), error
    assert leads_to(plan, error.trail[1:]).program.name == engine.fails.partition(":")[0]
    assert result.usage.prompt_tokens == 10 * engine.answered
    assert engine.under_way == 0
    assert len(engine.asked) == len(set(engine.asked))
