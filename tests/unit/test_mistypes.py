"""What people mistype in a file is found at its place and told with a way out, and a right file is left alone."""

import time

import pytest

from runllm.documents import DocumentError, read
from runllm.engines.providers import provider_of
from runllm.errors import ModelNotFoundError
from runllm.parser import parse
from runllm.project.check import analyse
from runllm.schema import schema_problems
from runllm.schema.doubts import MAX_DOUBTS, doubts


def of_schema(text: str) -> list[tuple[str, str, str]]:
    """What is found of the properties of a schema, in YAML: the words under the caret, the message, the hint."""
    front = f"name: x\noutput_schema:\n  type: object\n{text}"
    found = analyse(parse(f"---\n{front}\ninput: {{text: text}}\n---\n{{{{ input.text }}}}\n"))
    return [(p.span.text[p.span.column - 1 :][: p.span.length], p.message, p.hint) for p in found if p.span is not None]


def of_property(text: str) -> list[tuple[str, str, str]]:
    """The same of one property `a` beside `text`."""
    return of_schema(f"  properties:\n    text: {{ type: string }}\n    a: {text}")


# --- schemas -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "mark", "hint"),
    [
        ("{ type: string, nullable: true }", "nullable", 'Write `type: [string, "null"]`.'),
        ("{ type: [string, integer], nullable: true }", "nullable", 'Write `type: [string, integer, "null"]`.'),
        ("{ type: string, nullable: false }", "nullable", "Take it out: a value is not null unless `type` says so."),
        ("{ type: string, maxlength: 5 }", "maxlength", "Did you mean `maxLength`?"),
        ("{ type: string, min_length: 5 }", "min_length", "Did you mean `minLength`?"),
        ("{ type: string, discription: x }", "discription", "Did you mean `description`?"),
        ("{ type: string, desc: x }", "desc", "Did you mean `description`?"),
        ("{ Type: string }", "Type", "Did you mean `type`?"),
        ("{ type: string, choices: [b] }", "choices", "Did you mean `enum`?"),
        ("{ type: integer, min: 5 }", "min", "Did you mean `minimum`?"),
        ("{ type: string, max: 5 }", "max", "Did you mean `maxLength`?"),
        ("{ type: object, fields: {} }", "fields", "Did you mean `properties`?"),
        ("{ type: object, b: { type: string } }", "b", "If it is a property, write it below `properties`."),
        ("{ type: string, optional: true }", "optional", "A property is optional unless `required`"),
        ("{ type: string, optional }", "optional", "A property is optional unless `required`"),
        ("{ type: string, example: b }", "example", 'Write `examples: ["b"]`.'),
        ("{ type: string, unit: km }", "unit", "Take it out; words of your own begin with `x-`."),
        ("{ description: One, two, three. }", "two", 'Quote the text: `description: "One, two, three."`.'),
        ("{ title: One, two., type: string }", "two.", 'Quote the text: `title: "One, two."`.'),
        ("{ type: string, format: e-mail }", "e-mail", "Did you mean `email`?"),
        ("{ type: string, format: url }", "url", "Did you mean `uri`?"),
        ("{ type: string, format: phone }", "phone", "Say in `description` what is meant, or write a `pattern`."),
        ("{ type: integer, format: int32 }", "format", "Take it out: only texts have a format."),
        ("{ type: string, enum: [b, 1] }", "1", 'Quote it: `"1"`.'),
        ("{ type: string, enum: [b, null] }", "null", 'Where null is right, too, write `type: [string, "null"]`.'),
        ("{ type: string, enum: [Note: b] }", "N", 'Quote it: `"Note: b"`.'),
        ("{ type: string, const: 1.5 }", "1.5", 'Quote it: `"1.5"`.'),
        ("{ type: integer, enum: ['1'] }", "'1'", "Write it without quotes: `1`."),
        ("{ type: boolean, default: no }", "no", "`no` is a text in YAML 1.2: write `false`, without quotes."),
        ("{ format: date, const: 29.11.2026 }", "29.11.2026", "Write `2026-11-29`: year, month, day."),
        ("{ format: date, default: 11/29/2026 }", "11/29/2026", "Write `2026-11-29`: year, month, day."),
        ("{ format: date, enum: [2026-1-5] }", "2026-1-5", "Write `2026-01-05`: year, month, day."),
        ("{ format: date, examples: [05/06/2026] }", "05/06/2026", "A date is written as year, month, day"),
        ("{ type: string, required: [text] }", "required", "It names what stands beside this property"),
        ("{ type: string, pattern: '/^a$/i' }", "'/^a$/i'", "Write `^a$`. Signs behind it are not read"),
        ("{ type: string, pattern: '/^[a-z]+$/' }", "'/^[a-z]+$/'", "Write `^[a-z]+$`."),
        ("{ type: string, pattern: '/abc/g' }", "'/abc/g'", "Write `abc`."),
        ("{ type: string, pattern: '\\\\d+' }", "'\\\\d+'", "Write `\\d+`: one does"),
        ("{ type: string, pattern: '^[A-Z]\\\\w{3}$' }", "'^[A-Z]\\\\w{3}$'", "Write `^[A-Z]\\w{3}$`"),
        ("{ type: string, pattern: '^[[:alpha:]]+$' }", "'^[[:alpha:]]+$'", "Write the signs, as `[A-Za-z]`"),
        ("{ type: string, minLength: 5, maxLength: 3 }", "a", "Compare its bounds"),
        ("{ type: string, maximum: 5 }", "maximum", "Did you mean `maxLength`?"),
        ("{ type: string, items: { type: string } }", "items", "Take it out, or write `type: array`."),
    ],
)  # fmt: skip
def test_what_a_schema_passes_over_is_a_warning(written: str, mark: str, hint: str) -> None:
    (found,) = of_property(written)
    assert found[0] == mark
    assert hint in found[2]


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("text", "Write `type: string`."),
        ("str", "Write `type: string`."),
        ("int", "Write `type: integer`."),
        ("float", "Write `type: number`."),
        ("bool", "Write `type: boolean`."),
        ("list", "Write `type: array`, and what is in it as `items: {type: string}`."),
        ("dict", "Write `type: object`, and what is in it below `properties`."),
        ("any", "Leave `type` out: then any value is right."),
        ("enum", "Write `type: string`, and the values as `enum: [a, b]`."),
        ("date", "Write `type: string, format: date`."),
        ("datetime", "Write `type: string, format: date-time`."),
        ("Email", "Write `type: string, format: email`."),
        ("String", "Types are written in small letters: `type: string`."),
        ("none", 'Write `type: "null"`.'),
        ("string | null", 'Write `type: [string, "null"]`.'),
        ("str or int", "Write `type: [string, integer]`."),
        ("calm | upset", "Write `type: string` and `enum: [calm, upset]`."),
        ("'int[]'", "Write `type: array` and `items: {type: integer}`."),
        ("'list[str]'", "Write `type: array` and `items: {type: string}`."),
        ("'string?'", 'Write `type: [string, "null"]`.'),
        ("[string, null]", 'Quote the null: `type: [string, "null"]`.'),
        ("[str, integer]", "`str` is no type. Write `type: string`."),
        ("null", 'Quote it: `type: "null"`.'),
    ],
)
def test_a_type_of_another_language_says_what_to_write(kind: str, hint: str) -> None:
    (found,) = of_property(f"{{ type: {kind} }}")
    assert found[2] == hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("text", "Write `a: {type: string}`."),
        ("date", "Write `a: {type: string, format: date}`."),
        ("", "Write what `a` is: `{type: string}`."),
        ("{ type: string, required: true }", "name the property beside `properties`: `required: [a]`."),
        ("{ type: string, required: false }", "Take it out: a property is optional"),
        ("{ type: string, enum: b | c }", "Write a list: `enum: [b, c]`."),
        ("{ type: string, minLength: '3' }", "Write it without quotes: `3`."),
        ("{ type: array, items: int }", "Write `items: {type: integer}`."),
        ("{ type: array, uniqueItems: yes }", "Write `true`, without quotes."),
        ("{ type: number, exclusiveMinimum: true }", "Write the bound itself, as `exclusiveMinimum: 0`"),
        ("{ type: object, properties: [b] }", "Write a name and its schema on each line below it"),
        ("{ description: 5 }", 'Quote it: `"5"`.'),
        ("{ oneOf: [calm] }", "Values to choose from stand under `enum`: `enum: [calm, ...]`."),
    ],
)
def test_what_is_refused_where_it_stands_says_what_to_write(written: str, hint: str) -> None:
    (found,) = of_property(written)
    assert hint in found[2]


