"""`runllm completion`: click's completion, with scripts of our own that keep what is typed as it is quoted.

A script asks as click's do: it calls `runllm` with `_RUNLLM_COMPLETE` set to `SHELL_complete`. `COMP_WORDS` holds the
words before the cursor without their quotes, a line each, and `COMP_CWORD` the one that is being typed. The answer is a
line for each word: `plain` or `open` (more is to be typed, so that no space follows), the word, what it means.
"""

from __future__ import annotations

import os
import re
import warnings

import click
from click import shell_completion
from click.shell_completion import CompletionItem, split_arg_string

from runllm.rendering import safe

SHELLS = ("bash", "zsh", "fish", "powershell")
_PLAIN = "_-./,+%^=:@"  # besides letters and digits, what bash takes as it is
_ALIVE = '"$`\\'  # what bash does not take as it is within double quotes


@click.command(name="completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that lets SHELL (bash, zsh, fish or powershell) complete `runllm` command lines.

    \b
    bash        source <(runllm completion bash)      in ~/.bashrc
    zsh         source <(runllm completion zsh)       in ~/.zshrc, after compinit
    fish        runllm completion fish > ~/.config/fish/completions/runllm.fish
    powershell  runllm completion powershell | Out-String | Invoke-Expression      in $PROFILE

    It completes commands, options, .rllm files, the inputs of an app and their listed values, and models.
    """  # noqa: D301 - click keeps the lines below a backspace as they are
    from importlib import resources  # no key press waits for it

    click.echo(
        resources.files("runllm.cli.completion").joinpath(f"runllm.{shell}").read_text(encoding="utf-8"), nl=False
    )


def listen() -> None:
    """Answer the scripts of this module, where click would answer its own."""
    for shell in (Bash, Zsh, Fish, PowerShell):
        shell_completion.add_completion_class(shell)


class _Shell(shell_completion.ShellComplete):
    """What the shells have in common. zsh and fish quote what they are told themselves."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor, without the name of the program, and the one that is being typed."""
        return os.environ["COMP_WORDS"].split("\n")[1:], os.environ.get("COMP_CWORD", "")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What may stand at the cursor; nothing, where a file or a setting is broken, to disturb nobody who types."""
        words = list(args)
        for at in [at for at, word in enumerate(words[:-2]) if word == "--arg"]:
            words[at + 2] = ""  # `--` would end the options elsewhere, and is a text here
        self.ctx_args["obj"] = tuple(words)
        try:
            with warnings.catch_warnings(action="ignore"):
                found = super().get_completions(words, incomplete)
        except Exception:
            return []
        name, equals, _ = incomplete.partition("=")
        for item in found if name.startswith("--") and equals else ():
            item.value = f"{name}={item.value}"
        return found

    def format_completion(self, item: CompletionItem) -> str:
        """The line of a word."""
        return f"{item.type}\t{self.typed(item.value)}\t{' '.join(safe(item.help or '').split())}"

    def complete(self) -> str:
        """The lines of all words that a terminal can show."""
        args, incomplete = self.get_completion_args()
        found = self.get_completions(args, incomplete)
        return "\n".join(self.format_completion(item) for item in found if item.value.isprintable())

    def typed(self, value: str) -> str:
        """A word as it is to stand on the command line."""
        return value


class Bash(_Shell):
    """bash, which replaces only what stands after the last `=`, `:` or the like, and quotes nothing itself."""

    name = "bash"
    kept = 0
    quote = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """As told by the line up to the cursor; of its last word, `COMP_CWORD` is what bash replaces."""
        line, replaced = os.environ["COMP_WORDS"], os.environ["COMP_CWORD"]
        opened = line.removesuffix(replaced)[-1:]
        self.quote = opened if opened in ("'", '"') else ""
        *words, current = split_arg_string(f"{line}|")  # which is part of the last word, or the whole of it
        current = current[:-1]
        self.kept = len(current) - len("".join(split_arg_string(f"{self.quote}{replaced}")))
        return words[1:], current

    def typed(self, value: str) -> str:
        """The part that bash replaces, escaped within the quotes that are open."""
        rest = value[self.kept :]
        if self.quote == "'":
            return rest.replace("'", "'\\''")
        if self.quote:
            return "".join(f"\\{c}" if c in _ALIVE else c for c in rest)
        home = "~" if rest.startswith("~") and not self.kept else ""  # which the shell is to expand
        return home + "".join(c if c.isalnum() or c in _PLAIN else f"\\{c}" for c in rest.removeprefix(home))


class Zsh(_Shell):
    """zsh."""

    name = "zsh"


class Fish(_Shell):
    """fish."""

    name = "fish"


class PowerShell(_Shell):
    """PowerShell, which takes what it is told as it is."""

    name = "powershell"

    def get_completion_args(self) -> tuple[list[str], str]:
        """As told; the word that is being typed may have its quotes still."""
        words, current = super().get_completion_args()
        return words, current.strip("'\"")

    def typed(self, value: str) -> str:
        """The word, in quotes where it needs them."""
        return value if re.fullmatch(r"[\w./\\:=~+-]+", value) else "'{}'".format(value.replace("'", "''"))
