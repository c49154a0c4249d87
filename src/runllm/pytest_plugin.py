"""The pytest plugin: the tests of `.rllm` files as items, and fixtures that answer for models.

pytest loads this module in every session of everybody who has runllm, so it imports nothing until it is used.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runllm.evals import Group, Suite
    from runllm.program import Case
    from runllm.runtime import Runtime
    from runllm.testing import ScriptedEngine

_Node = TypeVar("_Node", bound=pytest.Collector | pytest.Item)
_SUITE = pytest.StashKey["Suite"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the session may be told."""
    group = parser.getgroup("runllm", "apps of runllm")
    group.addoption(
        "--runllm-live", action="store_true", help="call models in the tests of .rllm files, whatever was recorded"
    )
    group.addoption(
        "--runllm-record", action="store_true", help="call models under runllm_replay, and keep what they answer"
    )


# --- the tests of files -------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A file that has tests, in it or beside it."""
    if file_path.suffix != ".rllm":
        return None
    from runllm.evals.finding import has_tests

    return _made(AppFile, parent, path=file_path) if has_tests(str(file_path)) else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what the tests of files called models through."""
    suite = config.stash.get(_SUITE, None)
    if suite is not None:
        suite.__exit__()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show the failure of a run at the line that ran the app: what lies inside runllm tells its user nothing."""
    errors = sys.modules.get("runllm.errors")
    if call.excinfo is None or errors is None or not isinstance(call.excinfo.value, errors.RunllmError):
        return
    own, shown = Path(__file__).parent, call.excinfo.tb
    while shown.tb_next is not None and own not in Path(shown.tb_next.tb_frame.f_code.co_filename).parents:
        shown = shown.tb_next
    if not item.config.getoption("fulltrace"):
        shown.tb_next = None


class AppFile(pytest.File):
    """A `.rllm` file."""

    def collect(self) -> Iterator[AppCase]:
        """Its cases, in their order.

        Raises:
            CollectError: the file or its tests are wrong.
        """
        from runllm.errors import RunllmError
        from runllm.rendering import Paint, problems_report

        try:
            group = _suite(self.config).group(str(self.path))
        except RunllmError as error:
            raise self.CollectError(f"{error.code} {error}") from None
        if not group.ok:
            raise self.CollectError(problems_report(group.problems, Paint(colour=False)))
        alone = any(case.only for case in group.cases)
        for case in group.cases:
            yield self._item(group, case, "another case says `only`" if alone and not case.only else self._lack(group))
        for case in group.skipped:
            yield self._item(group, case, case.skip)

    def _item(self, group: Group, case: Case, skip: str) -> AppCase:
        from runllm.terminal import harmless

        item = _made(AppCase, self, name=harmless(case.name), group=group, case=case)
        item.extra_keyword_matches.update(case.tags)
        if skip:
            item.add_marker(pytest.mark.skip(reason=skip))
        return item

    def _lack(self, group: Group) -> str:
        if group.mode == "live" or group.cassette.is_file():
            return ""
        name = group.cassette.name
        return f"there is no {name}: `runllm test --record` makes it, `pytest --runllm-live` calls models"


class AppCase(pytest.Item):
    """A case of a file."""

    def __init__(self, *, group: Group, case: Case, **given: Any) -> None:
        super().__init__(**given)  # pyright: ignore[reportUnknownMemberType] - pytest leaves it untyped
        self.group = replace(group, cases=(case,))
        self.case = case

    def runtest(self) -> None:
        """Run it once.

        Raises:
            Missed: something does not hold.
        """
        for tried in _suite(self.config).run(self.group):
            if not tried.passed:
                raise Missed("\n".join(tried.misses))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What does not hold, as `runllm test` says it; a traceback tells nothing about a prompt."""
        from runllm.errors import RunllmError
        from runllm.redaction import redact_text
        from runllm.terminal import harmless

        if not isinstance(excinfo.value, Missed | RunllmError):
            return super().repr_failure(excinfo, style)
        return "\n".join(harmless(line) for line in redact_text(str(excinfo.value)).split("\n"))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands."""
        span = self.case.span
        return (Path(span.file), span.line - 1, self.name) if span else (self.path, None, self.name)


class Missed(Exception):  # noqa: N818 - as `runllm test` calls it
    """What of a case did not hold."""


def _made(kind: type[_Node], parent: pytest.Collector, **given: Any) -> _Node:
    """A node; pytest leaves its constructor untyped."""
    return cast("Any", kind).from_parent(parent, **given)


def _suite(config: pytest.Config) -> Suite:
    """What runs the cases of all files, so that a model is loaded once."""
    if _SUITE not in config.stash:
        from runllm.evals import Suite, Wanted

        mode = "live" if config.getoption("runllm_live") else "replay"
        config.stash[_SUITE] = Suite(Wanted(mode=mode), {})
    return config.stash[_SUITE]


# --- fixtures -----------------------------------------------------------------------------------------


@pytest.fixture
def runllm_replay(request: pytest.FixtureRequest) -> Iterator[Callable[..., Runtime]]:
    """`runllm.testing.replay` until the end of the test: `runllm_replay(app)`, or with a cassette and apps.

    A relative path is looked for in the folder of the test, then in the current one. With `--runllm-record` models are
    called, and what they answer is kept.
    """
    with ExitStack() as closing:

        def replayed(*given: Any) -> Runtime:
            __tracebackhide__ = True
            from runllm import testing
            from runllm.errors import UsageError

            if not given:
                raise UsageError("runllm_replay needs a cassette or an app", hint="Such as `runllm_replay(app)`.")
            cassette, *apps = given

            if isinstance(cassette, str | Path):
                beside = request.path.parent / cassette
                cassette = Path(cassette) if Path(cassette).is_file() and not beside.is_file() else beside
            if not request.config.getoption("runllm_record"):
                return closing.enter_context(testing.replay(cassette, *apps))
            if hasattr(request.config, "workerinput"):
                pytest.fail(
                    "tests side by side would write one cassette: record without pytest-xdist's `-n`",
                    pytrace=False,
                )
            return closing.enter_context(testing.record(cassette, *apps))

        yield replayed


@pytest.fixture
def runllm_script() -> Iterator[Callable[..., ScriptedEngine]]:
    """`runllm.testing.scripted` until the end of the test: `runllm_script(app, answers)` gives the engine."""
    with ExitStack() as closing:

        def scripted(app: Any = None, answers: Any = None, **given: Any) -> ScriptedEngine:
            __tracebackhide__ = True
            from runllm import testing

            return closing.enter_context(testing.scripted(app, answers, **given))

        yield scripted