@pytest.mark.parametrize(
    ("written", "mark", "hint"),
    [
        ("  properties: { a: {} }\n  required: [b]", "b", "Write it below `properties`, or take it out here."),
        ("  properties: { name: {} }\n  required: [nmae]", "nmae", "Did you mean `name`?"),
        (
            "  properties: { name: {} }\n  required: [nmae]\n  additionalProperties: true",
            "nmae",
            "Did you mean `name`?",
        ),
        ("  properties: { name: {} }\n  required: [b]\n  additionalProperties: false", "b", "Write it below"),
        ("  properties:\n    a: {}\n    required: [a]", "required", "write it beside `properties`, not below."),
        ("  properties:\n    a: {}\n    additionalProperties: false", "additionalProperties", "beside `properties`"),
        ("  properties:\n    a: {}\n    type: object", "object", "write it beside `properties`, not below."),
        ("  properties: { a: {} }\n  requred: [a]", "requred", "Did you mean `required`?"),
        ("  properties: { a: {} }\n  required: a", "a", "Write a list: `required: [a]`."),
        ("  properties: { a: {} }\n  additionalProperties: no", "no", "Write `false`, without quotes."),
        ("  props: { a: {} }", "props", "Did you mean `properties`?"),
    ],
)
def test_names_and_words_of_an_object(written: str, mark: str, hint: str) -> None:
    (found,) = of_schema(written)
    assert found[0] == mark
    assert hint in found[2]


@pytest.mark.parametrize(
    "written",
    [
        "  properties: { required: { type: boolean }, description: { type: string }, type: {}, items: { type: string } }",
        "  properties: { a: { type: string, x-unit: km, $comment: mine, format: date, examples: [2026-11-29] } }",
        "  properties: { a: { type: [string, 'null'], enum: [b, null], maxLength: 3 } }",
        "  properties: { a: { type: number, enum: [1, 2.5], minimum: 0 }, b: { type: integer, const: 2.0 } }",
        "  properties: { a: { type: string, default: 'no', const: 'no' }, b: { enum: [1, no, null] } }",
        "  properties: { a: {}, b: {} }\n  anyOf: [{ required: [a] }, { required: [b] }]",
        "  properties: { a: {}, b: {} }\n  if: { required: [a] }\n  then: { required: [b] }",
        "  properties: { a: {} }\n  allOf: [{ properties: { b: {} } }]\n  required: [a, b]",
        "  properties: { a: {} }\n  dependentSchemas: { a: { required: [b], properties: { b: {} } } }",
        "  properties: { a: {} }\n  $ref: '#/$defs/more'\n  required: [b]\n  $defs: { more: { properties: { b: {} } } }",
        "  properties: { a: {} }\n  patternProperties: { ^x: {} }\n  required: [xyz]",
        "  required: [anything]",
        "  properties: { a: { type: object, additionalProperties: { type: string }, required: [en] } }",
        "  properties: { a: { type: array, prefixItems: [{ type: string }], items: false, contains: {}, minContains: 1 } }",
        "  properties: { a: { $ref: '#/definitions/b', minLength: 1 } }\n  definitions: { b: { type: string } }",
        "  properties: { a: { type: string, description: 'The e-mail, in full.' } }",
        "  properties: { a: { type: string, pattern: '^/api/v1/$' }, b: { type: string, pattern: '^/a/' } }",
        "  properties: { a: { type: string, pattern: '/api/v1/' }, b: { type: string, pattern: 'C:\\\\\\\\data' } }",
        "  properties: { a: { type: string, pattern: '^\\d+[[]:$' }, b: { type: string, pattern: '(?i)^a$' } }",
        "  properties: { a: { type: string, contentEncoding: base64, deprecated: true, readOnly: true } }",
    ],
)
def test_a_right_schema_is_left_alone(written: str) -> None:
    assert of_schema(written) == []


def test_the_input_is_held_to_the_same() -> None:
    text = "---\nname: x\ninput_schema: {type: object, properties: {a: {type: string, nullable: true}}}\nreturns: text\n---\n{{ input.a }}"
    (found,) = analyse(parse(text))
    assert (found.severity, found.span and found.span.column) == ("warning", 61)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", **{f"word{n}": n for n in range(30_000)}},
        {"type": "object", "properties": {"a": {}}, "required": [f"name{n}" for n in range(30_000)]},
        {"type": "object", "properties": {f"p{n}": {} for n in range(9_000)}, "required": [f"q{n}" for n in range(9_000)]},
        {"type": "object", "properties": {f"p{n}": {} for n in range(900)}, "required": [f"q{n}" for n in range(9_000)],
         "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]} for _ in range(20_000)]},
        {"type": "string", "format": "date", "enum": [f"2026-01-{n}" for n in range(60_000)]},
        {"type": "string", "description": "a", **{f"b{n}": None for n in range(60_000)}},
        {"type": "object", "properties": {"a" * 500_000: "b" * 500_000}},
    ],
)  # fmt: skip
def test_a_hostile_schema_takes_no_time(schema: dict) -> None:
    began = time.process_time()
    found = doubts(schema)
    assert len(found) <= MAX_DOUBTS
    assert time.process_time() - began < 3


def test_a_long_text_where_a_type_should_be_takes_no_time() -> None:
    began = time.process_time()
    schema_problems(
        {"type": "object", "properties": {"a": {"type": "list of " * 100_000}, "b": {"type": "a|" * 300_000}}}
    )
    assert time.process_time() - began < 3


# --- inputs that nothing reads -------------------------------------------------------------------


def unread(body: str, front: str = "", declared: str = "{ text: string, e_mail: string }") -> list[str]:
    """The hints for the inputs of a file that nothing reads."""
    found = analyse(parse(f"---\nname: x\ninput: {declared}\nreturns: text\n{front}---\n{body}\n"))
    assert all("nothing reads the input" in problem.message for problem in found), found
    return [problem.hint for problem in found]


@pytest.mark.parametrize(
    "written",
    ["{e_mail}", "${e_mail}", "{ e_mail }", "{input.e_mail}", "<e_mail>", "%e_mail%", "[[e_mail]]", "[E-Mail]",
     "$e_mail", "%(e_mail)s", "#{e_mail}", "<<e-mail>>"],
)  # fmt: skip
def test_the_placeholder_of_another_language_is_named(written: str) -> None:
    (hint,) = unread(f"{{{{ input.text }}}}\n\nTo {written}:")
    assert hint == f"On line 8 the prompt says `{written}`: write `{{{{ input.e_mail }}}}`."


def test_an_input_that_is_nowhere_is_told_what_to_do() -> None:
    assert unread("{{ input.text }}") == ["Write `{{ input.e_mail }}` where it belongs in the prompt, or take it out."]


