"""What users' own tests need: an engine that answers from a script, and a clock that does not wait.

engine = ScriptedEngine(['{"answer": "no"}', '{"answer": "yes"}'])
with runllm.Runtime(engine=engine) as runtime:
    app = runllm.load("app.rllm", runtime=runtime)
    assert app(text="...") == {"answer": "yes"}
assert len(engine.requests) == 2
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from runllm.engines.base import FREE, Engine, Price
from runllm.errors import ProviderError, RunllmError
from runllm.results import Completion, Endpoint, Request, Usage

Answer = str | Completion | RunllmError


class ScriptedEngine(Engine):
    """An engine that gives the next answer of its script to each request, or what a function makes of it. Thread-safe.

    It says of itself what the engine that a model names is, so that a request is the very one that would be sent.

    Attributes:
        requests: every request that was made, in order.
    """

    def __init__(self, answers: Iterable[Answer] | Callable[[Request], Answer], *, window: int | None = None) -> None:
        """Write the script.

        Args:
            answers: in order, or a function of the request, for apps that run side by side; a text becomes a
                completion, an error is raised.
            window: the context window every model is said to have.
        """
        self.requests: list[Request] = []
        self._answer = answers if callable(answers) else None
        self._answers = [] if callable(answers) else list(answers)
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

    def complete(self, request: Request) -> Completion:
        """The next answer.

        Raises:
            ProviderError: the script is at its end.
        """
        with self._lock:
            self.requests.append(request)
            if self._answer is None and not self._answers:
                raise ProviderError("the script has no more answers")
            answer = self._answer(request) if self._answer else self._answers.pop(0)
        if isinstance(answer, RunllmError):
            raise answer
        if isinstance(answer, Completion):
            return answer
        prompt = sum(len(message.content) for message in request.messages) // 4
        usage = Usage(prompt_tokens=prompt, completion_tokens=len(answer) // 4)
        return Completion(text=answer, usage=usage, model=request.endpoint.model, cost=0.0)

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`."""
        return self.complete(request)

    def close(self) -> None:
        """Nothing is held."""


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
