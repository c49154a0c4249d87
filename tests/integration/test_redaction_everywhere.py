"""Keys are planted wherever they can occur, and every byte that comes out is searched for them."""

import asyncio
import base64
import json
import logging
import os
import re
import subprocess
import time
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.chances import some
from tests.integration.provider import Provider, Received, Reply, answer
from tests.warm import RUNLLM

import runllm
from runllm import redaction
from runllm.errors import RunllmError
from runllm.redaction import MASK, is_secret_name, redact, redact_text
from runllm.rendering import Paint, error_json, error_report
from runllm.runtime import Runtime
from runllm.stats.store import Store

KEY = 'Zq7"\\ü/+Wk2=%Pn9#Lx4&Rt6'  # of no known shape, with what every encoding changes
KEYS = {
    "OPENAI_API_KEY": "Aa1PlantedOpenaiKeyBb2",
    "AWS_SECRET_ACCESS_KEY": "Cc3/Planted+AwsSecret/Dd4",
    "GITHUB_TOKEN": "Ee5PlantedGithubTokenFf6",
    "MY_GITHUB_PAT": "Gg7PlantedPatHh8",
    "GPG_PASSPHRASE": "Ii9 planted pass phrase Jj0",
    "PGPASSWORD": "Kk1PlantedPostgresLl2",
    "SIGNING_PRIVATE_KEY": "Mm3PlantedPrivateNn4",
    "EXOTIC_KEY": KEY,
}
PLACES = {
    "DATABASE_URL": ("postgres://me:Oo5PlantedPassword@db/x", "Oo5PlantedPassword"),
    "OPENAI_API_KEYS": ("Pp6PlantedFirst,Qq7PlantedSecond", "Qq7PlantedSecond"),
}
APP = """---
name: app
description: A test.
version: 1.0.0
author: me
max_context_window: 8192
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {{type: object, properties: {{out: {{type: string, maxLength: 60}}}}, required: [out], additionalProperties: false}}
llm: {{model: openai/m, api_base: "{base}", api_key_env: OPENAI_API_KEY, num_retries: 0{more}}}
llm_params: {{}}
---
{prompt}
"""


def planted() -> list[str]:
    return [*KEYS.values(), *(inner for _, inner in PLACES.values())]


def written(secret: str) -> list[str]:
    """The forms in which a key may stand in what a program writes."""
    raw = secret.encode()
    return [
        secret, quote(secret, safe=""), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(b"user:" + raw).decode(), raw.hex(), repr(secret)[1:-1],
    ]  # fmt: skip


def leaks(text: str | bytes) -> list[str]:
    """The planted keys, in any form, that stand in an output; all but the ends, in which base64 holds what is around."""
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    squeezed = re.sub(r"[\s│]", "", said)
    forms = [form.rstrip("=") for secret in planted() for form in written(secret)]
    return [form for form in forms if form[9:-2] in said or "".join(form[9:-2].split()) in squeezed]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, **{name: value for name, (value, _) in PLACES.items()}}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


def make(folder: Path, base: str, *, prompt: str = "{{ input.text }}", more: str = "") -> Path:
    path = folder / "app.rllm"
    path.write_text(APP.format(base=base, prompt=prompt, more=more), encoding="utf-8")
    return path


