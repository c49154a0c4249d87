"""What users' own tests need: answers from a script or from a cassette, and a clock that does not wait.

app = runllm.load("app.rllm")               # where it is used, in another module

with scripted(app, ['{"answer": "no"}', '{"answer": "yes"}']) as engine:
    assert app(text="...") == {"answer": "yes"}
assert len(engine.requests) == 2

with replay("app.cassette.yaml", app):      # kept by `record`, or by `runllm test --record`
    assert app(text="...") == {"answer": "yes"}
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from runllm import moments
from runllm.app import App
from runllm.engines.base import FREE, Engine, Price
from runllm.engines.cassette import Cassette, cassette_of, playing
from runllm.errors import ProviderError, RunllmError, UsageError
from runllm.quantities import some
from runllm.results import Completion, Endpoint, Request, Usage
from runllm.runtime import Runtime

Answer = str | Mapping[str, Any] | list[Any] | Completion | RunllmError
Script = Answer | Iterable[Answer] | Callable[[Request], Answer]
_TAKEN = "An answer is a text, a dict or a list (answered as JSON), a `Completion`, or an error to raise."


class ScriptedEngine(Engine):
    """An engine that gives the next answer of its script to each request, or what a function makes of it. Thread-safe.

    It says of itself what the engine that a model names is, so that a request is the very one that would be sent.

    Attributes:
        requests: every request that was made, in order.
    """

    def __init__(self, answers: Script, *, window: int | None = None) -> None:
        """Write the script.

        Args:
            answers: in order; a single one; or a function of the request, for apps that run side by side. A text
                becomes a completion, a dict or a list one of its JSON; an error is raised.
            window: the context window every model is said to have.

        Raises:
            UsageError: that is no answer.
        """
        self.requests: list[Request] = []
        self._answer = answers if callable(answers) else None
        self._answers = [] if callable(answers) else [_sound(one) for one in _several(answers)]
        self._window = window
        self._lock = threading.Lock()

    def ready(self, endpoint: Endpoint) -> None:
        """Every model can be called."""

    def window(self, endpoint: Endpoint) -> int | None:
        """The window given at the start."""
        del endpoint
        return self._window

    def price(self, endpoint: Endpoint) -> Price | None:
        """Nothing costs anything."""
        del endpoint
        return FREE

    @property
    def left(self) -> int:
        """How many answers nothing has asked for yet."""
        return len(self._answers)

    def complete(self, request: Request) -> Completion:
        """The next answer.

        Raises:
            ProviderError: the script is at its end.
            UsageError: the function gave no answer.
        """
        with self._lock:
            self.requests.append(request)
            if self._answer is None and not self._answers:
                raise ProviderError("the script has no more answers")
            answer = _sound(self._answer(request)) if self._answer else self._answers.pop(0)
        if isinstance(answer, RunllmError):
            raise answer
        if isinstance(answer, Completion):
            return answer
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        prompt = sum(len(message.content) for message in request.messages) // 4
        usage = Usage(prompt_tokens=prompt, completion_tokens=len(text) // 4)
        return Completion(text=text, usage=usage, model=request.endpoint.model, cost=0.0)

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`."""
        return self.complete(request)

    def close(self) -> None:
        """Nothing is held."""


def _several(answers: Any) -> Iterable[Any]:
    """The answers of a script; one that stands alone is a script of one."""
    if isinstance(answers, str | bytes | Mapping | Completion | RunllmError):
        return [answers]
    if not isinstance(answers, Iterable):
        raise UsageError(f"a script is no {type(answers).__name__}", hint=f"Give a list of answers. {_TAKEN}")
    return cast("Iterable[Any]", answers)


def _sound(answer: Any) -> Answer:
    """An answer, once it is known to be one."""
    if isinstance(answer, str | Completion | RunllmError):
        return answer
    try:
        if isinstance(answer, Mapping | list):
            json.dumps(answer, allow_nan=False)
            return cast("Answer", dict(answer) if isinstance(answer, Mapping) else answer)  # pyright: ignore[reportUnknownArgumentType]
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"an answer of the script is no JSON: {error}", hint=_TAKEN) from None
    raise UsageError(f"a {type(answer).__name__} is no answer of a script", hint=_TAKEN)