@pytest.mark.parametrize(
    ("body", "front"),
    [
        ("{{ input }}", ""),
        ("{{ input | tojson }}", ""),
        ("{% for name, value in input.items() %}{{ name }}: {{ value }}{% endfor %}", ""),
        ("{% set all = input %}{{ all.text }}", ""),
        ("{% for name in ['text', 'e_mail'] %}{{ input[name] }}{% endfor %}", ""),
        ('{{ input["e_mail"] }} {{ input.text }}', ""),
        ("{% if input.e_mail is defined %}{{ input.text }}{% endif %}", ""),
        ("{{ input.text }}\n<<<SYSTEM>>>\n{{ input.e_mail }}", ""),
        ("{{ input.text }}\n<<<RECOVERY>>>\n{{ input.e_mail }}", ""),
        ("{{ input.text }}", "recovery_prompt: '{{ input.e_mail }}'\n"),
        ("{{ input.text }}\n```rllm-python check inputs=input.e_mail\nassert e_mail\n```", ""),
        ("{{ input.text }}\n```rllm-python check inputs=input\nassert input\n```", ""),
        ("{{ input.text }}\n```rllm-python check\nassert context\n```", ""),
        ("", "output: '{{ input.text }} {{ input.e_mail }}'\n"),
    ],
)
def test_an_input_that_is_read_somewhere_is_left_alone(body: str, front: str) -> None:
    assert unread(body, front) == []


# --- sections --------------------------------------------------------------------------------------


def of_body(body: str) -> list[tuple[str, str]]:
    """What is found of a line of the body: severity and hint."""
    found = analyse(
        parse(f"---\nname: x\ninput: {{text: text}}\nreturns: text\n---\n{{{{ input.text }}}}\n{body}\nx\n")
    )
    return [(problem.severity, problem.hint) for problem in found]


@pytest.mark.parametrize(
    ("line", "section"),
    [
        *((line, "SYSTEM") for line in (
            "<<SYSTEM>>", "<<System>>", "<<system>>", "  <<<SYSTEM>>>", "<<<SYSTEM>>", "<<<SYSTEM", "<<SYSTEM>>>", "<<<SYSTEM>>>:",
            ">>>SYSTEM<<<", "&lt;&lt;&lt;SYSTEM&gt;&gt;&gt;", "<<<SYSTEM>>> Be brief.", "# <<<SYSTEM>>>",
            "**<<<SYSTEM>>>**", "\\<<<SYSTEM>>>", "<|system|>", "<|im_start|>system", "<<SYS>>",
        )),
        ("<<USER>>", "USER"), ("<<<USER", "USER"), ("<|user|>", "USER"), ("<<RECOVERY>>", "RECOVERY"),
    ],
)  # fmt: skip
def test_a_line_that_looks_like_a_marker_is_a_warning(line: str, section: str) -> None:
    ((severity, hint),) = of_body(line)
    assert severity == "warning"
    assert f"`<<<{section}>>>`" in hint


@pytest.mark.parametrize(
    "line",
    ["<system>", "</system>", "# SYSTEM", "SYSTEM:", "[SYSTEM]", ">>> user", "<<EOF", "<<USER", "<<user>>", "cat <<USER",
     "Say <<<SYSTEM>>>", "<<TEXT>>", "> > user", "x << system >> y", "<<<<<<< HEAD", "a <<SYSTEM>> b", "<user>"],
)  # fmt: skip
def test_a_line_of_text_is_left_alone(line: str) -> None:
    assert of_body(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "[SYSTEM]", "### System:", "<system>", "System:", "SYSTEM", "**System:**", "System prompt:", "# System message", "--- system ---",
        "=== SYSTEM ===", "role: system", "- role: system", "<System>:", "<system_prompt>", "[[SYSTEM]]", "@system",
        "SYSTEM: You are brief.", "**SYSTEM:** You are brief.", "# SYSTEM PROMPT: be kind",
    ],
)  # fmt: skip
def test_a_prompt_that_begins_with_the_name_of_a_role_is_told_how_a_section_begins(line: str) -> None:
    def hints(body: str) -> list[str]:
        text = f"---\nname: x\ninput: {{text: text}}\nreturns: text\n---\n{body}\nBe brief. {{{{ input.text }}}}\n"
        return [problem.hint for problem in analyse(parse(text)) if problem.span and problem.span.text == line]

    (hint,) = hints(f"\n{line}")
    assert "Write `<<<SYSTEM>>>` instead, and `<<<USER>>>`" in hint
    assert hints(f"Read this.\n{line}") == hints(f"<<<SYSTEM>>>\n{line}") == []


@pytest.mark.parametrize("line", ["User:", "[USER]", "### Human:", "**User:**"])
def test_a_prompt_without_sections_needs_no_name_of_the_user(line: str) -> None:
    (found,) = analyse(
        parse(f"---\nname: x\ninput: {{text: text}}\nreturns: text\n---\n{line}\n{{{{ input.text }}}}\n")
    )
    assert found.hint == "Take it out: a prompt without sections is the user's message."


@pytest.mark.parametrize(
    "line",
    ["<document>", "# User", "<user>", "System design is hard", "You are a system.", "Systems", "System requirements:", "User story:",
     "System: be brief", "<instructions>", "# Task", "---", "[1]", "<|x|>"],
)  # fmt: skip
def test_a_prompt_may_begin_with_any_other_line(line: str) -> None:
    assert (
        analyse(parse(f"---\nname: x\ninput: {{text: text}}\nreturns: text\n---\n{line}\n{{{{ input.text }}}}\n")) == ()
    )


@pytest.mark.parametrize(
    "line",
    ["[INST]", "[INST] Be brief. [/INST]", "<s>[INST]", "<|im_start|>assistant", "<|im_end|>", "<|eot_id|>", "<start_of_turn>user",
     "<|start_header_id|>system<|end_header_id|>", "</s>[INST] x"],
)  # fmt: skip
def test_the_signs_of_one_model_are_a_warning_wherever_a_line_begins_with_them(line: str) -> None:
    ((severity, hint),) = of_body(line)
    assert severity == "warning"
    assert "such signs are added for each model" in hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("<<<system>>>", "Did you mean `SYSTEM`?"),
        ("<<<SYSTEM PROMPT>>>", "Did you mean `SYSTEM`?"),
        ("<<<USER MESSAGE>>>", "Did you mean `USER`?"),
        ("<<<RECOVER>>>", "Did you mean `RECOVERY`?"),
        ("<<</SYSTEM>>>", "A section ends where the next one begins: take this line out."),
        ("<<<END SYSTEM>>>", "A section ends where the next one begins: take this line out."),
        ("<<<ASSISTANT>>>", "What the model answers stands under `examples`, or is not written at all."),
        ("<<<TEXT>>>", "A line of the prompt takes other signs: `<<TEXT>>`."),
        ("<<<END>>>", "A line of the prompt takes other signs: `<<END>>`."),
        ("<<<>>>", "A line of the prompt takes other signs"),
    ],
)
def test_a_marker_of_another_name_is_an_error_with_a_way_out(line: str, hint: str) -> None:
    ((severity, said),) = of_body(line)
    assert severity == "error"
    assert hint in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        *((line, "check") for line in (
            "```rllm_python check", "```rllm-py check", "```rllm python check", "```RLLM-Python check", "```rllm check", "```runllm check",
            "```rllmpython check", "```rllm.python check", "```{rllm-python} check", "```rllm_python-check",
            "```rlm-python check", "```rllm-pyton chek", "```python check", "```python-rllm check", "``rllm-python check",
            "'''rllm-python check", "    ```rllm-python check", "- ```rllm-python check", "~~~rllm_python check",
        )),
        ("```python check c inputs=output.r", "check c inputs=output.r"), ("```python3 pre outputs=a", "pre outputs=a"),
        ("```check inputs=output.r", "check inputs=output.r"), ("```python inputs=input.a", "PHASE inputs=input.a"),
        ("```rllmpython", "PHASE"), ("```rllm_python", "PHASE"), ("```RLLM-Python pre x", "pre x"),
    ],
)  # fmt: skip
def test_a_line_that_looks_like_the_fence_of_a_block_is_a_warning(line: str, said: str) -> None:
    assert of_body(line) == [("warning", f'Did you mean "```rllm-python {said}"?')]


