"""What `--help` prints, for every command there is, at a fixed width, compared with a reviewed copy."""

import re
from collections.abc import Iterator

import click
import pytest
from tests.golden.copies import HERE, same

from runllm.cli import cli, invoke

COPIES = HERE / "help"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command in a group, the group's own first."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if not found.hidden:
            yield from commands(found, (*path, name)) if isinstance(found, click.Group) else [(*path, name)]


COMMANDS = list(commands(cli))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert invoke([*words, "--help"]) == 0
    printed = capsys.readouterr().out
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)(?: [A-Z\[/]|  )", printed, re.MULTILINE)
    assert len(options) == len(set(options)), "an option is listed once"
    same(printed, COPIES / f"{'-'.join(('runllm', *words))}.txt")


def test_help_with_a_file_lists_its_inputs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(HERE / "programs")
    assert invoke(["every_key.rllm", "--help"]) == 0
    same(capsys.readouterr().out, COPIES / "every_key.rllm.txt")


def test_no_copy_is_left_of_a_command_that_is_gone() -> None:
    left = {path.stem for path in COPIES.glob("runllm*.txt")} - {"-".join(("runllm", *words)) for words in COMMANDS}
    assert left == set()