@contextmanager
def scripted(
    app: App, answers: Script, *, window: int | None = None, strict: bool = False
) -> Generator[ScriptedEngine]:
    """Let an app that is loaded already, and the apps it uses, be answered from a script while this lasts.

    Args:
        app: which, whatever runtime it was loaded with.
        answers: as `ScriptedEngine` takes them.
        window: the context window every model is said to have.
        strict: whether answers that nothing has asked for at the end are a failure.

    Raises:
        UsageError: that is no app, or no script.
        AssertionError: answers are left, and it is `strict`.
    """
    engine = ScriptedEngine(answers, window=window)
    with App.under(Runtime(engine=engine), *_apps((app,))):
        yield engine
    if strict and engine.left:
        raise AssertionError(f"nothing has asked for {some(engine.left, 'answer')} of the script")


def _apps(given: tuple[Any, ...]) -> tuple[App, ...]:
    """What is given, once it is known to be apps."""
    wrong = next((one for one in given if not isinstance(one, App)), None)
    if wrong is not None:
        said = f"an app is expected, and this is a {type(wrong).__name__}"
        raise UsageError(said, hint='Load it: `app = runllm.load("mail.rllm")`.')
    return given


@contextmanager
def replay(cassette: str | Path | App, *apps: App) -> Generator[Runtime]:
    """Let apps be answered from a cassette while this lasts, without a model, and told the moment that is kept in it.

    What it gives is the runtime that replays, for apps that are yet to be loaded: `runllm.load(path, runtime=...)`.

    Args:
        cassette: the file; or an app, for the one beside its file.
        apps: those that are answered; where none is named, all in the process that have no runtime of their own.

    Raises:
        FileAccessError: there is no such file.
        ParseError: it is no cassette.
        ReplayMissError: in a run, of a request that is not in it; `details` hold what differs from the nearest.
    """
    path, named = _named(cassette, apps)
    kept = Cassette.read(path)
    with App.under(Runtime(**playing(kept, replay=True)), *named) as runtime:
        yield runtime


@contextmanager
def record(cassette: str | Path | App, *apps: App) -> Generator[Runtime]:
    """Let apps call their models, and keep what these answer in a cassette, secrets masked; written at the end.

    What is in the file already stays, and so does its moment; a request that is made again gets its new answers.

    Args:
        cassette: as `replay` has it.
        apps: as `replay` has it.

    Raises:
        FileAccessError: the file cannot be written.
        ParseError: what is there is no cassette.
    """
    path, named = _named(cassette, apps)
    kept = Cassette.read(path) if path.exists() else Cassette(moments.now())
    try:
        with App.under(Runtime(**playing(kept, replay=False)), *named) as runtime:
            yield runtime
    except BaseException:
        if not kept.empty:
            kept.write(path)
        raise
    kept.write(path)


def _named(cassette: Any, apps: tuple[Any, ...]) -> tuple[Path, tuple[App, ...]]:
    """The file of a cassette and the apps under which it is put."""
    if isinstance(cassette, App):
        app = cast("App", cassette)
        return cassette_of(app.program.location), (app, *_apps(apps))
    if not isinstance(cassette, str | Path):
        said = f"a cassette is the path of a file, or an app; this is a {type(cassette).__name__}"
        raise UsageError(said, hint='Such as `replay("mail.cassette.yaml", app)`, or `replay(app)`.')
    return Path(cassette), _apps(apps)


class FakeClock:
    """A clock that moves only when something sleeps.

    Attributes:
        start: the moment at which it was made.
        time: seconds since the start.
        naps: how long each sleep was.
    """

    def __init__(self, start: str = "2000-01-01T00:00:00+00:00") -> None:
        """Make the clock; `start` is a moment in ISO 8601, with its offset from UTC."""
        self.start = datetime.fromisoformat(start)
        self.time = 0.0
        self.naps: list[float] = []

    def now(self) -> float:
        """Seconds since the start."""
        return self.time

    def moment(self) -> datetime:
        """What day and time it is."""
        return self.start + timedelta(seconds=self.time)

    def sleep(self, seconds: float) -> None:
        """Move on by so many seconds, at once."""
        self.naps.append(seconds)
        self.time += seconds