@pytest.mark.parametrize(
    "line",
    ["```python", "```py", "```", '```python title="x"', "```python linenums=1", "```python test", "```python main.py", "```{python}",
     "```rllm", "```llm", "```json", "```bash check", "```pre", "```post", "```ipython", '"""Docstring"""', "say ```rllm_python check",
     "```python prose", "'' check", "rllm_python check"],
)  # fmt: skip
def test_the_fence_of_a_listing_is_left_alone(line: str) -> None:
    assert of_body(line) == []


# --- braces of other languages ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("${{ secrets.X }}", "GitHub Actions"),
        ("if: ${{ github.ref == 'main' }}", "GitHub Actions"),
        ("{{#if user}}", "Handlebars or Mustache"),
        ("{{/if}}", "Handlebars or Mustache"),
        ("{{> header}}", "Handlebars or Mustache"),
        ("{{! note }}", "Handlebars or Mustache"),
        ("{{{ body }}}", "Handlebars or Mustache"),
        ("{{ .Name }}", "a template of Go"),
        ("{{ range .Items }}", "a template of Go"),
        ("{{- if .X }}", "a template of Go"),
        ("{{ ok ? 'a' : 'b' }}", "JavaScript"),
        ("{{ a && b }}", "JavaScript"),
        ("<b style={{color: 'red'}}>", "JavaScript"),
        ("{{ $json.x }}", "JavaScript"),
        ("{{ title | date: 'Y' }}", "Liquid"),
        ("{% assign x = 1 %}", "Liquid"),
        ("{% csrf_token %}", "Django"),
        ("{{-- note --}}", "Blade"),
        ("\\newcommand{\\foo}{%", "a comment of LaTeX"),
        ("{{\\bf x}}", "LaTeX"),
        ("\\frac{{a}}{2}", "LaTeX"),
        ("x^{{2}}", "LaTeX"),
        ("echo ${#x}", "a length in bash"),
        ("{#if user}", "Svelte"),
        ("# Title {#title}", "an identifier of Pandoc or a parameter of TeX"),
        ("int a[2][2] = {{1,2},{3,4}};", "a list of C"),
    ],
)
def test_braces_of_another_language_have_a_way_out(line: str, language: str) -> None:
    hints = [hint for _, hint in of_body(line)]
    assert any(
        f"looks like {language}: where the prompt itself shows it, write `{{% raw %}}" in hint for hint in hints
    ), hints
    assert of_body(f"{{% raw %}}{line}{{% endraw %}}") == []


def test_braces_of_no_known_language_have_a_way_out_too() -> None:
    assert of_body("{{ user.name }}") == [
        ("error", "Where the prompt itself shows it, write `{% raw %}{{ user.name }}{% endraw %}`.")
    ]


def test_doubled_braces_of_json_are_told_to_be_single() -> None:
    assert of_body('{{"name": "x"}}') == [("error", "Braces of JSON are not doubled in a prompt: write `{` and `}`.")]


@pytest.mark.parametrize(
    "line",
    ["{# a note #}", "{#note#}", "{#- note -#}", "{{ 2 }}", "It costs ${{ input.text }}", '{"a": {"b": 1}}', "f(x) { return {}; }",
     "\\frac{a}{b}", "{{ '{{' }}", "${x} and ${x[@]}", "{% set x = 2 %}{{ x }}", "{{ input.text }}^{{ input.text }}", "{ {x} }"],
)  # fmt: skip
def test_right_braces_are_left_alone(line: str) -> None:
    assert of_body(line) == []


