"""What a hostile file, model, server or name can make the command write to a terminal: every byte is looked at."""

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest
from tests.integration.provider import Provider, answer, failure
from tests.warm import RUNLLM

# Erase, title, link, clipboard, C1 CSI and OSC, bell, backspace, carriage return, hidden text, override, isolate.
HOSTILE = (
    "a\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil/\x1b\\link\x1b]52;c;ZXZpbA==\x07\x9b31m\x9d0;x\x9c\x07\x08\x08\r over\x1b[8mhidden\x1b[0m"
    "\x1b[31mred\u202eesrever\u2066in\u2069\x7f\x0b\x0c\x00z"
)
NAME = "e\x1b[2Jv\x07\u202ei\x9bl"  # in names of files and arguments, which hold no NUL
# What runllm itself writes, and no more: its colours, and a line of progress that is written anew.
OURS = re.compile(r"\r\x1b\[K|\x1b\[(?:0|1|2|31|33|36)(?:;(?:1|2|31|33|36))*m|\r\n")
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
APP = """---
name: app
description: {hostile}
version: 1.0.0
author: {hostile}
max_context_window: 8192
input_schema: {{type: object, properties: {{text: {{type: string, default: {hostile}, description: {hostile}}}}}}}
output_schema: {{type: object, properties: {{out: {{type: string}}}}, required: [out], additionalProperties: false}}
llm: {{model: openai/m, api_base: "{base}", num_retries: 0{more}}}
llm_params: {{stop: [{hostile}]}}
---
{prompt}
"""


def on_terminal(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> tuple[int, str]:
    """Exit status, and every byte that a command writes to a terminal, standard output and error alike."""
    main, side = pty.openpty()
    env = {
        **os.environ, "TERM": "xterm", "RUNLLM_STATS": "on", "RUNLLM_STATS_DB": str(folder / "stats.db"),
        "PYTHONIOENCODING": "utf-8", **environment,
    }  # fmt: skip
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [RUNLLM, *arguments], stdin=subprocess.PIPE, stdout=side, stderr=side, env=env, cwd=folder, close_fds=True
    )
    os.close(side)
    assert process.stdin is not None
    process.stdin.write(stdin.encode())
    process.stdin.close()
    seen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([main], [], [], 0.2)
        try:
            piece = os.read(main, 65536) if ready else b""
        except OSError:  # the other end is closed
            break
        seen += piece
        if not piece and process.poll() is not None:
            break
    os.close(main)
    return process.wait(10), seen.decode("utf-8")


def obeyed(text: str) -> list[str]:
    """What the terminal would obey and is not runllm's own."""
    return FORBIDDEN.findall(OURS.sub("", text))


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


def make(folder: Path, base: str, prompt: str = "{{ input.text }}", more: str = "") -> Path:
    path = folder / "app.rllm"
    path.write_text(APP.format(base=base, hostile=json.dumps(HOSTILE), prompt=prompt, more=more), encoding="utf-8")
    return path


def test_the_search_itself_finds_what_it_should() -> None:
    assert len(obeyed(HOSTILE)) >= 20
    assert obeyed("\x1b[1;31mours\x1b[0m\r\x1b[K 5 %\r\n\tä\n") == []
    assert obeyed("\x1b[8mhidden")
    assert obeyed("a\rb")
    assert obeyed("\x1b[2K")


@pytest.mark.parametrize("form", ["json", "yaml", "text"])
def test_an_answer_is_shown_and_not_obeyed(tmp_path: Path, provider: Provider, form: str) -> None:
    provider.script(answer(json.dumps({"out": HOSTILE})))
    make(tmp_path, provider.base)
    status, seen = on_terminal(tmp_path, "run", "app.rllm", "--format", form, "-v")
    assert status == 0
    assert obeyed(seen) == []
    assert "\x1b[31mred" not in seen  # not even a colour of ours, where a model writes it
    assert "\\u202eesrever" in seen
    if form == "json":
        printed = seen.replace("\r\n", "\n")
        assert json.loads(printed[printed.index("{\n") :]) == {"out": HOSTILE}