# --- what is known for a secret ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GITHUB_PAT", "GPG_PASSPHRASE", "SSH_PRIVATE_KEY", "PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "OPENAI_API_KEY_PROD", "OPENAI_API_KEYS", "OPENAI_API_KEY_2", "SECRET_KEY_BASE", "AZURE_CLIENT_SECRET", "NPM_TOKEN", "apiKey", "accessToken", "clientSecret", "x-api-key", "Authorization", "Cookie", "password", "REDISCLI_AUTH", "SENTRY_DSN"],
)  # fmt: skip
def test_a_name_of_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "GIT_ASKPASS", "KEYBOARD", "max_tokens", "completion_tokens", "api_key_env", "AWS_ACCESS_KEY_ID", "OPENAI_API_KEY_FILE", "MONKEY", "compass", "keyword", "author"],
)  # fmt: skip
def test_a_name_of_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("form", written(KEY))
def test_a_key_is_masked_in_every_form(form: str) -> None:
    environment = {"EXOTIC_KEY": KEY}
    found = redact_text(f"<{form}>", environment)
    assert MASK in found
    assert form.rstrip("=")[9:-2] not in found
    nested = redact({"a": [{"b": f"x {form} y"}], form: 1}, environment)
    assert nested == {"a": [{"b": redact_text(f"x {form} y", environment)}], redact_text(form, environment): 1}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Abcdefgh\n12345678\n  WXYZ", ""),
        ("said Abcdefgh1234", "said "),
        ("said Abcdefgh123… and on", "said … and on"),
        ("Abcdefgh is a word", "Abcdefgh is a word"),
        ("twice Abcdefgh12345678WXYZAbcdefgh12345678WXYZ", "twice "),
    ],
    ids=["broken over lines", "cut by the end", "cut by an ellipsis", "only the same beginning", "twice"],
)
def test_a_key_in_pieces(text: str, left: str) -> None:
    assert redact_text(text, {"A_KEY": "Abcdefgh12345678WXYZ"}).replace(MASK, "") == left


def test_a_passphrase_of_several_words_is_masked_wherever_a_line_ends() -> None:
    environment = {"A_PASSPHRASE": "correct horse battery"}
    for text in ("correct horse battery", "correct\nhorse   battery", "correcthorse battery"):
        assert redact_text(f"<{text}>", environment) == f"<{MASK}>"
    assert redact_text("aa bb", {"A_KEY": "a  a  b  b"}) == "aa bb"  # too little is left of it without its blanks