@pytest.mark.parametrize(
    "piece",
    ["${#x} ", "^{{2}}", "{{{{", "${{ a.b }}\n", "<<<", "{a", "<<SYSTEM>>\n", "[[", "%(", "<a", "{{ input.first-"],
)
def test_a_hostile_prompt_takes_no_time(piece: str) -> None:
    prompt = piece * (100_000 // len(piece))
    text = f"---\nname: x\ninput: {{text: text, e_mail: text}}\nreturns: text\n---\n{{{{ input.text }}}}{prompt}"
    began = time.process_time()
    analyse(parse(text))
    assert time.process_time() - began < 20


JINJA = [
    ("{% if input.n => 5 %}a{% endif %}", "=", "Write `>=`."),
    ("{% if input.n =< 5 %}a{% endif %}", "=", "Write `<=`."),
    ("{% if input.x == calm %}a{% endif %}", "calm", 'A text stands in quotes: `"calm"`.'),
    ("{% if input.x is calm %}a{% endif %}", "calm", 'a text stands in quotes: `x == "calm"`'),
    ("{{ input.l | select('calm') | list }}", "'", 'a text stands in quotes: `x == "calm"`'),
    ("{% if (input.n > 5 %}a{% endif %}", "}", "such as a `)`"),
    ("{% for x in input.l %}{{ x }}{% endfor }", "}", "Close it with `%}`."),
    ("{{% for x in input.l %}}{% endfor %}", "%", "one brace on each side"),
    ("{% for i in 1..5 %}{{ i }}{% endfor %}", "1.", "`range(1, 6)`"),
    ("{% set x == 1 %}", "==", "Write one `=`"),
    ("{% set input.x = 1 %}", "input", "Write a name of your own"),
    ("{{ input.x:.2f }}", ":", "Write `'%.2f' | format(x)`."),
    ('{{ input.n.format("0.00") }}', "format", "Write `'%.2f' | format(x)`."),
    ('{{ input.l | map("name") }}', '"name"', 'Write `map(attribute="name")`.'),
    ('{{ input.x | strftime("%Y") }}', "strftime", "A date is a text"),
    ("{{ input.x.year }}", "year", "A date is a text"),
    ("{{ input.x | wordcount }}", "wordcount", "Write `x | split | length`."),
    ("{{ input.x | b64encode }}", "b64encode", "a `pre` block can make it"),
    ('{{ input.b | yesno("a,b") }}', "yesno", 'Write `"a" if x else "b"`.'),
    ("{{ params.x }}", "params", "Did you mean `input.x`?"),
    ("{{ this.x }}", "this", "Did you mean `input.x`?"),
    ("{{ self.x }}", "self", "Did you mean `input.x`?"),
    ('{{ input.get("xx") }}', '"xx"', ""),
    ("{% if input.x && input.y %}a{% endif %}", "&&", "Write `and`."),
    ("{% if input.x || input.y %}a{% endif %}", "|", "Write `or`"),
    ("{% if !input.x %}a{% endif %}", "!", "Write `not x`."),
    ("{% if !(input.x) %}a{% endif %}", "!", "Write `not x`."),
    ('{% if input.x === "a" %}a{% endif %}', "=", "Write `==`."),
    ('{% if input.x !== "a" %}a{% endif %}', "=", "Write `!=`."),
    ('{% if input.x <> "a" %}a{% endif %}', ">", "Write `!=`."),
    ('{% if input.x = "a" %}a{% endif %}', "=", "compared with `==`"),
    ('{% if input.x eq "a" %}a{% endif %}', "eq", "compared with `==`"),
    ('{% if input.x is "a" %}a{% endif %}', '"a"', "compared with `==`"),
    ("{% if input.x AND input.y %}a{% endif %}", "AND", "small letters: `and`"),
    ('{% if input.x contains "a" %}a{% endif %}', "contains", 'Write `"part" in x`.'),
    ("{% if input.x %}a{% else if input.y %}b{% endif %}", "if", "Write `{% elif ... %}`."),
    ("{% if input.x %}a{% elseif input.y %}b{% endif %}", "elseif", "Write `{% elif ... %}`."),
    ("{% if input.x: %}a{% endif %}", ":", "Take the `:` out."),
    ("{% if (input.x) { %}a{% endif %}", "{", "Take the `{` out"),
    ("{% IF input.x %}a{% ENDIF %}", "IF", "small letters: `{% if x %}`"),
    ("{% unless input.x %}a{% endunless %}", "unless", "Write `{% if not x %}`"),
    ("{% if input.x %}a{% end %}", "end", "close it with `{% endif %}`"),
    ("{% if input.x %}a{% endfor %}", "endfor", "close it with `{% endif %}`"),
    ("{% for a in input.l %}{{ a }}{% end for %}", "end", "close it with `{% endfor %}`"),
    ("{% for a in input.l %}{% if a %}{{ a }}{% endfor %}", "endfor", "close it with `{% endif %}`"),
    (
        "{% for a in input.l %}{{ a }}",
        "",
        "What is open is the `{% for %}` of line 2 of this section: close it with `{% endfor %}`",
    ),
    ("{% endif %}", "endif", "No block is open here that `{% endif %}` belongs to: take it out."),
    ("{% elif input.x %}", "elif", "No block is open here"),
    ("{% foreach a in input.l %}a{% endforeach %}", "foreach", "Write `{% for x in xs %}`"),
    ("{% for a of input.l %}a{% endfor %}", "of", "Write `{% for x in xs %}`"),
    ("{% for (a in input.l) %}a{% endfor %}", "in", "without brackets"),
    ("{% for i, a in enumerate(input.l) %}a{% endfor %}", "enumerate", "`loop.index`"),
    ("{% while input.x %}a{% endwhile %}", "while", "loops over lists alone"),
    ("{% switch input.x %}", "switch", "`{% elif x =="),
    ("{% let a = 1 %}", "let", "Write `{% set name = value %}`."),
    ("{% a = 1 %}", "a", "Write `{% set name = value %}`."),
    ("{% set n = 1 %}{% set n += 1 %}", "+", "Write `{% set n = n + 1 %}`"),
    ("{% set n = 1 %}{{ n++ }}", "+", "Write `{% set n = n + 1 %}`"),
    ("{% print input.x %}", "print", "between `{{` and `}}`"),
    ("{{ set x = 1 }}", "x", "between `{%` and `%}`"),
    ("{{ if input.x }}a{{ endif }}", "input", "between `{%` and `%}`"),
    ("{{ endif }}", "endif", "between `{%` and `%}`"),
    ('{{ input.x ? "a" : "b" }}', "?", 'Write `"a" if x else "b"`.'),
    ('{{ input.x ?? "none" }}', "?", 'Write `x | default("none")`.'),
    ("{{ input.o?.k }}", "?", "Write `.` alone"),
    ("{{ input->x }}", ">", "read with `.`"),
    ("{{ $input.x }}", "$", "no sign before them"),
    ("{{ `a ${input.x}` }}", "`", "joined with `~`"),
    ('{{ f"{input.x}" }}', '"{input.x}"', "joined with `~`"),
    ("{{ input.x | default(\u201ca\u201d) }}", "\u201c", "straight quotes"),
    ("{% if input.x == \u2018a\u2019 %}a{% endif %}", "\u2018", "straight quotes"),
    ("{{ input.x; }}", ";", "Take the `;` out."),
    ("{{ input.x, input.y }}", ",", "`{{ a ~ b }}`"),
    ("{{ input.x input.y }}", "input", "joined with `~`"),
    ('{{ input.l | join ", " }}', '", "', 'xs | join(", ")'),
    ("{{ input.l.map(a => a) }}", ">", "no functions to write here"),
    ("{{ [a for a in input.l] }}", "for", "Lists are not built so"),
    ("{{ input.x }", "}", "Close it with `}}`."),
    ("{% if input.x == null %}a{% endif %}", "null", "Nothing is `none`"),
    ("{% if input.x == undefined %}a{% endif %}", "undefined", "Nothing is `none`"),
    ("{% if input.x is null %}a{% endif %}", "null", "`x is none`"),
    ("{% if input.x is empty %}a{% endif %}", "empty", "`{% if not x %}`"),
    ("{{ input.l.length }}", "length", "Write `input.l | length`."),
    ("{{ input.o.k.size }}", "size", "Write `input.o.k | length`."),
    ("{{ input.l.length() }}", "length", "Write `input.l | length`."),
    ("{{ len(input.l) }}", "len", "Write `input.l | length`."),
    ('{{ input.l.join(", ") }}', "join", "Write `input.l | join(...)`."),
    ("{{ input.x.toUpperCase() }}", "toUpperCase", "Write `input.x | upper`."),
    ("{{ input.x | uppercase }}", "uppercase", "Write `| upper`."),
    ("{{ now() }}", "now", "`{{ run.date }}`"),
    ('{{ "a" + input.n }}', '"a" + input.n', "joined with `~`"),
    ("{{ input.n + input.x }}", "input.n + input.x", "joined with `~`"),
    ("{% if input.x - 1 > 2 %}a{% endif %}", "input.x - 1", "`| int`"),
    ("{% if {{ input.x }} == 'a' %}a{% endif %}", "}", "without braces of their own"),
    ("{{ {{ input.x }} }}", "}", "without braces of their own"),
    ("{% if input.x %}a{% else %}b{% else %}c{% endif %}", "else", "take one of them out"),
    ("{{ '%d pages' % input.n }}", "'%d pages' % input.n", "`'%d pages' | format(x)`"),
    ('{% if input.l.includes("a") %}a{% endif %}', "includes", 'Write `"part" in x`.'),
    ('{% if input.x | contains("a") %}a{% endif %}', "contains", 'Write `"part" in x`.'),
    ('{{ input.l.push("a") }}', "push", "`xs + [x]`"),
    ("{{ input.x | substring(0, 5) }}", "substring", "Write `x[:100]`."),
    ("{{ input.o | to_yaml }}", "to_yaml", "Write `| tojson`."),
    ("{% if defined(input.y) %}a{% endif %}", "defined", "`x is defined`"),
    ("{{ env.HOME }}", "env", "reads no environment"),
    ('{{ "a }}', "", "quote that it begins with"),
    ("to ${x}", "${x}", "Write `{{ input.x }}`"),
    ("to ${input.x}", "${input.x}", "Write `{{ input.x }}`"),
    ("to {input.x}", "{input.x}", "Write `{{ input.x }}`"),
    ("<%= x %>", "<%= x %>", "Write `{{ input.x }}`"),
    ("<%= input.x %>", "<%= input.x %>", "Write `{{ input.x }}`"),
    ("<% if input.x %>", "<% if input.x %>", "Write `{% ... %}`"),
    ("#{input.x}", "#{input.x}", "Write `{{ input.x }}`"),
    ("{ { input.x } }", "{ { input.x } }", "Write `{{ input.x }}`"),
    ("{ % if input.x % }", "{ % if input.x % }", "Write `{% ... %}`"),
]
"""What other languages write, the words under the caret, and what Jinja writes."""


def of_template(line: str) -> list[tuple[str, str]]:
    """What is found of a line of a prompt: the words under the caret, the hint."""
    properties = "text: {type: string}, x: {type: string}, y: {type: string}, n: {type: integer}, l: {type: array}"
    schema = f"{{type: object, properties: {{{properties}, o: {{properties: {{k: {{type: string}}}}}}}}}}"
    found = analyse(parse(f"---\nname: x\ninput_schema: {schema}\nreturns: text\n---\n{{{{ input }}}}\n{line}\n"))
    return [(p.span.text[p.span.column - 1 :][: p.span.length] if p.span else "", p.hint) for p in found]


@pytest.mark.parametrize(("line", "mark", "hint"), JINJA)
def test_what_another_language_writes_is_told_with_what_jinja_writes(line: str, mark: str, hint: str) -> None:
    told = of_template(line)
    assert any(hint in said for _, said in told), told
    assert mark == "" or any(at[:1] == mark[:1] for at, _ in told), told
    assert of_template(f"{{% raw %}}{line}{{% endraw %}}") == []


@pytest.mark.parametrize(
    "line",
    [
        '{{ "a && b || c ? d : e; \u201cf\u201d" }}', '{{ "a" ~ input.n }}', '{{ input.x + "a" }}', "{{ input.n + 1 }}", "{{ input.l + [1] }}",
        '{{ "-" * 20 }}', "{{ input.n * 2.5 - 1 }}", "{{ (input.x | int) + 1 }}", "{{ (input.l | length) + 1 }}", "{% set x = 2 %}{{ x + 1 }}",
        "{% for n in [1, 2] %}{{ n + loop.index }}{% endfor %}", "{% for text in [1] %}{{ text + 1 }}{% endfor %}", "{{ input.x if input.n > 1 else 'a' }}",
        "{% if input.x is none or input.x == none %}a{% endif %}", "use ${HOME}, {a}, #{b}, <%= c %>, {x}, [x] and <x>", "{# ${x} #}a",
        '{"input": {"x": 1}}', "{ {1, 2}, {3, 4} }", "a ? b : c; d && e", "{% set a %}b{% endset %}{{ a }}",
    ],
)  # fmt: skip
def test_what_a_template_means_is_left_alone(line: str) -> None:
    assert of_template(line) == []


COMPARED = [
    ('{% if input.n > "5" %}a{% endif %}', 'input.n > "5"', "Write it without quotes: `5`."),
    ("{% if '5' <= input.n %}a{% endif %}", "'5' <= input.n", "Write it without quotes: `5`."),
    ('{% if input.n == "3" %}a{% endif %}', 'input.n == "3"', "Write it without quotes: `3`."),
    ('{% if input.n != "-3.5" %}a{% endif %}', 'input.n != "-3.5"', "Write it without quotes: `-3.5`."),
    ('{{ "b" if "3" == input.n }}', '"3" == input.n', "Write it without quotes: `3`."),
    ('{% if input.n == "three" %}a{% endif %}', 'input.n == "three"', ""),
    ("{% if input.x == 3 %}a{% endif %}", "input.x == 3", 'Write it in quotes: `"3"`.'),
    ('{% if input.l == "a" %}a{% endif %}', 'input.l == "a"', 'Write `"a" in input.l`.'),
    ('{% if input.b == "true" %}a{% endif %}', 'input.b == "true"', "Write `input.b`: it is true or false."),
    ('{% if input.b == "no" %}a{% endif %}', 'input.b == "no"', "Write `not input.b`: it is true or false."),
    ("{% if input.x == true %}a{% endif %}", "input.x == true", ""),
    ("{% if input.x == input.n %}a{% endif %}", "input.x == input.n", ""),
    ("{% if input.x | length == '3' %}a{% endif %}", "input.x | length == '3'", "Write it without quotes: `3`."),
    ('{% if input.e == "calmm" %}a{% endif %}', 'input.e == "calmm"', 'Did you mean "calm"?'),
    ('{% if input.e != "x" %}a{% endif %}', 'input.e != "x"', ""),
    ('{% if input.x == "a" or "b" %}a{% endif %}', '"b"', 'Write `input.x in ["a", "b"]`.'),
    ('{{ 1 if input.x == "a" or "b" or "c" else 2 }}', '"b"', 'Write `input.x in ["a", "b", "c"]`.'),
    ('{% if input.x != "a" and "b" %}a{% endif %}', '"b"', 'Write `input.x not in ["a", "b"]`.'),
    ('{% if input.e in ["calm", "upst"] %}a{% endif %}', '"upst"', 'Did you mean "upset"?'),
    ('{{ "a" if input.e not in ["x", "upset"] }}', '"x"', ""),
    ("{% for k, v in input.o %}{{ k }}{% endfor %}", "input.o", "Write `k, v in input.o.items()`."),
]
"""Conditions that are always true or never, the words under the caret, and what to write."""


def of_compared(line: str) -> list[tuple[str, str, str]]:
    properties = "x: {type: string}, n: {type: integer}, l: {type: array}, b: {type: boolean}, e: {enum: [calm, upset]}"
    schema = (
        f"{{type: object, properties: {{{properties}, o: {{type: object}}, z: {{}}, y: {{type: [string, 'null']}}}}}}"
    )
    found = analyse(parse(f"---\nname: x\ninput_schema: {schema}\nreturns: text\n---\n{{{{ input }}}}\n{line}\n"))
    return [(p.span.text[p.span.column - 1 :][: p.span.length] if p.span else "", p.severity, p.hint) for p in found]


@pytest.mark.parametrize(("line", "mark", "hint"), COMPARED)
def test_a_condition_that_is_always_true_or_never_is_a_warning(line: str, mark: str, hint: str) -> None:
    assert of_compared(line) == [(mark, "warning", hint)]


@pytest.mark.parametrize(
    "line",
    [
        "{% if input.n == 3 %}a{% endif %}", "{% if input.n == 3.5 %}a{% endif %}", '{% if input.x == "3" %}a{% endif %}',
        '{% if input.z == "3" %}a{% endif %}', '{% if input.y == "3" %}a{% endif %}', "{% if input.y == none %}a{% endif %}",
        "{% if input.x == none %}a{% endif %}", "{% if input.b == 1 %}a{% endif %}", '{% if input.l == ["a"] %}a{% endif %}',
        '{% if input.e == "calm" %}a{% endif %}', '{% if input.e in ["calm", input.x] %}a{% endif %}', '{% if input.x in ["a"] %}{% endif %}', '{% if input.x == "a" or input.x == "b" %}a{% endif %}', '{{ input.x or "b" }}',
        '{{ input.x == "a" and "b" or "c" }}', '{% if input.b or input.x == "a" %}a{% endif %}',
        "{% for k, v in input.o.items() %}{{ k }}{% endfor %}", "{% for k, v in input.o | items %}{{ k }}{% endfor %}",
        "{% for k in input.o %}{{ k }}{% endfor %}", "{% for a, b in [[1, 2]] %}{{ a }}{% endfor %}", "{% for k, v in input.z %}{{ k }}{% endfor %}",
        "{% for n in input.l %}{% if n == 1 %}a{% endif %}{% endfor %}", '{% set n = "a" %}{% if n == "b" %}{% endif %}',
        '{% if input.n | string == "3" %}a{% endif %}', '{% if input.e | upper == "CALM" %}a{% endif %}',
    ],
)  # fmt: skip
def test_a_condition_that_may_be_true_is_left_alone(line: str) -> None:
    assert of_compared(line) == []


@pytest.mark.parametrize("where", ["with", "with of each", "for_each", "output"])
@pytest.mark.parametrize(
    ("line", "mark", "hint"),
    [
        ("{% if input.e == 'calmm' %}a{% endif %}", "input.e == 'calmm'", 'Did you mean "calm"?'),
        ("{% if input.e != 'x' %}a{% endif %}", "input.e != 'x'", ""),
        ("{% if input.e in ['calm', 'upst'] %}a{% endif %}", "'upst'", 'Did you mean "upset"?'),
        ("{% if input.n == 'three' %}a{% endif %}", "input.n == 'three'", ""),
        ("{{ 'a' if input.l[0] == 'calmm' }}", "input.l[0] == 'calmm'", 'Did you mean "calm"?'),
        ("{{ input.n && 1 }}", "&", "Write `and`."),
    ],
)
def test_a_template_that_feeds_an_app_is_held_to_the_same(where: str, line: str, mark: str, hint: str) -> None:
    written = f'"{line}"'
    quoted = {name: written if name == where.partition(" ")[0] else '"a"' for name in ("with", "output")}
    each = f"for_each: {written}, " if where == "for_each" else "for_each: [1], " if where == "with of each" else ""
    front = (
        "input_schema: {type: object, properties: {n: {type: integer}, e: {enum: [calm, upset]},"
        " l: {type: array, items: {enum: [calm, upset]}}}, required: [n, e, l]}\n"
        f"uses: [{{name: a, path: a.rllm, {each}with: {{text: {quoted['with']}}}}}]\n"
        f"output: {{out: {quoted['output']}}}\nreturns: {{out: text}}\n"
    )
    found = analyse(parse(f"---\nname: x\n{front}---\n"), {"a": None})
    told = {(p.span.text[p.span.column - 1 :][: p.span.length], p.hint) for p in found if p.span}
    assert (mark, hint) in told


# --- names that are no words -------------------------------------------------------------------------

NAMES = (
    "{ type: object, properties: { text: {}, first-name: {}, a b: {}, 2nd: {}, a: { properties: { zip-code: {} } } } }"
)


def of_names(body: str) -> list[tuple[str, str]]:
    found = analyse(parse(f"---\nname: x\ninput_schema: {NAMES}\nreturns: text\n---\n{{{{ input }}}}\n{body}\n"))
    return [(p.span.text[p.span.column - 1 :][: p.span.length] if p.span else "", p.hint) for p in found]


@pytest.mark.parametrize(
    ("written", "mark", "hint"),
    [
        ("{{ input.first-name }}", "first-name", 'Write `input["first-name"]`.'),
        ("{{ input.a.zip-code | upper }}", "zip-code", 'Write `input.a["zip-code"]`.'),
        ("{% set a = input.a %}{{ a.zip-code }}", "zip-code", 'Write `input.a["zip-code"]`.'),
        ("{{ input.a b }}", "b", 'Write `input["a b"]`.'),
    ],
)
def test_a_name_that_is_no_word_is_read_in_brackets(written: str, mark: str, hint: str) -> None:
    assert of_names(written) == [(mark, hint)]


@pytest.mark.parametrize(
    "written",
    [
        '{{ input["first-name"] }} {{ input["a b"] }} {{ input.a["zip-code"] }}',
        "{{ input.text-1 }} {{ input.text - input.a }}",
        """```rllm-python check inputs=input["first-name"],input["a b"], input["2nd"], input.a["zip-code"], output
assert first_name and a_b and _2nd and zip_code and output
```""",
    ],
)
def test_right_names_are_left_alone(written: str) -> None:
    assert of_names(written) == []


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("required: [text, nick]", "Every name is required unless it ends in `?`"),
        ("nullable: true", "Write `?` behind the name of what may be absent"),
        ("additionalProperties: false", "takes its own names and no others"),
    ],
)
def test_words_of_json_schema_among_the_names_of_a_contract_in_words(written: str, hint: str) -> None:
    (found,) = analyse(parse(f"---\nname: x\ninput:\n  text: text\n  {written}\nreturns: text\n---\n{{{{ input }}}}\n"))
    assert hint in found.hint


