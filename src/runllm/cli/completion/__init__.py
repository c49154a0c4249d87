"""`runllm completion`: what a shell needs to complete `runllm` command lines."""

from __future__ import annotations

import warnings

import click

from runllm.rendering import safe

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
@click.argument("words", metavar="[WORD]...", nargs=-1)
def command(shell: str, words: tuple[str, ...]) -> None:
    """Print the script that lets SHELL (bash, zsh or fish) complete `runllm` command lines.

    \b
    bash  source <(runllm completion bash)      in ~/.bashrc
    zsh   source <(runllm completion zsh)       in ~/.zshrc, after compinit
    fish  runllm completion fish > ~/.config/fish/completions/runllm.fish

    It completes commands, options, .rllm files, the inputs of an app and their listed values, and models.
    WORDs are for the script itself. There is none for PowerShell.
    """  # noqa: D301 - click keeps the lines below a backspace as they are
    if words:
        click.echo("".join(_lines(shell, words)), nl=False)
    else:
        from importlib import resources  # no key press waits for it

        click.echo(
            resources.files("runllm.cli.completion").joinpath(f"runllm.{shell}").read_text(encoding="utf-8"), nl=False
        )


def _lines(shell: str, words: tuple[str, ...]) -> list[str]:
    """Each word that may stand at the cursor, in a line of its own: its kind, the word, what it means."""
    from runllm.cli.completion.line import Line, bash_word, read_line
    from runllm.cli.completion.offers import offers

    line = Line(words=words[:-1], current=words[-1])
    if shell == "bash":
        line = read_line(*words[:2])
        line = Line(words=line.words[1:], current=line.current, kept=line.kept, quote=line.quote)
    try:
        with warnings.catch_warnings(action="ignore"):
            found = offers(line.words, line.current)
    except Exception:  # a broken file or setting is no reason to disturb who is typing
        return []
    return [
        f"{'open' if offer.open else 'closed'}\t"
        f"{bash_word(offer.value, line) if shell == 'bash' else offer.value}\t{' '.join(safe(offer.help).split())}\n"
        for offer in found
        if offer.value.isprintable()
    ]
