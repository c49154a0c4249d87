"""`runllm validate`: check files without calling a model; `runllm schema`: what they are checked by."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from runllm import api
from runllm.cli.offers import apps
from runllm.cli.output import coloured, format_option
from runllm.diagnostics import Problem, errors_in
from runllm.errors import FileAccessError
from runllm.notices import problem_as_json
from runllm.quantities import some
from runllm.rendering import Paint, as_json, problems_report, safe

FAILED = 3


@click.command(name="validate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=apps)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--publish", is_flag=True, help="Ask for description, version and author as well.")
@click.option("--trust-python", is_flag=True, help="Check for a run with --trust-python: no sandbox, any Python.")
@click.option("--whole-tree", is_flag=True, help="Apply --trust-python also to the apps that FILES use.")
@format_option("text", "json", meaning="How to print what is found.")
def command(
    files: tuple[str, ...], strict: bool, publish: bool, trust_python: bool, whole_tree: bool, form: str
) -> None:
    """Check FILES: form, schemas, templates, parameters, the apps they use, context budget. Calls no model.

    Every problem is shown with its line, column and what to do. Exits with 3 when a file has an error.
    """
    reports = [_report(file, trust_python=trust_python, whole_tree=whole_tree, publish=publish) for file in files]
    failed = [report for report in reports if not report.ok or (strict and report.problems)]
    if form == "json":
        found = [
            {
                "file": report.path,
                "ok": report not in failed,
                "problems": [problem_as_json(p) for p in report.problems],
            }
            for report in reports
        ]
        click.echo(as_json(found))
    else:
        for report in reports:
            _print(report)
    if failed:
        raise click.exceptions.Exit(FAILED)


@click.command(name="schema")
@click.argument("file", metavar="[FILE]", required=False, shell_complete=apps)
def schema(file: str | None) -> None:
    """Print the JSON Schema of a file's frontmatter, for editors and other tools.

    With FILE, print its contract instead: `input_schema` and `output_schema`, also if it is written in words.
    """
    if file is None:
        click.echo(json.dumps(api.frontmatter_schema(), ensure_ascii=False, indent=2))
        return
    said = api.describe(api.load(file, trust_python=True, whole_tree=True))  # nothing runs here
    click.echo(as_json({key: said[key] for key in ("input_schema", "output_schema")}))


def _report(file: str, **how: bool) -> api.Report:
    """What is found in a file; one that cannot be read is a problem among the others'."""
    try:
        return _with_tests(api.validate(file, **how), how["trust_python"])
    except FileAccessError as error:
        problem = Problem(message=error.message, keyword="file", kind="FileAccessError", hint=error.recovery_hint)
        return api.Report(path=file, problems=(problem,), plan=None)


def _with_tests(report: api.Report, trusted: bool) -> api.Report:
    """The same with what is wrong with the tests beside the file."""
    if report.plan is None or not _has_tests(Path(report.path)):
        return report
    from runllm.evals import cases_of  # few files have any

    problems = cases_of(report.plan.program, trusted=trusted)[1]
    plan = None if errors_in(problems) else report.plan
    return api.Report(path=report.path, problems=(*report.problems, *problems), plan=plan)


def _has_tests(app: Path) -> bool:
    try:
        return any(beside.name.startswith(f"{app.stem}.tests.") for beside in app.parent.iterdir())
    except PermissionError:  # the folder may be entered and not be listed
        return False


def _print(report: api.Report) -> None:
    paint = Paint(colour=coloured(sys.stdout))
    if report.problems:
        click.echo(problems_report(report.problems, paint) + "\n", color=True)
    errors = sum(problem.severity == "error" for problem in report.problems)
    warnings = len(report.problems) - errors
    counts = ", ".join(some(count, word) for count, word in ((errors, "error"), (warnings, "warning")) if count)
    click.echo(safe(f"{report.path}: {counts or 'ok'}"))