# --- YAML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("a: { description: Note: this, b: c }", 'Quote a text that holds a colon, as `"Note: this"`.'),
        ("a: { d: see http://x.org: y }", 'Quote a text that holds a colon, as `"see http://x.org: y"`.'),
        ("a: { d: Note:}", 'Quote a text that holds a colon, as `"Note:"`.'),
        ("a: {{ input.x }}", "Quote a text that begins with `{{`"),
        ('a: "to the end\nb: c', "The quote that begins here is not closed"),
        ("a: 'to the end\nb: c", "The quote that begins here is not closed"),
        ("a: *bold*", "Quote a text that starts with `*` or `&`."),
    ],
)
def test_a_text_that_yaml_takes_for_more_is_told_to_be_quoted(written: str, hint: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(written)
    assert hint in caught.value.hint


# --- the frontmatter ------------------------------------------------------------------------------


def of_front(text: str) -> list[tuple[str, str, str]]:
    """What is found of a frontmatter: the words under the caret, the severity, the hint."""
    found = analyse(parse(f"---\n{text}\n---\n{{{{ input.text }}}}\n"))
    return [
        (p.span.text[p.span.column - 1 :][: p.span.length], p.severity, p.hint) for p in found if p.span is not None
    ]


@pytest.mark.parametrize(
    ("written", "mark", "hint"),
    [
        ('llm_params: {temperature: "0.2"}', '"0.2"', "Write it without quotes: 0.2."),
        ("llm_params:\n  temperature: 0,2", "0,2", "Write it with a point: 0.2."),
        ("llm_params: {temperature: 0,2}", "2", "Inside braces a comma ends a value: a number has a point, as `0.2`."),
        ('llm_params: {max_tokens: "50"}', '"50"', "Write it without quotes: 50."),
        ("tags: a, b", "a, b", "Write a list: `[a, b]`."),
        ("tags: one", "one", "Write a list: `[one]`."),
        ("examples: {input: {text: a}, output: {out: b}}", "examples", "Write each pair as an entry of a list"),
        ("llm_params: {max_tokens: 2k}", "2k", "Write the number alone: 2000."),
        ("max_context_window: 8,5k", "8,5k", "Write the number alone: 8500."),
        ("max_cost: $0.10", "$0.10", "Write the number alone: 0.1."),
        ("max_cost: 10 cents", "10 cents", "Write the number alone: 0.1."),
        ("examples: [{input: hi, output: {out: a}}]", "hi", "Write it with its name: `{text: hi}`."),
        ("examples: [{text: hi, out: a}]", "text", "Put it under `input`: `input: {text: ...}`."),
        ("examples: [{text: hi, out: a}]", "out", "Put it under `output`: `output: {out: ...}`."),
        ("tests: [{input: {text: a}, expect: {out: b}}]", "expect", "Did you mean `output`?"),
        ("system: Be brief.", "system", "under a line `<<<SYSTEM>>>`"),
        ("prompt: Be brief.", "prompt", "The prompt stands below the second `---` line."),
        ("outputs: {out: text}", "outputs", "What the model answers is described under `returns`."),
        ("depends_on: [a.rllm]", "depends_on", "under `uses`"),
        ("\u00a0\u00a0tags: [a]", "\u00a0\u00a0tags", "It holds a no-break space (U+00A0)"),
        ("ta\u200bgs: [a]", "ta\u200bgs", "It holds a space of no width (U+200B)"),
    ],
)
def test_a_value_of_another_type_says_what_to_write(written: str, mark: str, hint: str) -> None:
    found = of_front(f"name: x\n{written}\nllm: {{model: openai/gpt-4o}}\n{CONTRACT}")
    assert any(at[: len(mark)] == mark and severity == "error" and hint in said for at, severity, said in found), found


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("text 1..60 the text", "A comma comes before the description: `text 1..60, the text`."),
        ("integer 1..5 - stars", "A comma comes before the description: `integer 1..5, stars`."),
        ("text (default hello)", "A default is written in `input_schema`."),
        ("text = hello", "A default is written in `input_schema`."),
        ("text (default: hello)", "A default is written in `input_schema`; a description stands after a comma."),
    ],
)
def test_what_stands_behind_a_type_says_where_it_belongs(written: str, hint: str) -> None:
    found = analyse(parse(f"---\nname: x\ninput:\n  text: {written}\nreturns: text\n---\n{{{{ input.text }}}}\n"))
    assert [one.hint for one in found if one.severity == "error"][:1] == [hint]