def test_an_answer_in_a_pipe_or_a_file_stays_exact(tmp_path: Path, provider: Provider) -> None:
    provider.script(answer(json.dumps({"out": HOSTILE})))
    make(tmp_path, provider.base)
    plain = subprocess.run(
        [RUNLLM, "run", "app.rllm", "--format", "text"], capture_output=True, cwd=tmp_path, stdin=subprocess.DEVNULL
    )
    assert plain.stdout.decode() == HOSTILE + "\n"
    shaped = subprocess.run([RUNLLM, "run", "app.rllm"], capture_output=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert json.loads(shaped.stdout) == {"out": HOSTILE}
    on_terminal(tmp_path, "run", "app.rllm", "--format", "text", "-o", "out.txt")
    assert (tmp_path / "out.txt").read_bytes().decode() == HOSTILE + "\n"


FAILURES = {
    "words of a provider": [failure(400, HOSTILE)],
    "answers that do not fit": [answer(json.dumps({"out": 1, HOSTILE: HOSTILE}))] * 3,
    "no object": [answer(HOSTILE)] * 3,
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_went_wrong_is_shown_and_not_obeyed(tmp_path: Path, provider: Provider, name: str) -> None:
    provider.script(*FAILURES[name])
    make(tmp_path, provider.base)
    status, seen = on_terminal(tmp_path, "run", "app.rllm", "-v", "--max-retries", "1")
    assert status in (5, 7)
    assert obeyed(seen) == []


def commands(folder: Path, base: str) -> list[list[str]]:
    """Every command, with hostile words wherever it takes or finds some."""
    make(folder, base)
    named = folder / f"{NAME}.rllm"
    named.write_text((folder / "app.rllm").read_text("utf-8"), encoding="utf-8")
    (folder / f"broken{NAME}.rllm").write_text(f"---\nname: {NAME}\n---\n", encoding="utf-8", errors="surrogateescape")
    (folder / "wrong.rllm").write_text(
        named.read_text("utf-8").replace("version: 1.0.0", f"version: {json.dumps(HOSTILE)}\n{json.dumps(HOSTILE)}: 1"),
        encoding="utf-8",
    )
    (folder / "block.rllm").write_text(
        named.read_text("utf-8").replace(
            "{{ input.text }}", f"```rllm-python pre\nprint({HOSTILE!a})\nraise ValueError({HOSTILE!a})\n```\nx"
        ),
        encoding="utf-8",
    )
    (folder / "top.rllm").write_text(
        APP.format(base=base, hostile='"x"', prompt="{{ uses.a.out }}", more="").replace(
            "llm:", f"uses: [{{name: a, path: ./app.rllm, with: {{text: {json.dumps(HOSTILE)}}}}}]\nllm:"
        ),
        encoding="utf-8",
    )
    (folder / "in.yaml").write_text(f"text: [{NAME}", encoding="utf-8")
    files = [named.name, f"broken{NAME}.rllm", "wrong.rllm", "block.rllm", "top.rllm", f"missing{NAME}.rllm"]
    found = [
        [*command, file]
        for file in files
        for command in (["validate"], ["inspect"], ["run", "-v"], ["run", "--dry-run"], ["exectime"])
    ]
    found += [["validate", "--format", "json", file] for file in files] + [
        ["inspect", "--format", form, "top.rllm"] for form in ("json", "mermaid")
    ]
    found += [
        ["run", named.name, "--help"],
        ["run", named.name, f"{NAME}=1"],
        ["run", named.name, "-m", f"openai/{NAME}"],
    ]
    found += [
        ["run", named.name, "-m", NAME],
        ["run", named.name, "-m", f"local/{NAME}.gguf"],
        ["run", named.name, "-o", f"no/{NAME}"],
    ]
    found += [
        ["run", named.name, "-f", f"no{NAME}"],
        ["run", named.name, "-f", "in.yaml"],
        ["run", named.name, "-i", '{"text": 1, "' + NAME + '": 2}'],
    ]
    found += [
        ["run", named.name, f"text=@no{NAME}"],
        ["run", f"--{NAME}"],
        [NAME],
        ["run", named.name, f"--timeout={NAME}"],
    ]
    found += [
        ["config", "get", NAME],
        ["config", "set", NAME, NAME],
        ["config", "set", "model", NAME],
        ["config"],
        ["config", "path"],
    ]
    found += [
        ["models"],
        ["models", "rm", NAME],
        ["pull", NAME],
        ["pull", f"hf:{NAME}/x"],
        ["doctor"],
        ["schema"],
        ["--help"],
    ]
    found += [
        ["stats"],
        ["stats", NAME],
        ["stats", "-m", NAME],
        ["stats", "--since", NAME],
        ["stats", "path"],
        ["stats", "export"],
    ]
    return (
        found
        + [["stats", "--format", form] for form in ("json", "csv", "html")]
        + [["stats", "export", "--format", "csv"]]
    )


@pytest.mark.timeout(600)
def test_no_command_lets_a_word_of_another_reach_the_terminal(tmp_path: Path, provider: Provider) -> None:
    provider.script(answer(json.dumps({"out": HOSTILE})))
    folder = tmp_path / f"home{NAME}"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f"[aliases]\nfast = {json.dumps('openai/' + NAME).replace(chr(0x7F), '')}\n", encoding="utf-8"
    )
    everything = commands(folder, provider.base)
    for config in ("/dev/null", str(folder / "config.toml")):
        for arguments in everything if config == "/dev/null" else [["config"], ["doctor"], ["models"]]:
            _, seen = on_terminal(
                folder,
                *arguments,
                RUNLLM_CONFIG=config,
                RUNLLM_CONFIG_X=NAME,
                RUNLLM_STATS_DB=str(folder / f"{NAME}.db"),
            )
            assert seen, arguments
            assert obeyed(seen) == [], (arguments, seen)


def test_half_a_character_does_not_stop_the_output(tmp_path: Path, provider: Provider) -> None:
    provider.script(answer('{"out": "half \\ud800 of it"}'))
    make(tmp_path, provider.base)
    for form in ("json", "text"):
        done = subprocess.run(
            [RUNLLM, "run", "app.rllm", "--format", form], capture_output=True, cwd=tmp_path, stdin=subprocess.DEVNULL
        )
        assert b"RLLM_099" not in done.stderr, done.stderr
    status, seen = on_terminal(tmp_path, "run", "app.rllm", "--format", "text")
    assert "RLLM_099" not in seen, (status, seen)