@pytest.mark.parametrize("kind", ["PRIVATE KEY", "RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
@pytest.mark.parametrize("head", ["", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"])
def test_a_private_key_is_masked_whatever_stands_at_its_head(kind: str, head: str) -> None:
    text = f"-----BEGIN {kind}-----\n{head}TUlJRW93SUJBQUtDQVFFQQ==\n-----END {kind}-----"
    assert redact_text(text, {}) == f"-----BEGIN {kind}-----{MASK}-----END {kind}-----"


def test_colons_without_end_take_no_time() -> None:
    text = ("a://" + ":" * 600) * 2000
    started = time.process_time()
    assert redact_text(text, {}) == text
    assert time.process_time() - started < 1.5


def test_a_variable_that_a_user_names_for_a_key_is_a_secret_of_any_name() -> None:
    environment = {"PLAIN_NAME_OF_MINE": "Rr8PlantedSs9"}
    assert redact_text("Rr8PlantedSs9", environment) == "Rr8PlantedSs9"
    redaction.name_secret("PLAIN_NAME_OF_MINE")
    assert redact_text("Rr8PlantedSs9", environment) == MASK


# --- every way out ----------------------------------------------------------------------------------


def everything(text: str) -> str:
    """A text with every key in it, in every form."""
    return text + " " + " ".join(form for secret in planted() for form in written(secret))


def _echo(received: Received) -> dict:
    key = received.headers.get("authorization", "")
    return {"error": {"message": f"bad key {key} " + " ".join(planted()[1:4]), "type": "x", "code": "x"}}


REPLIES = {
    "error that echoes": Reply(status=401, body=_echo),
    "error page": Reply(
        status=500, body=lambda _: everything("<h1>broken</h1>"), headers={"Content-Type": "text/html"}
    ),
    "wrong answers": answer(json.dumps({"out": everything("x")})),
    "no object": answer(everything("I would say")),
}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_exception_holds_no_key(tmp_path: Path, provider: Provider, name: str, mode: str, caplog) -> None:
    """Neither what it says, nor what it came from, nor its traceback, nor what is logged."""
    caplog.set_level(logging.INFO)  # who turns on a library's debugging sees what it sends
    provider.script(REPLIES[name])
    store = Store(tmp_path / "s.db")
    with Runtime(store=store, sleep=lambda _: None) as runtime:
        allowed = [provider.root]
        app = runllm.load(
            make(tmp_path, provider.base), runtime=runtime, stats=True, max_retries=1, allowed_bases=allowed
        )

        def go() -> None:
            if mode == "sync":
                app.run({"text": "hello"})
            else:
                asyncio.run(app.arun({"text": "hello"}))

        with pytest.raises(RunllmError) as caught:
            go()
    error = caught.value
    seen = [
        str(error),
        repr(error),
        repr(error.args),
        json.dumps(error.payload()),
        error_json(error),
        error_report(error, Paint(colour=False)),
    ]
    seen += traceback.format_exception(error)
    chain, known = [error], set()
    while chain:
        one = chain.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        seen += [str(one), repr(one), repr(one.args), *getattr(one, "__notes__", ())]
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
    assert provider.chats[0].headers["authorization"] == f"Bearer {KEYS['OPENAI_API_KEY']}"
    for text in seen:
        assert not leaks(text), text[:2000]
    assert not leaks(repr(error.result)), repr(error.result)
    for record in caplog.records:
        assert not leaks(record.getMessage()), record


def run(folder: Path, *arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "RUNLLM_STATS_DB": str(folder / "stats.db"), "RUNLLM_STATS": "on", **environment}
    return subprocess.run(
        [RUNLLM, *arguments], capture_output=True, env=env, cwd=folder, timeout=60, input=(stdin or "").encode()
    )


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("name", some(list(REPLIES), 3))
def test_a_command_that_fails_shows_and_stores_no_key(tmp_path: Path, provider: Provider, name: str) -> None:
    provider.script(REPLIES[name])
    make(tmp_path, provider.base)
    done = run(tmp_path, "run", "app.rllm", "text=hello", "-v", "--log-content", "--max-retries", "1")
    assert done.returncode in (5, 7)
    assert not leaks(done.stdout), done.stdout
    assert not leaks(done.stderr), done.stderr
    for form in ("table", "json", "csv", "html"):
        shown = run(tmp_path, "stats", "--format", form)
        assert shown.returncode == 0
        assert not leaks(shown.stdout + shown.stderr)
    assert not leaks(run(tmp_path, "stats", "export").stdout)
    for file in tmp_path.glob("stats.db*"):
        assert not leaks(file.read_bytes()), file


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("log", [True, False])
def test_a_run_that_succeeds_prints_its_answer_and_nothing_else_holds_a_key(
    tmp_path: Path, provider: Provider, log: bool
) -> None:
    """The answer of a run is the user's data: it stays as it is. All beside it is masked, what is stored too."""
    provider.script(answer(json.dumps({"out": KEY})))
    make(tmp_path, provider.base)
    done = run(
        tmp_path,
        "run",
        "app.rllm",
        "-i",
        json.dumps({"text": everything("hello")}),
        "-v",
        *(["--log-content"] if log else []),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"out": KEY}
    assert not leaks(done.stderr)
    assert provider.chats[0].body["messages"][-1]["content"].strip() == everything("hello")
    for file in tmp_path.glob("stats.db*"):
        assert not leaks(file.read_bytes()), file
    assert not leaks(run(tmp_path, "stats", "export").stdout)
    if log:
        assert MASK.encode() in run(tmp_path, "stats", "export").stdout


CONFIG = """
model = "openai/m"
[aliases]
fast = "openai/x"
[models."openai/*"]
api_base = "http://me:Oo5PlantedPassword@127.0.0.1:9/v1?api_key=Pp6PlantedFirst"
api_key_env = "EXOTIC_KEY"
"""


@pytest.mark.usefixtures("keys")
def test_commands_that_show_settings_and_files_show_no_key(tmp_path: Path, provider: Provider) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG, encoding="utf-8")
    base = f"{provider.base}?api_key={KEYS['PGPASSWORD']}".replace("http://", f"http://me:{PLACES['DATABASE_URL'][1]}@")
    more = f', provider_params: {{seed: 1, note: "{KEYS["GITHUB_TOKEN"]}"}}'
    path = make(tmp_path, base, prompt=f"say {KEYS['MY_GITHUB_PAT']} {{{{ input.text }}}}", more=more)
    for arguments in (
        ("config",), ("config", "--format", "json"), ("config", "get", "models"), ("config", "get", "aliases"),
        ("doctor",), ("doctor", "--format", "json"), ("models",), ("models", "--format", "json"),
        ("inspect", path.name), ("inspect", path.name, "--format", "json"), ("inspect", path.name, "--format", "mermaid"),
        ("validate", path.name), ("validate", path.name, "--format", "json"), ("run", path.name, "--help"),
        ("run", path.name, "--dry-run", "text=" + KEYS["EXOTIC_KEY"]), ("run", path.name, "text=x", "-v"),
        ("run", path.name, "text=x", "-v", "--model", "openai/other"), ("exectime", path.name, "text=x"),
        ("exectime", path.name, "--format", "json"), ("run", path.name, "nothing=" + KEYS["OPENAI_API_KEY"]),
        ("run", KEYS["GITHUB_TOKEN"] + ".rllm"), (KEYS["GITHUB_TOKEN"],), ("run", path.name, "--" + KEYS["GITHUB_TOKEN"]),
    ):  # fmt: skip
        done = run(tmp_path, *arguments, RUNLLM_CONFIG=str(config))
        assert not leaks(done.stdout), (arguments, done.stdout)
        assert not leaks(done.stderr), (arguments, done.stderr)


BLOCKS = {
    "error of a block": "```rllm-python pre\nraise ValueError({key!r})\n```\n{{{{ input.text }}}}",
    "print of a block": "```rllm-python pre\nprint({key!r})\nx = 1\n```\n{{{{ input.text }}}}",
    "problem of a check": "```rllm-python check\nassert False, {key!r}\n```\n{{{{ input.text }}}}",
    "result that is none": "```rllm-python pre\nx = {{{key!r}}}\n```\n{{{{ input.text }}}}",
    "wrong template": "{{{{ input.nope }}}} {key}",
    "wrong Python": "```rllm-python pre\nx = = {key!r}\n```\n{{{{ input.text }}}}",
}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("trusted", [False, True])
def test_what_blocks_and_problems_say_holds_no_key(
    tmp_path: Path, provider: Provider, name: str, trusted: bool
) -> None:
    provider.script(answer('{"out": "x"}'))
    make(tmp_path, provider.base, prompt=BLOCKS[name].format(key=KEYS["GITHUB_TOKEN"]))
    flags = ["--trust-python"] if trusted else []
    for arguments in (["run", "app.rllm", "text=x", "-v", *flags], ["validate", "app.rllm", *flags]):
        done = run(tmp_path, *arguments)
        assert not leaks(done.stdout), done.stdout
        assert not leaks(done.stderr), done.stderr


@pytest.mark.usefixtures("keys")
def test_a_key_at_a_cut_of_a_long_text_does_not_lose_its_end_alone(tmp_path: Path, provider: Provider) -> None:
    """Reports shorten an answer: half a key must not stay."""
    key = KEYS["GITHUB_TOKEN"]
    for before in range(380, 400, 3):
        provider.script(answer("x" * before + key))
        make(tmp_path, provider.base)
        with Runtime(sleep=lambda _: None) as runtime, pytest.raises(RunllmError) as caught:
            runllm.load(tmp_path / "app.rllm", runtime=runtime, max_retries=0).run({"text": "x"})
        for text in (error_report(caught.value, Paint(colour=False)), error_json(caught.value)):
            assert key[:10] not in text, text