CONTRACT = "input: {text: text}\nreturns: {out: text}"


@pytest.mark.parametrize(
    ("front", "hints"),
    [
        ("Name: x\nInput: {text: text}\nReturns: text", ["`name`", "`input`", "`returns`"]),
        ("name: x\ninputs: {text: text}\nreturn: text", ["`input`", "`returns`"]),
        (
            "name: x\ninput: {text: text}\noutput: {out: calm | upset}",
            ["What a model is to answer is called `returns`."],
        ),
    ],
)
def test_a_key_that_is_spelt_otherwise_is_told_once(front: str, hints: list[str]) -> None:
    told = [hint for _, severity, hint in of_front(front) if severity == "error"]
    assert len(told) == len(hints)
    assert all(hint in said for hint, said in zip(hints, told, strict=True)), told


@pytest.mark.parametrize("written", ["a {type: string}", "a:{type: string}"])
def test_a_schema_that_stands_right_behind_its_name_says_what_is_missing(written: str) -> None:
    front = f"name: x\ninput: {{text: text}}\noutput_schema:\n  type: object\n  properties:\n    {written}"
    assert "Behind the name stand a colon and a blank: `a: {type: string}`." in [hint for *_, hint in of_front(front)]


@pytest.mark.parametrize(
    ("written", "cut", "whole"),
    [
        ("description: Issue #12", "#12", '"Issue #12"'),
        ("description: fix the bug #now please", "#now please", '"fix the bug #now please"'),
        ("tags: [a, b #7, c\n  ]", "#7, c", '"b #7"'),
        ("tags:\n  - room #4", "#4", '"room #4"'),
        ('metadata: {a: {b: say "x" #2\n }}', "#2", "'say \"x\" #2'"),
        ("author: #12", "#12", '"#12"'),
    ],
)
def test_a_text_that_a_comment_cuts_is_told(written: str, cut: str, whole: str) -> None:
    found = [one for one in of_front(f"name: x\n{written}\n{CONTRACT}") if one[0] == cut]
    assert found == [(cut, "warning", f"Quote it: `{whole}`.")]


