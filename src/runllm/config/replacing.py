"""What a project's file makes of the names of models that its user gave: in a command, a variable or own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runllm.config.checking import problem

if TYPE_CHECKING:
    from runllm.config.layers import Layer
    from runllm.config.settings import KeyPath
    from runllm.diagnostics import Problem

MODEL: KeyPath = ("model",)


def resolved(name: str, aliases: Mapping[str, str]) -> list[str]:
    """A name, what it stands for, and so on to the model; a ring is gone through once."""
    way = [name]
    while way[-1] in aliases and way[-1] not in way[:-1]:
        way.append(aliases[way[-1]])
    return way


def replaced(layers: Sequence[Layer], model: str | None) -> tuple[Problem, ...]:
    """A warning for each name of the user's that means another model than it would without the project's file.

    Args:
        layers: the sources, the strongest first.
        model: the name that was given for a run; None where the settings choose.
    """
    project = next((layer for layer in layers if layer.kind == "project"), None)
    if project is None or not any(path[0] in ("model", "aliases") for path in project.values):
        return ()
    own = [layer for layer in layers if layer is not project]
    mine, all_aliases = _aliases(own), _aliases(layers)
    chosen: str | None = model or _first(own)
    found: list[Problem] = []
    if model is None and chosen and (new := _first(layers) or chosen) != chosen:
        means, meant = resolved(new, all_aliases)[-1], resolved(chosen, mine)[-1]
        if means != meant:
            said = f"`model` is `{new}`, as {project.place(MODEL)} says; your own settings say `{chosen}`"
            found.append(_warning(said, meant))
        chosen = None
    names = [chosen, *mine] if chosen else list(mine)
    for name in dict.fromkeys(names):
        means, meant = resolved(name, all_aliases), resolved(name, mine)
        if means[-1] != meant[-1]:
            at = next(("aliases", one) for one in means if ("aliases", one) in project.values)
            said = f"model `{name}` means `{means[-1]}`, as {project.place(at)} says"
            said += f"; your own settings say `{meant[-1]}`" if name in mine else ""
            found.append(_warning(said, meant[-1] if name in mine else ""))
    return tuple(found)


def _warning(said: str, own: str) -> Problem:
    hint = f"`--model {own}` names your own." if own else ""
    return replace(problem(said, "alias", hint=hint), severity="warning")


def _first(layers: Sequence[Layer]) -> str | None:
    return next((layer.values[MODEL] for layer in layers if MODEL in layer.values), None)


def _aliases(layers: Sequence[Layer]) -> dict[str, str]:
    return {
        path[1]: value for layer in reversed(layers) for path, value in layer.values.items() if path[0] == "aliases"
    }
