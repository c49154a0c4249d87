"""Outputs that are text, a list, a number: run on the embedded model, through LiteLLM, by Ollama, behind llama.cpp."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.chances import some
from tests.integration.ollama_server import Model, OllamaServer
from tests.integration.provider import Provider, answer

import runllm
from runllm.engines.local.engine import locate
from runllm.errors import ProviderTimeoutError, PythonBlockExecutionError, RetryExhaustedError
from runllm.results import Endpoint
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

FILE = """---
name: told
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {schema}
llm: {llm}
llm_params: {params}
{more}
---
About {{{{ input.text }}}}.
{body}
"""
TEXT = {"type": "string"}
CASES_OF_SPEC = yaml.safe_load((Path(__file__).parents[1] / "spec" / "schemas.yaml").read_text(encoding="utf-8"))
LIST = {"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 1, "maxItems": 3}
MOOD = {"type": "string", "enum": ["calm", "upset"]}


def app(folder: Path, schema: dict, llm: dict | str, *, more="", body="", runtime=None, **params):
    path = folder / "told.rllm"
    path.write_text(
        FILE.format(schema=json.dumps(schema), llm=json.dumps(llm), params=json.dumps(params), more=more, body=body),
        encoding="utf-8",
    )
    return runllm.load(path, runtime=runtime)


# --- through LiteLLM --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runtime():
    with Runtime(sleep=lambda _: None, jitter=lambda: 0.0) as made:
        yield made


@pytest.fixture
def ask(tmp_path: Path, runtime: Runtime):
    """Run an app against a script of answers; gives its result and the bodies that were sent."""

    def run(schema: dict, *answers: str, **more):
        with Provider(*map(answer, answers)) as provider:
            llm = {"model": "openai/m", "api_base": provider.base, "num_retries": 0}
            try:
                return app(tmp_path, schema, llm, runtime=runtime, **more).run({"text": "x"}), provider.chats
            except RetryExhaustedError as error:
                return error, provider.chats

    return run


def test_text_is_asked_for_without_a_form_and_given_as_it_is(ask):
    result, sent = ask(TEXT, 'It says {"a": 1}.\n')
    assert result.output == 'It says {"a": 1}.'
    assert "response_format" not in sent[0].body
    assert "JSON Schema" not in json.dumps(sent[0].body["messages"])


def test_a_fence_around_all_of_a_text_is_a_repair(ask):
    result, _ = ask(TEXT, "<think>short</think>\n```markdown\n# Title\n```")
    assert (result.output, result.repairs) == ("# Title", ("fence",))


def test_a_text_that_breaks_a_rule_is_asked_for_again_with_what_was_wrong(ask):
    result, sent = ask({"type": "string", "maxLength": 5}, "much too long", "short")
    assert (result.output, len(result.attempts)) == ("short", 2)
    again = sent[1].body["messages"]
    assert again[-2] == {"role": "assistant", "content": "much too long"}
    assert "longer than 5 characters" in again[-1]["content"]
    assert "write the text and nothing else" in again[-1]["content"]


def test_a_check_block_holds_a_text(ask):
    body = "```rllm-python check inputs=output\nassert output.islower(), 'write it in lower case'\n```"
    result, sent = ask(TEXT, "LOUD", "quiet", body=body)
    assert result.output == "quiet"
    assert "write it in lower case" in sent[1].body["messages"][-1]["content"]


def test_a_post_block_sets_an_output_that_is_no_object(ask):
    result, _ = ask(
        TEXT, "quiet", body="```rllm-python post inputs=output outputs=output\noutput = output.upper()\n```"
    )
    assert result.output == "QUIET"
    result, _ = ask(LIST, '["a"]', body="```rllm-python post inputs=output outputs=output\noutput = output * 2\n```")
    assert result.output == ["a", "a"]


def test_a_post_block_that_sets_a_key_of_no_object_is_told(tmp_path, runtime):
    made = app(tmp_path, TEXT, "openai/m", runtime=runtime, body="```rllm-python post\nresult = {'out': 'x'}\n```")
    engine = ScriptedEngine("fine")
    with pytest.raises(PythonBlockExecutionError, match="`out` is no part of the output, which is a string"):
        runllm.load(made.program.path, runtime=Runtime(engine=engine)).run({"text": "x"})


def test_an_example_of_a_text_is_the_text(ask):
    _, sent = ask(TEXT, "fine", more='examples: [{input: {text: a}, output: "as\\nit is"}]')
    assert sent[0].body["messages"][-2] == {"role": "assistant", "content": "as\nit is"}
    _, sent = ask(LIST, '["b"]', more='examples: [{input: {text: a}, output: ["b"]}]')
    assert sent[0].body["messages"][-2] == {"role": "assistant", "content": '{"value": ["b"]}'}


def test_a_list_is_asked_for_in_an_object_and_given_without_it(ask):
    result, sent = ask(LIST, '{"value": ["a", "b"]}')
    assert result.output == ["a", "b"]
    assert sent[0].body["response_format"]["json_schema"]["schema"]["properties"] == {"value": LIST}
    result, _ = ask(LIST, '["a"]')
    assert (result.output, result.repairs) == (["a"], ("unwrapped",))


def test_what_never_fits_is_an_error_that_names_what_was_wrong(ask):
    error, sent = ask(MOOD, "happy", "happy", "sad")
    assert isinstance(error, RetryExhaustedError)
    assert len(sent) == 3
    assert error.problems[0].keyword == "enum"


def test_null_false_and_zero_are_outputs(ask):
    for schema, written, value in (
        ({"type": ["string", "null"]}, '{"value": null}', None),
        ({"type": "boolean"}, "false", False),
        ({"type": "integer"}, "0", 0),
    ):
        result, _ = ask(schema, written)
        assert result.output == value
        assert type(result.output) is type(value)
        assert result.error is None


# --- in composition -------------------------------------------------------------------------------------


def test_the_output_of_an_app_that_is_used_is_the_value_itself(tmp_path: Path, runtime: Runtime):
    with Provider(answer("one line"), answer('{"value": ["a", "b"]}'), answer("last")) as provider:
        llm = {"model": "openai/m", "api_base": provider.base, "num_retries": 0}
        for name, schema in (("line", TEXT), ("tags", LIST)):
            app(tmp_path, schema, llm)
            (tmp_path / "told.rllm").rename(tmp_path / f"{name}.rllm")
        uses = (
            "uses:\n"
            '  - {name: line, path: ./line.rllm, with: {text: "{{ input.text }}"}}\n'
            '  - {name: tags, path: ./tags.rllm, with: {text: "{{ uses.line }}"}}\n'
            '  - {name: each, path: ./line.rllm, for_each: "{{ uses.tags }}", with: {text: "{{ item }}"}}\n'
        )
        made = app(tmp_path, TEXT, llm, more=uses, body="{{ uses.line }}|{{ uses.tags | join('+') }}|{{ uses.each }}")
        made = runllm.load(tmp_path / "told.rllm", runtime=runtime, concurrency=1)
        assert made.run({"text": "x"}).output == "last"
        assert 'one line|a+b|["last", "last"]' in provider.chats[-1].body["messages"][-1]["content"]


def test_an_output_that_is_built_may_be_a_text_or_a_list(tmp_path: Path):
    for schema, output, value in (
        (TEXT, "'Dear {{ input.text }}'", "Dear x"),
        (LIST, '["{{ input.text }}", b]', ["x", "b"]),
        ({"type": "integer", "minimum": 1}, "'{{ input.text | length }}'", 1),
    ):
        path = tmp_path / "built.rllm"
        path.write_text(
            "---\nname: built\ninput_schema: {type: object, properties: {text: {type: string}}, required: [text]}\n"
            f"output_schema: {json.dumps(schema)}\noutput: {output}\n---\n",
            encoding="utf-8",
        )
        assert runllm.load(path)(text="x") == value


@pytest.mark.parametrize(
    ("schema", "output", "said"),
    [
        (TEXT, "{a: b}", "the output must be a string, not"),
        (LIST, '"{{ input.text }}"', "the output must be a list"),
        ({"type": "object", "properties": {"a": {}}}, '"{{ input.text }}"', "the output must be an object"),
    ],
)
def test_an_output_that_is_built_of_another_type_is_an_error_at_its_place(tmp_path, schema, output, said):
    path = tmp_path / "built.rllm"
    path.write_text(
        "---\nname: built\ninput_schema: {type: object, properties: {text: {type: string}}, required: [text]}\n"
        f"output_schema: {json.dumps(schema)}\noutput: {output}\n---\n",
        encoding="utf-8",
    )
    (problem,) = runllm.validate(path).problems
    assert said in problem.message
    assert problem.span.line == 5


# --- by Ollama --------------------------------------------------------------------------------------------


def test_an_ollama_server_is_asked_for_a_text_without_a_format(tmp_path: Path, runtime: Runtime):
    with OllamaServer({"m": Model(answer="It is fine.")}) as server:
        llm = {"model": "ollama/m", "api_base": server.base}
        assert app(tmp_path, TEXT, llm, runtime=runtime).run({"text": "x"}).output == "It is fine."
        (chat,) = [one for one in server.requests if one.path == "/api/chat"]
        assert "format" not in chat.body
    with OllamaServer({"m": Model(answer='{"value": ["a"]}')}) as server:
        llm = {"model": "ollama/m", "api_base": server.base}
        assert app(tmp_path, LIST, llm, runtime=runtime).run({"text": "x"}).output == ["a"]
        (chat,) = [one for one in server.requests if one.path == "/api/chat"]
        assert chat.body["format"]["required"] == ["value"]


# --- on the embedded model ----------------------------------------------------------------------------------

EMBEDDED = "local/smollm2-135m"
CASES = [
    (TEXT, {}),
    ({"type": "string", "minLength": 20, "maxLength": 80}, {}),
    ({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}, {}),
    ({"type": "string", "format": "date"}, {}),
    (MOOD, {}),
    (LIST, {}),
    ({"type": "number", "minimum": 0, "maximum": 1}, {}),
    ({"type": "boolean"}, {}),
    ({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}, {}),
]


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("schema", "params"), CASES, ids=lambda case: json.dumps(case)[:40])
def test_the_embedded_model_fits_any_root_at_the_first_attempt(tmp_path, schema, params):
    result = app(tmp_path, schema, EMBEDDED, **params).run({"text": "two cats"})
    assert len(result.attempts) == 1
    assert runllm.load(tmp_path / "told.rllm").program.output_contract.accepts(result.output)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_free_text_ends_at_a_sentence_when_its_tokens_are_used_up(tmp_path):
    result = app(tmp_path, TEXT, EMBEDDED, max_tokens=60).run(
        {"text": "the whole history of the city of Rome, at length"}
    )
    (attempt,) = result.attempts
    assert attempt.completion.finish_reason == "stop"
    assert attempt.completion.usage.completion_tokens <= 61
    assert result.output.rstrip("\"')")[-1] in ".!?…:"
    assert attempt.notes == ("ended at a sentence, since its tokens were used up",)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_call_that_takes_too_long_here_is_not_made_again(tmp_path):
    """No connection was lost: it would take as long again."""
    made = app(tmp_path, TEXT, {"model": EMBEDDED, "num_retries": 2}, max_tokens=2000)
    with pytest.raises(ProviderTimeoutError) as caught:
        made.run({"text": "the whole history of the city of Rome, at length"}, timeout=0.5)
    assert "calls" not in caught.value.details
    assert len(caught.value.result.attempts) == 1
    assert caught.value.result.latency < 5


# --- behind a llama.cpp server --------------------------------------------------------------------------------

SERVE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port, params.n_ctx, params.n_parallel, params.verbosity = sys.argv[1], 0, 2048, 1, -1
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def served():
    """The base of a llama.cpp server with the embedded weights."""
    command = [sys.executable, "-c", SERVE, str(locate(Endpoint(model=EMBEDDED)))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"{process.stdout.readline().strip()}/v1"
        finally:
            process.stdin.close()
            process.wait(60)


UNIQUE = {
    "type": "array",
    "items": {"type": "string", "maxLength": 20},
    "minItems": 2,
    "maxItems": 4,
    "uniqueItems": True,
}
MAP = {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 3}
OPEN = {
    "type": "object",
    "properties": {"note": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
}


@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_llama_cpp_server_gives_text_and_lists(tmp_path: Path, runtime: Runtime, served: str):
    llm = {"model": "openai/smollm2", "api_base": served, "num_retries": 0}
    text = app(tmp_path, TEXT, llm, runtime=runtime, temperature=0, max_tokens=200).run({"text": "two cats"})
    assert isinstance(text.output, str)
    assert text.output
    for schema in (LIST, UNIQUE, MAP, OPEN):
        made = app(tmp_path, schema, llm, runtime=runtime)
        result = made.run({"text": "two cats"})
        assert made.program.output_contract.accepts(result.output)
        (attempt,) = result.attempts
        assert attempt.completion.finish_reason == "stop"
        outlined = "JSON Schema" not in attempt.request.messages[0].content
        assert outlined is (schema is not MAP), "a small model is shown the outline, where there are keys to name"


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", some(CASES_OF_SPEC, 6), ids=lambda case: case["name"])
def test_what_passes_embedded_passes_behind_a_llama_cpp_server(tmp_path, runtime, served, case):
    llm = {"model": "openai/smollm2", "api_base": served, "num_retries": 0}
    made = app(tmp_path, case["schema"], llm, runtime=runtime, max_tokens=case.get("tokens", 250))
    result = made.run({"text": case["prompt"].replace("{", "(")})
    assert len(result.attempts) == 1
    assert made.program.output_contract.accepts(result.output)
    assert not any("refused" in note for note in result.attempts[0].completion.notes), "the grammar is taken"
