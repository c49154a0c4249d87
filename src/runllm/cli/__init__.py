"""The command line: a file for each command or two, which parses arguments, calls `runllm.api` and renders.

stdout carries the result alone. Errors go to stderr: a report with a caret on a terminal, JSON elsewhere.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from runllm import installation, terminal
from runllm._version import __version__
from runllm.cli import process
from runllm.cli.failing import BROKEN_PIPE_STATUS, Failing, command_meant, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

COMMANDS = {
    "run": "Run FILE on an input and print its output.",
    "batch": "Run FILE on every row of a table, a folder of texts or a pipe.",
    "test": "Run the tests of apps, with models or from what was recorded.",
    "compare": "Run two files, revisions or models on the same cases, side by side.",
    "serve": "Serve apps over HTTP, each with a form.",
    "mcp": "Offer apps as tools to other models (MCP).",
    "new": "Write a small app to FILE, ready to run and to change.",
    "validate": "Check FILES without calling a model.",
    "inspect": "Show what FILE says.",
    "types": "Print the types of FILE for Python or TypeScript.",
    "skill": "Write a folder that lets an agent run FILE.",
    "stats": "Show what the recorded runs say.",
    "exectime": "Predict the time and cost of running FILE.",
    "models": "List the models that can be named; `models rm` removes one.",
    "pull": "Fetch the local model NAME.",
    "cache": "Show or clear the answers that `--cache` keeps.",
    "config": "Show and change the settings.",
    "doctor": "Look at everything a run may need, and say what to do.",
    "schema": "Print the JSON Schema of the frontmatter, or of FILE's contract.",
    "completion": "Print the script that lets a shell complete `runllm` command lines.",
}
_BESIDE = {"pull": "models", "schema": "validate"}  # the commands that stand in the file of another
_ASKED = "_RUNLLM_COMPLETE"  # set by a shell whose Tab key is pressed
_UNWRITABLE = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF, getattr(errno, "EDQUOT", errno.ENOSPC))


class Commands(click.Group):
    """The commands, each imported when it is run, so that `--help` imports none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As any group, but for a file without a command, and for nothing at all."""
        return super().parse_args(ctx, args if ctx.resilient_parsing and not args else with_run(args))

    def invoke(self, ctx: click.Context) -> Any:
        """As any group; but what Ctrl-C breaks off on a terminal, a question too, is followed by a line of its own."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.exceptions.Abort) as signal:
            if sys.stderr.isatty():
                click.echo(err=True)
            raise click.exceptions.Abort from signal

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, None when there is none."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        module = installation.without(f"runllm.cli.{_BESIDE.get(cmd_name, cmd_name)}", import_module)
        found: click.Command = getattr(module, cmd_name if cmd_name in _BESIDE else "command")
        for command in (found, *getattr(found, "commands", {}).values()):
            if not any("--error-format" in param.opts for param in command.params):
                command.params.append(option())
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; what is none of them gets the nearest name, or how to run a file."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from runllm.errors import UsageError

            raise UsageError(f"No such command '{name}'.", hint=command_meant(args, COMMANDS))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands and the files that may be typed first; options, once their dash is there."""
        from runllm.cli.offers import first_words

        options = click.Command.shell_complete(self, ctx, incomplete)
        return options or first_words(COMMANDS, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`runllm FILE.rllm` is short for `runllm run FILE.rllm`.",
)
@click.version_option(__version__, "-V", "--version", prog_name="runllm", message="%(prog)s %(version)s")
def cli() -> None:
    """Run LLM apps that are one file: a typed contract and a prompt."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The `runllm` command: run it and exit with its status."""
    terminal.fill()
    terminal.widen()
    terminal.guard()
    process.listen()
    status = process.status(invoke(sys.argv[1:] if arguments is None else list(arguments)))
    _flush()
    # Taking down the interpreter frees what the system frees anyway: 15 ms, and half a second with LiteLLM.
    # Connections, a loaded model and the workers of the sandbox end with the process.
    os._exit(status)


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit status; every failure is rendered, none is raised."""
    if _ASKED in os.environ:
        from runllm.cli import completion

        completion.listen()
    failing = Failing()

    try:
        status = cli.main(args=arguments, prog_name="runllm", standalone_mode=False, obj=failing)
        return status if isinstance(status, int) else 0
    except BrokenPipeError:
        return _broken_pipe()
    except SystemExit as ended:  # how click ends what a shell asked, and where it finds that the reader is gone
        return _broken_pipe() if ended.code else 0
    except (KeyboardInterrupt, click.exceptions.Abort):
        from runllm.errors import InterruptedRunError

        return failing.show(InterruptedRunError("the command was interrupted"))
    except click.ClickException as error:
        from runllm.errors import UsageError

        hint = None
        if (
            isinstance(error, click.NoSuchOption)
            and error.option_name.startswith("--")
            and with_run(arguments)[0] == "run"
        ):
            hint = (
                f"If it is an input of the app: `{error.option_name[2:]}=VALUE`. `runllm run --help` lists the options."
            )
        return failing.show(UsageError(" ".join(error.format_message().split()), hint=hint))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE and error.filename is None:
            from runllm.errors import FileAccessError

            why = "it is closed" if error.errno == errno.EBADF else error.strerror
            return failing.show(FileAccessError(f"the output cannot be written: {why}"))
        from runllm.api import as_error

        return failing.show(as_error(error))


def with_run(arguments: list[str]) -> list[str]:
    """`FILE ...` as `run FILE ...`, which is also what a `#!` line needs; nothing as `--help`."""
    if not arguments:
        return ["--help"]
    first = arguments[0]
    is_file = first.endswith(".rllm") or (os.sep in first and os.path.isfile(first))  # noqa: PTH113 - no pathlib import for `--help`
    return ["run", *arguments] if is_file and first not in COMMANDS else arguments


def _broken_pipe() -> int:
    """The reader of stdout is gone (`| head`): end quietly, as a shell expects."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return BROKEN_PIPE_STATUS


def _flush() -> None:
    if store := sys.modules.get("runllm.stats.store"):
        store.finish()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):  # closed by the caller, or by the reader at its other end
            continue