@pytest.mark.parametrize(
    "written",
    [
        "description: words # a comment", "description: words  #temperature: 0", "version: 1.0.0 #first", "max_calls: 5 #12",
        "llm: openai/gpt-4o #cheap", "description: 'Issue #12'", "description: Issue#12", "description: |\n  Issue #12",
        "# description: Issue #12", 'tags: ["a #1"] #two', "description: one\n  two",
    ],
)  # fmt: skip
def test_a_comment_is_left_alone(written: str) -> None:
    assert [one for one in of_front(f"name: x\n{written}\n{CONTRACT}") if "Quote" in one[2]] == []


def test_a_number_that_loses_digits_is_told() -> None:
    found = of_front(
        f"name: x\nmetadata: {{a: 9007199254740993.0, b: 0.1, c: '9007199254740993.0', d: 9007199254740993}}\n{CONTRACT}"
    )
    hint = 'Quote it if it is a text, `"9007199254740993.0"`; a whole number is exact without a point.'
    assert found == [("9007199254740993.0", "warning", hint)]


@pytest.mark.parametrize(
    "value", ["!!str a", "! a", "!!int 3", "!x a", "!!str\n  a", "{a: !!float 1}", "!!map {a: 1}", "!!seq [a]"]
)
def test_every_tag_is_refused(value: str) -> None:
    with pytest.raises(DocumentError, match="tag `!"):
        read(f"metadata: {value}")


@pytest.mark.parametrize(
    ("uses", "entry"),
    [
        ("{b: ./b.rllm}", "name: b, path: ./b.rllm"),
        ("[./first-one.rllm]", "name: first_one, path: ./first-one.rllm"),
        ("./b.rllm", "name: b, path: ./b.rllm"),
        ("{b: {path: ./b.rllm}}", "name: NAME, path: FILE.rllm"),
    ],
)
def test_an_app_that_is_used_otherwise_is_shown_as_an_entry(uses: str, entry: str) -> None:
    assert (
        of_front(f"name: x\nuses: {uses}\n{CONTRACT}")[0][2]
        == f"Write each app as an entry of a list: `- {{{entry}, with: {{...}}}}`."
    )


@pytest.mark.parametrize(
    ("line", "single"),
    [
        ('recovery_prompt: "{{ input["text"] }}"', """'{{ input["text"] }}'"""),
        ('recovery_prompt: "say {{ input.a | default("x") }} now"', """'say {{ input.a | default("x") }} now'"""),
        ('metadata: {a: "{{ input["l"] }}"}', """'{{ input["l"] }}'"""),
    ],
)
def test_a_template_that_ends_its_own_quotes_is_told(line: str, single: str) -> None:
    assert f"put single ones around it, `{single}`." in of_front(f"name: x\n{line}\n{CONTRACT}")[0][2]


@pytest.mark.parametrize(
    ("returns", "hint"),
    [
        ("{type: string}", "Write `returns: string`; for an object with a `type` in it, `returns: {type: text}`."),
        (
            "{type: integer}",
            "Write `returns: integer`; for an object with a `type` in it, the whole contract as `output_schema`.",
        ),
        ("{type: object}", "Call the key `output_schema`."),
    ],
)
def test_a_schema_of_one_key_says_what_to_write(returns: str, hint: str) -> None:
    assert [one for one in of_front(f"name: x\ninput: {{text: text}}\nreturns: {returns}") if one[1] == "error"] == [
        ("type", "error", hint)
    ]


@pytest.mark.parametrize(
    "returns", ["{type: text}", "{type: a | b}", "{type: string, size: integer}", "{mood: string}"]
)
def test_a_contract_with_a_type_in_it_is_one(returns: str) -> None:
    assert of_front(f"name: x\ninput: {{text: text}}\nreturns: {returns}") == []


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("smollm2-135m", "Did you mean `local/smollm2-135m`, which runs on this machine?"),
        ("SmolLM2-360m", "Did you mean `local/smollm2-360m`, which runs on this machine?"),
        ("phi3-mini", "Did you mean `local/phi-3-mini`, which runs on this machine?"),
    ],
)
def test_a_local_model_without_its_prefix_is_told(model: str, hint: str) -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        provider_of(model)
    assert refused.value.recovery_hint == hint


@pytest.mark.parametrize("model", ["gpt-4o-minii", "claude-sonnet", "qwen-max-2025"])
def test_a_model_of_a_cloud_is_not_taken_for_a_local_one(model: str) -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        provider_of(model)
    assert "on this machine" not in refused.value.recovery_hint


def test_names_of_any_script_are_read_by_blocks() -> None:
    text = "---\nname: x\ninput: {größe: text, naïve_name: text}\nreturns: {out: text}\n---\n{{ vars.länge }} {{ input }}\n\n"
    fence = (
        "```rllm-python pre inputs=input.größe,input.naïve_name outputs=länge\nlänge = len(größe + naïve_name)\n```\n"
    )
    assert analyse(parse(text + fence)) == ()


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("{{ loop.index }}", True), ("{% if loop.first %}{% endif %}", True), ("{{ loop }}", True),
        ("{% for i in [1] %}{% endfor %}{{ loop.index }}", True), ("{% macro m() %}{{ loop.index }}{% endmacro %}", True),
        ("{% for i in [1] %}{{ loop.index }}{% endfor %}", False), ("{% for i in [1] %}{% if loop.last %}.{% endif %}{% endfor %}", False),
        ("{% for i in [1] recursive %}{% if false %}{{ loop([i]) }}{% endif %}{% endfor %}", False),
    ],
)  # fmt: skip
def test_loop_is_known_within_a_loop_alone(body: str, wrong: bool) -> None:
    found = analyse(parse(f"---\nname: x\n{CONTRACT}\n---\n{{{{ input.text }}}}{body}\n"))
    assert [(one.message, one.severity) for one in found] == [("`loop` is there within a loop alone", "error")] * wrong
