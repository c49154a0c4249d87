"""Have a model write an app from one sentence: what it says is data, of which only the parts of one file are made.

The model is asked by an ordinary app, `writer.rllm`. Names and types of its answer go through the reader of what a user
types, so that the header of the file is ours; the two texts become its prompt and its `SYSTEM` part, and are refused
where they would be more than that: a Python block, another section, another app.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from runllm import api
from runllm.app import App
from runllm.diagnostics import Problem, told
from runllm.errors import OutputSchemaError, RetryExhaustedError, RunllmError, UsageError
from runllm.executor import Preview
from runllm.making.answers import Answers, Property, made
from runllm.making.gallery import MODEL
from runllm.project import load_text
from runllm.results import Event
from runllm.settings import load as read_settings
from runllm.spending import Bounds, Budget
from runllm.terminal import visible
from runllm.values import frozen

ATTEMPTS = 3
_MOST_TOLD = 20
_LONGEST = 4000
_STRAY = ("```", "~~~", "<<<")
"""What begins a block or a section of a file."""


@frozen
class Draft:
    """What came of it.

    Attributes:
        text: of the file; empty where no answer had the parts of one.
        problems: what is wrong with it; nothing where it is right.
        error: what ended it early, such as a bound on the cost; None for nothing.
    """

    text: str = ""
    problems: tuple[Problem, ...] = ()
    error: RunllmError | None = None


def writer(model: str | None, *, max_cost: float | None) -> App:
    """The app that asks: with this model, or that of the user's settings.

    Raises:
        UsageError: there is no such model, or it cannot do that.
    """
    configuration = read_settings()
    named = configuration.settings.model if model is None else model
    if named is None:
        raise UsageError(
            "no model is named that could write the app",
            hint="Name one with `--write-with`, such as `openai/gpt-4o-mini`, or `runllm config set model NAME`.",
        )
    if configuration.resolve_model(named) == MODEL:
        raise UsageError(
            f"`{named}` cannot write an app: with 135 million parameters it is too small to design a contract",
            hint="Name a larger model with `--write-with`, or begin with `--like` or with questions, which need none.",
        )
    most = configuration.settings.max_cost if max_cost is None else max_cost
    budget = Budget(Bounds(cost=most))  # of all attempts together
    return api.load(files("runllm.making").joinpath("writer.rllm"), model=named, max_retries=0, budget=budget)


def price(app: App, wish: str) -> Preview:
    """What the first attempt would send, and what it would cost. Calls no model.

    Raises:
        RunllmError: the sentence is refused, or the request.
    """
    found = app.preview({"wish": wish})
    if (error := found.refusal()) is not None:
        raise error
    return found


def written(
    app: App, wish: str, name: str, stem: str, *, model: str, listener: Callable[[Event], None] | None = None
) -> Draft:
    """Ask, at most three times; what is wrong with an answer goes back to the model.

    Args:
        app: of `writer`.
        wish: what the app is for.
        name: of the file, as problems call it.
        stem: the same without its suffix.
        model: what the app will call.
        listener: told of the steps of each attempt; None for nobody.
    """
    draft, asked = Draft(), dict[str, Any](wish=wish)
    for _ in range(ATTEMPTS):
        try:
            answer = app.run(asked, listener=listener).output
            draft = _draft(answer, name, stem, model)
        except (OutputSchemaError, RetryExhaustedError) as error:
            draft = draft if draft.text else Draft(problems=error.problems)
            continue
        except RunllmError as error:
            return Draft(text=draft.text, problems=draft.problems, error=error)
        if not draft.problems:
            return draft
        wrong = [f"{one.message} {one.hint}".strip()[:_LONGEST] for one in draft.problems[:_MOST_TOLD]]
        asked = {"wish": wish, "draft": json.dumps(answer, ensure_ascii=False)[: 5 * _LONGEST], "problems": wrong}
    return draft


def _draft(answer: Mapping[str, Any], name: str, stem: str, model: str) -> Draft:
    """An answer as the text of a file, and what is wrong with that; no text of one that would be more than a prompt."""
    system, prompt = visible(answer["system"], _LONGEST), visible(answer["prompt"], _LONGEST)
    for key, text in (("system", system), ("prompt", prompt)):
        if stray := next((sign for sign in _STRAY if sign in text), None):
            said = f"`{key}` holds {told(stray)}: it is to be words, and no code, block or section of a file"
            return Draft(problems=(Problem(message=said, hint="Say it in plain words."),))
    answers = Answers(
        purpose=_one_line(answer["purpose"]),
        inputs=_properties(answer["inputs"]),
        outputs=_properties(answer["outputs"]),
        system=system,
        prompt=prompt,
    )
    text = made(stem, answers, model=model)
    found = load_text(text, name=name)
    problems = tuple(one for one in found.problems if not _of_the_model(one))
    if found.plan is not None:
        program = found.plan.program
        extra = program.blocks or program.uses or program.output or program.recovery or program.tests
        if extra or program.examples or not program.system or program.system.text.strip() != system.strip():
            return Draft(problems=(Problem(message="the texts are more than a prompt", hint="Say it in plain words."),))
    return Draft(text=text, problems=problems)


def _of_the_model(problem: Problem) -> bool:
    """Whether it warns of the model that will be called, which is no word of the one that writes."""
    return problem.severity == "warning" and problem.span is not None and problem.span.text.startswith("llm")


def _properties(said: Sequence[Mapping[str, str]]) -> tuple[Property, ...]:
    """Names and types as they are said: a wrong one is a problem of the file, like any other."""
    return tuple(
        Property(name=_one_line(one["name"]), type=", ".join(map(_one_line, (one["type"], one["about"]))))
        for one in said
    )


def _one_line(text: str) -> str:
    return " ".join(visible(text, _LONGEST).split())
