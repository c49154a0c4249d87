"""Keep what models were asked and what they answered in a file, and answer from it later, without a model.

    cassette: 1
    moment: 2026-11-30T20:44:00+01:00        what the runs were told as `run`
    schemas:
      1: {...}
    exchanges:
      - model: openai/gpt-5-mini
        params: {}
        schema: 1
        messages: [{role: user, content: ...}]
        answers: [{text: ..., usage: {...}, cost: 0.0001, latency: 0.8}]

Secrets are masked before anything is kept, in what is asked now as well, so that both are the same. A request that was
made several times has as many answers, which are given in their order.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import clip
from runllm.dumping import as_yaml
from runllm.engines.cassette_form import FORM, found_in
from runllm.engines.recorded import answered, asked, completion_of, key_of
from runllm.errors import (
    FileAccessError,
    InterruptedRunError,
    ParseError,
    ReplayMissError,
    RequestRefusedError,
    RunllmError,
)
from runllm.files import read_bytes, writing
from runllm.redaction import MASK, redact

if TYPE_CHECKING:
    from runllm.engines.base import Engine
    from runllm.results import Completion, Endpoint, Request

MOST_BYTES = 64 << 20
_HEAD = (
    "# What models were asked and what they answered: `runllm test --replay` runs the tests from it, without a model.\n"
)
_LONGEST = 200  # characters of a line of a difference
_MOST_LINES = 24
_MOST_COMPARED = 500


def cassette_of(app: str | Path) -> Path:
    """The cassette of a file, beside it: `mail.cassette.yaml` of `mail.rllm`."""
    return Path(app).with_suffix(".cassette.yaml")


@dataclass(slots=True)
class Exchange:
    """A request, and each answer that it was given, in order.

    Attributes:
        asked: as `recorded.asked` gives it, secrets masked.
        answers: as `recorded.answered` gives each.
        given: how many of them were given in this replay, or were recorded now.
    """

    asked: dict[str, Any]
    answers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    given: int = 0


class Cassette:
    """Exchanges by what was asked. Thread-safe.

    Attributes:
        moment: what the runs are told of the time.
    """

    def __init__(self, moment: datetime, exchanges: Iterable[Exchange] = ()) -> None:
        self.moment = moment
        self._exchanges = {key_of(one.asked): one for one in exchanges}
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: str | Path) -> Cassette:
        """The cassette in a file.

        Raises:
            FileAccessError: it cannot be read.
            ParseError: it is none.
        """
        from runllm.documents import DocumentError, read

        if not Path(path).exists():
            raise FileAccessError(f"there is no cassette `{path}`", hint="Record it: `runllm test --record`.")
        data = read_bytes(str(path), MOST_BYTES)
        try:
            root, problems = read(data.decode("utf-8-sig"))
            if problems:
                raise problems[0]
            moment, found = found_in(root)
            return cls(moment, [Exchange(*one) for one in found])
        except DocumentError as error:
            why = f"line {error.mark.line + 1}: {error.message}"
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            why = f"line {line}: it is no UTF-8 text"
        raise ParseError(
            f"`{path}` is no cassette: {clip(why, _LONGEST)}",
            hint="Correct that line, such as after a merge; or `runllm test --record` puts it aside, and begins anew.",
        )

    def rewound(self) -> Cassette:
        """The same exchanges, as none of them had been asked for."""
        return Cassette(self.moment, [Exchange(one.asked, one.answers) for one in self._exchanges.values()])

    def write(self, path: str | Path) -> None:
        """Write it, whole or not at all.

        Raises:
            FileAccessError: it cannot be written.
        """
        schemas = list({as_yaml(s): s for one in self._exchanges.values() if (s := one.asked.get("schema"))}.values())
        numbers = {str(number): schema for number, schema in enumerate(schemas, start=1)}
        said = {
            "cassette": FORM,
            "moment": self.moment.isoformat(timespec="seconds"),
            "schemas": numbers,
            "exchanges": [_written(one, schemas) for one in self._exchanges.values()],
        }
        with writing(str(path)) as file:
            file.write(f"{_HEAD}{as_yaml(said)}\n")

    # --- recording and replaying ---------------------------------------------------------------

    def keep(self, request: Request, came: Completion | RunllmError) -> None:
        """Keep what came of a request; each answer of a recording takes the place of the one that was there.

        A failure that another call may not have takes no answer's place, and a call that was stopped came to nothing.
        """
        if isinstance(came, InterruptedRunError):
            return
        said = redact(asked(request))
        with self._lock:
            one = self._exchanges.setdefault(key_of(said), Exchange(asked=said))
            if isinstance(came, RunllmError) and not isinstance(came, RequestRefusedError) and one.answers:
                return
            one.answers[one.given : one.given + 1] = [redact(answered(came))]
            one.given += 1

    def answer(self, request: Request) -> Completion:
        """The next answer to a request.

        Raises:
            ReplayMissError: there is none.
            RunllmError: the failure that came instead of an answer.
        """
        said = redact(asked(request))
        with self._lock:
            one = self._exchanges.get(key_of(said))
            if one is not None and one.given < len(one.answers):
                one.given += 1
                return completion_of(one.answers[one.given - 1])
        if one is not None:
            times = len(one.answers)
            raise ReplayMissError(
                f"`{said['model']}` is asked this for the {_ordinal(times + 1)} time, "
                f"and the cassette holds {times} answer{'s' if times > 1 else ''} to it",
                hint="Record with as many repeats as are replayed: `runllm test --record --repeat N`.",
            )
        raise self._miss(said)

    def settle(self) -> None:
        """End a recording of all there is to ask: older answers beyond the new ones are nobody's."""
        for one in self._exchanges.values():
            del one.answers[one.given or len(one.answers) :]

    @property
    def empty(self) -> bool:
        """Whether it holds nothing."""
        return not self._exchanges

    @property
    def masked(self) -> int:
        """How many of the answers that were given or recorded hold a mask, where a secret was."""
        given = (answer for one in self._exchanges.values() for answer in one.answers[: one.given])
        return sum(MASK in answer.get("text", "") for answer in given)

    def unused(self, *, every_model: bool = True) -> Iterator[str]:
        """Each exchange that was not asked for, in words.

        Args:
            every_model: whether those with models that were asked nothing are among them.
        """
        return (f"{one.asked['model']}: {_last(one.asked)}" for one in self._idle(every_model).values())

    def prune(self, *, every_model: bool = True) -> int:
        """Take out what `unused` tells; how many exchanges that were."""
        gone = self._idle(every_model)
        self._exchanges = {key: one for key, one in self._exchanges.items() if key not in gone}
        return len(gone)

    def _idle(self, every_model: bool) -> dict[str, Exchange]:
        asked = {one.asked["model"] for one in self._exchanges.values() if one.given}
        idle = {key: one for key, one in self._exchanges.items() if not one.given}
        return {key: one for key, one in idle.items() if every_model or one.asked["model"] in asked}

    def _miss(self, said: dict[str, Any]) -> ReplayMissError:
        same = [one.asked for one in self._exchanges.values() if one.asked["model"] == said["model"]]
        models = sorted({one.asked["model"] for one in self._exchanges.values()})
        if not same:
            known = f"it knows {', '.join(f'`{name}`' for name in models)}" if models else "it is empty"
            return ReplayMissError(f"the cassette holds no request to `{said['model']}`: {known}")
        differs = list(_difference(_nearest(said, same), said))
        return ReplayMissError(
            "the cassette holds no such request; beside the nearest one that was recorded (-), this one (+) has:\n"
            + "\n".join(differs),
            details={"difference": differs},
        )


