"""`runllm skill`: an app as a folder that an agent reads."""

from __future__ import annotations

from pathlib import Path

import click

from runllm import api
from runllm.cli.offers import apps
from runllm.cli.offers import files as any_file
from runllm.export.folder import write
from runllm.export.skill import MAIN, skill_of
from runllm.rendering import safe


@click.command(name="skill")
@click.argument("file", metavar="FILE", shell_complete=apps)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="DIR",
    shell_complete=any_file,
    default=".",
    help="Where to put the folder, such as `.agents/skills`.  [default: this folder]",
)
@click.option("--force", is_flag=True, help="Replace an older skill of the same name; keep its other files.")
def command(file: str, target: str, force: bool) -> None:
    """Write a folder that lets an agent run FILE: an Agent Skill.

    It is named after the app, and holds SKILL.md (what the app does, how to run it, what it takes and gives), FILE and
    the apps that it uses. Calls no model. Prints the path of the folder.
    """
    skill = skill_of(api.load(file))
    folder = Path(target) / skill.name
    write(folder, skill.files, over=MAIN if force else None)
    click.echo(safe(str(folder)))
