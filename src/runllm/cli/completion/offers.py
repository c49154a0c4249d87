"""What may stand at the cursor: commands, options, files, inputs of an app, models, settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from runllm.cli import COMMANDS, cli, with_run

_FEW = 200  # more entries than anyone reads
_NAMES = ("FILE", "FILE...", "[FILE]")
_LITERAL = "literal"  # the option whose values are the name and the text of an input


class Offer(NamedTuple):
    """A word that may stand at the cursor.

    Attributes:
        value: the whole word.
        help: what it means, in a few words; empty where the word says it.
        open: whether more is to be typed, so that no space follows.
    """

    value: str
    help: str = ""
    open: bool = False


class _Place(NamedTuple):
    """Where in a command the cursor is."""

    command: click.Command
    option: click.Option | None  # whose value is being typed
    before: tuple[str, ...]  # the values of that option which stand before it
    options: bool  # whether an option may stand here
    position: int
    given: tuple[str, ...]  # the positional arguments before it
    named: frozenset[str]  # the inputs of an app that are given already


def offers(words: Sequence[str], current: str) -> list[Offer]:
    """What may stand for `current` after `words`, the name of the program left out."""
    if not words and not current.startswith("-"):
        found = [*(Offer(value=name, help=meaning) for name, meaning in COMMANDS.items()), *_files(current, ".rllm")]
        return _fitting(found, current)
    place = _place(with_run(list(words)))
    if place.option is not None:
        return _fitting(_values(place.option, place, current), current)
    name, equals, typed = current.partition("=")
    if place.options and current.startswith("--") and equals:
        option = _options(place.command).get(name)
        values = _values(option, place, typed) if option else ()
        return [offer._replace(value=f"{name}={offer.value}") for offer in _fitting(values, typed)]
    if place.options and current.startswith("-"):
        return _fitting(_option_names(place.command), current)
    return _fitting([*_inner_commands(place), *_values(_argument(place), place, current)], current)


def _fitting(found: Iterable[Offer], current: str) -> list[Offer]:
    return [offer for offer in found if offer.value.startswith(current)]


def _place(words: list[str]) -> _Place:
    """Follow the words into the commands and past their options."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), words[0]) if words else None
        if inner is None:
            break
        command, words = inner, words[1:]
    known = _options(command)
    option: click.Option | None = None
    before: list[str] = []
    options = True
    given: list[str] = []
    named: set[str] = set()
    for word in words:
        if option is not None:
            before.append(word)
        elif options and word == "--":
            options = False
        elif options and word.startswith("-") and word != "-":
            name, equals, typed = word.partition("=")
            option = known.get(name)
            before = [typed] if equals else []
        else:
            named |= {word.partition("=")[0]} if given else set()
            given.append(word)
        if option is not None and (option.is_flag or option.count or len(before) == option.nargs):
            named |= set(before[:1]) if option.name == _LITERAL else set()
            option = None
    return _Place(
        command=command, option=option, before=tuple(before), options=options, position=len(given),
        given=tuple(given), named=frozenset(named),
    )  # fmt: skip


def _parameters(command: click.Command) -> list[click.Parameter]:
    """The parameters of a command; those of `stats` are where it keeps them."""
    shown = command.commands.get("show") if isinstance(command, click.Group) else None
    return [*command.params, *(shown.params if shown else ())]


def _options(command: click.Command) -> dict[str, click.Option]:
    return {
        name: param
        for param in _parameters(command)
        if isinstance(param, click.Option) and not param.hidden
        for name in (*param.opts, *param.secondary_opts)
    }


def _option_names(command: click.Command) -> Iterator[Offer]:
    for name, option in _options(command).items():
        if name.startswith("--"):
            yield Offer(value=name, help=option.help or "")
    yield Offer(value="--help", help="Show what the command does.")
    if command is cli:
        yield Offer(value="--version", help="Show the version.")


def _argument(place: _Place) -> click.Argument | None:
    arguments = [param for param in _parameters(place.command) if isinstance(param, click.Argument)]
    if place.position < len(arguments):
        return arguments[place.position]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


