"""What editors make of a `.rllm` file: the real engines of VS Code and Vim, and the real YAML language server.

`sample.rllm` holds what a grammar can get wrong; the tokens of it are a reviewed copy (`UPDATE_GOLDEN=1` writes it).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.golden.copies import same
from tests.release.conftest import ROOT

import runllm

pytestmark = pytest.mark.timeout(600)
HERE = Path(__file__).parent
SAMPLE = HERE / "sample.rllm"
EDITORS = ROOT / "editors"
PACKAGES = ["vscode-textmate@9.3.2", "vscode-oniguruma@2.0.1", "tm-grammars@1.32.22", "yaml-language-server@1.25.0"]
PACKAGES += ["@vscode/vsce@3.9.2"]
VIM_GROUPS = {
    "1:3": "rllmShebang", "2:1": "rllmDelimiter", "3:1": "yamlBlockMappingKey", "4:16": "rllmBrace",
    "4:19": "rllmName", "5:1": "rllmProperty", "5:9": "yamlComment", "6:3": "rllmProperty", "6:9": "rllmType",
    "6:16": "rllmBound", "6:17": "rllmSign", "6:39": "rllmSaid", "7:22": "rllmType", "7:41": "rllmSign",
    "9:15": "rllmContract", "10:18": "rllmSign", "11:37": "rllmType", "11:51": "rllmQuotedSaid",
    "12:8": "yamlPlainScalar", "15:1": "rllmDelimiter", "16:9": "rllmName", "16:15": "rllmProperty",
    "16:22": "rllmFilter", "16:60": "rllmComment", "17:4": "rllmKeyword", "19:1": "", "20:1": "", "22:1": "",
    "24:4": "rllmSection", "26:4": "", "27:4": "rllmWrongSection", "28:5": "rllmFence", "29:5": "pythonBuiltin",
    "30:5": "pythonTripleQuotes", "31:1": "rllmFence", "32:4": "rllmName", "34:1": "pythonStatement",
    "36:1": "rllmFence", "37:4": "rllmSection", "38:4": "rllmName",
}  # fmt: skip


@pytest.fixture(scope="module")
def packages(slow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of VS Code's engine and the language server."""
    del slow
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}", encoding="utf-8")
    done = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", *PACKAGES], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return folder


def problems(file: Path) -> list[tuple[str, ...]]:
    """What `runllm validate` says, as the problem matcher of the VS Code extension reads it."""
    matcher = json.loads((EDITORS / "vscode/package.json").read_text("utf-8"))["contributes"]["problemMatchers"][0]
    done = subprocess.run(
        [sys.executable, "-m", "runllm", "validate", file.name], capture_output=True, text=True, cwd=file.parent
    )
    names = ("file", "line", "column", "severity", "message")
    found = [re.match(matcher["pattern"]["regexp"], line) for line in done.stdout.splitlines()]
    return [tuple(match[matcher["pattern"][name]] for name in names) for match in found if match]


def test_the_problem_matcher_reads_every_problem() -> None:
    found = problems(SAMPLE)
    assert ("sample.rllm", "27", "1", "error", "`<<<SYSTM>>>` is not a section") in found
    assert len(found) == 6
    assert problems(HERE.parent / "golden/programs/every_wire.rllm")[0][3] == "warning"


def test_the_parts_of_the_extension_belong_together() -> None:
    extension = EDITORS / "vscode"
    said = json.loads((extension / "package.json").read_text("utf-8"))["contributes"]
    grammar = json.loads((extension / said["grammars"][0]["path"]).read_text("utf-8"))
    assert grammar["scopeName"] == said["grammars"][0]["scopeName"]
    assert json.loads((extension / said["languages"][0]["configuration"]).read_text("utf-8"))["comments"]


def test_vim_highlights_and_lists_problems(tmp_path: Path) -> None:
    vim = shutil.which("vim")
    if vim is None or "+syntax" not in subprocess.run([vim, "--version"], capture_output=True, text=True).stdout:
        pytest.skip("there is no vim with syntax here")
    out = tmp_path / "out"
    known = {**os.environ, "FILE": SAMPLE.name, "OUT": str(out), "PLACES": " ".join(VIM_GROUPS)}
    known["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = ["-N", "-u", "NONE", "-i", "NONE", "-n", "-es", "--cmd", f"set runtimepath^={EDITORS / 'vim'}"]
    subprocess.run(
        [vim, *plain, "-S", "groups.vim"], cwd=HERE, env=known, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    first, *lines = out.read_text("utf-8").splitlines()
    groups = dict(line.partition(" ")[::2] for line in lines[: len(VIM_GROUPS)])
    assert (first, groups) == ("filetype rllm", VIM_GROUPS)
    listed = [f"{file}:{line}:{column} {kind[0]} {text}" for file, line, column, kind, text in problems(SAMPLE)]
    assert lines[len(VIM_GROUPS) :] == listed


def test_the_grammar_tells_the_parts_apart(packages: Path) -> None:
    grammar = EDITORS / "vscode/syntaxes/rllm.tmLanguage.json"
    done = subprocess.run(
        ["node", HERE / "tokenize.mjs", grammar, SAMPLE], capture_output=True, text=True, cwd=packages
    )
    assert done.returncode == 0, done.stderr
    same(done.stdout, HERE / "sample.tokens.txt")


def test_the_extension_can_be_packaged(packages: Path, tmp_path: Path) -> None:
    shutil.copytree(EDITORS / "vscode", tmp_path / "vscode")
    vsce = [packages / "node_modules/.bin/vsce", "package", "--allow-missing-repository"]
    done = subprocess.run(vsce, capture_output=True, text=True, cwd=tmp_path / "vscode")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / f"vscode/rllm-{runllm.__version__}.vsix") as archive:
        assert {"extension/syntaxes/rllm.tmLanguage.json", "extension/language-configuration.json"} <= {
            *archive.namelist()
        }


@pytest.mark.parametrize("validate", [True, False])
def test_the_language_server_helps_in_the_frontmatter(validate: bool, packages: Path, tmp_path: Path) -> None:
    """It reads the prompt as YAML too, so that its own problems are turned off; help and completion stay."""
    schema = tmp_path / "rllm.schema.json"
    printed = subprocess.run([sys.executable, "-m", "runllm", "schema"], capture_output=True, text=True)
    schema.write_text(printed.stdout, encoding="utf-8")
    example = ROOT / "examples/headline.rllm"
    server = packages / "node_modules/yaml-language-server/bin/yaml-language-server"
    done = subprocess.run(
        ["node", HERE / "language_server.mjs", server, schema, example, str(validate).lower()],
        capture_output=True, text=True, cwd=packages,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert bool(found["problems"]) is validate, found
    assert "What the app does, for a person." in found["hover"]
    assert "runllm_compat" in found["completion"]