def _written(one: Exchange, schemas: list[Any]) -> dict[str, Any]:
    """The same the other way round."""
    numbered = {"schema": schemas.index(one.asked["schema"]) + 1} if one.asked.get("schema") else {}
    return {**one.asked, **numbered, "answers": one.answers}


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")  # noqa: PLR2004
    return f"{number}{ending}"


def _last(said: dict[str, Any]) -> str:
    return clip(" ".join(str(said["messages"][-1]["content"]).split()), 80)


def _nearest(said: dict[str, Any], known: list[dict[str, Any]]) -> dict[str, Any]:
    """The recorded request whose conversation is most like this one's."""
    text = _text(said)[-_LONGEST * 10 :]
    matcher = difflib.SequenceMatcher(b=text, autojunk=False)

    def likeness(one: dict[str, Any]) -> tuple[bool, float]:
        matcher.set_seq1(_text(one)[-_LONGEST * 10 :])
        return len(one["messages"]) == len(said["messages"]), matcher.quick_ratio()

    return max(known[:_MOST_COMPARED], key=likeness)


def _text(said: dict[str, Any]) -> str:
    return "\n".join(f"{one['role']}:\n{one['content']}" for one in said["messages"])


def _difference(recorded: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    """What differs, in lines: `-` as it was recorded, `+` as it is asked."""
    lines: list[str] = []
    for part in ("params", "schema", "messages"):
        old, new = recorded.get(part), said.get(part)
        if old == new:
            continue
        before, after = (_text(recorded), _text(said)) if part == "messages" else (as_yaml(old), as_yaml(new))
        found = list(difflib.unified_diff(before.split("\n"), after.split("\n"), n=1, lineterm=""))[2:]
        lines += [f"  {part}:", *(f"    {clip(line, _LONGEST)}" for line in found if not line.startswith("@@"))]
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"    ... and {len(lines) - _MOST_LINES} more lines"


# --- engines -----------------------------------------------------------------------------------------


class _Around:
    """An engine in all but what is written here."""

    def __init__(self, inner: Engine, cassette: Cassette) -> None:
        self._inner = inner
        self._cassette = cassette

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Recording(_Around):
    """An engine whose calls are kept."""

    def complete(self, request: Request) -> Completion:
        try:
            came = self._inner.complete(request)
        except RunllmError as error:
            self._cassette.keep(request, error)
            raise
        self._cassette.keep(request, came)
        return came

    async def acomplete(self, request: Request) -> Completion:
        try:
            came = await self._inner.acomplete(request)
        except RunllmError as error:
            self._cassette.keep(request, error)
            raise
        self._cassette.keep(request, came)
        return came


class _Replaying(_Around):
    """An engine that is not called: it says what it is, and the cassette answers for it."""

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        del endpoint
        return iter(())

    def doubts(self, endpoint: Endpoint) -> Iterator[str]:
        del endpoint
        return iter(())

    def ready(self, endpoint: Endpoint) -> None:
        """No key, server or file is needed."""

    def window(self, endpoint: Endpoint) -> int | None:
        try:
            return self._inner.window(endpoint)
        except RunllmError:  # the weights are not here
            return None

    def sent(self, request: Request) -> Request:
        try:
            return self._inner.sent(request)
        except RunllmError:  # as above
            return request

    def learn(self, endpoint: Endpoint) -> None:
        """No server is asked what it is."""

    def warm(self, request: Request) -> None:
        """No weights are loaded."""

    def complete(self, request: Request) -> Completion:
        return self._cassette.answer(request)

    async def acomplete(self, request: Request) -> Completion:
        return self._cassette.answer(request)


def playing(cassette: Cassette, *, replay: bool) -> dict[str, Any]:
    """What makes of a `Runtime` one whose calls a cassette keeps, or, in a `replay`, answers without a model.

    Its runs are told the cassette's moment; what was waited for then need not be waited for again.
    """

    def around(inner: Engine) -> Engine:
        return cast("Engine", (_Replaying if replay else _Recording)(inner, cassette))

    quiet: dict[str, Any] = {"sleep": lambda _seconds: None} if replay else {}  # pyright: ignore[reportUnknownLambdaType]
    return {"around": around, "moment": lambda: cassette.moment, **quiet}