def _inner_commands(place: _Place) -> Iterator[Offer]:
    if isinstance(place.command, click.Group) and not place.given:
        for name, inner in getattr(place.command, "commands", {}).items():
            if not inner.hidden:
                yield Offer(value=name, help=inner.get_short_help_str(80))


def _values(param: click.Parameter | None, place: _Place, current: str) -> Iterable[Offer]:
    """What may be given for a parameter, by its kind and by how its value is called."""
    if param is None:
        return ()
    if isinstance(param.type, click.Choice):
        return [Offer(value=str(choice)) for choice in param.type.choices]
    metavar = param.metavar or ""
    if metavar in _NAMES:
        return _files(current, ".rllm")
    if metavar == "PATH":
        return _files(current)
    if metavar.startswith("[KEY=VALUE"):
        return _inputs(place, current)
    if param.name == _LITERAL:
        return _literal(place)
    source = _SOURCES.get((place.command.name or "", metavar)) or _SOURCES.get(("", metavar))
    return source() if source else ()


def _files(current: str, suffix: str = "") -> list[Offer]:
    """The files in the folder that is being typed, and its folders; hidden ones where a dot is typed."""
    folder, base = os.path.split(current)
    found: list[Offer] = []
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - no pathlib for a key press
            for entry in entries:
                if not entry.name.startswith(base) or (entry.name.startswith(".") and not base.startswith(".")):
                    continue
                path = os.path.join(folder, entry.name)  # noqa: PTH118 - keeps what is typed as it is
                if entry.is_dir():
                    found.append(Offer(value=f"{path}/", open=True))
                elif entry.name.endswith(suffix):
                    found.append(Offer(value=path))
    except OSError:
        return []
    return sorted(found)[:_FEW]


def _inputs(place: _Place, current: str) -> Iterable[Offer]:
    """`key=` for each input of the app that is not given yet; after it, the values that its schema lists."""
    if not place.given:
        return ()
    from runllm import api

    declared = api.declared_inputs(place.given[0])
    key, equals, typed = current.partition("=")
    if not equals:
        return [
            Offer(value=f"{name}=", help=_meaning(schema), open=True)
            for name, schema in declared.items()
            if name not in place.named
        ]
    if typed.startswith("@") and not typed.startswith("@@"):
        return [offer._replace(value=f"{key}=@{offer.value}") for offer in _files(typed[1:])]
    return [Offer(value=f"{key}={text}") for text in _listed(declared.get(key, {}))]


def _literal(place: _Place) -> Iterable[Offer]:
    """The name of each input that is not given yet; after it, the values that its schema lists."""
    if not place.given:
        return ()
    from runllm import api

    declared = api.declared_inputs(place.given[0])
    if place.before:
        return [Offer(value=text) for text in _listed(declared.get(place.before[0], {}))]
    return [Offer(value=name, help=_meaning(schema)) for name, schema in declared.items() if name not in place.named]


def _meaning(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "")
    kind = kind if isinstance(kind, str) else ""
    return " ".join(f"{kind}{': ' if kind and 'description' in schema else ''}{schema.get('description', '')}".split())


def _listed(schema: Mapping[str, Any]) -> list[str]:
    """The values of an `enum`, a `const` or a boolean, as they are typed."""
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if not values and schema.get("type") == "boolean":
        values = [True, False]
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]


def _models() -> list[Offer]:
    from runllm import api, settings

    aliases = [Offer(value=name, help=model) for name, model in settings.load().settings.aliases.items()]
    return aliases + [Offer(value=model.name, help=model.where) for model in api.models(served=False)]


def _models_here(*places: str) -> list[Offer]:
    from runllm import api

    return [
        Offer(value=model.name.removeprefix("local/"), help=model.licence or "")
        for model in api.models(served=False)
        if model.where in places
    ]


def _settings() -> list[Offer]:
    from runllm import settings

    return [Offer(value=name, help=setting.help) for name, setting in settings.SETTINGS.items() if "." not in name]


_SOURCES: Mapping[tuple[str, str], Callable[[], list[Offer]]] = {
    ("", "MODEL"): _models,
    ("", "KEY"): _settings,
    ("pull", "NAME"): lambda: _models_here("catalogue", "unfinished"),
    ("rm", "NAME..."): lambda: _models_here("pulled", "unfinished"),
}
