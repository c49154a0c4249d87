"""What may be typed for a parameter, for click's completion: files, inputs of an app, models, settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_FEW = 200  # more entries than anyone reads


def _items(current: str, found: Iterable[tuple[str, str]], kind: str = "plain") -> list[CompletionItem]:
    """The words that begin as what is typed, each with what it means."""
    from click.shell_completion import CompletionItem  # only a key press needs it

    return [CompletionItem(word, kind, meaning) for word, meaning in found if word.startswith(current)]


def first_words(commands: Mapping[str, str], current: str) -> list[CompletionItem]:
    """The commands, and the files that can be run without one."""
    return [*_items(current, commands.items()), *_files(current, ".rllm")]


def apps(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """The `.rllm` files."""
    return _files(current, ".rllm")


def files(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """All files."""
    return _files(current)


def _files(current: str, suffix: str = "", before: str = "") -> list[CompletionItem]:
    """The files in the folder that is being typed, and its folders; hidden ones where a dot is typed."""
    folder, base = os.path.split(current)
    found: list[tuple[str, str]] = []
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - no pathlib for a key press
            for entry in entries:
                if not entry.name.startswith(base) or (entry.name.startswith(".") and not base.startswith(".")):
                    continue
                path = before + os.path.join(folder, entry.name)  # noqa: PTH118 - keeps what is typed as it is
                if entry.is_dir():
                    found.append((f"{path}/", "open"))
                elif entry.name.endswith(suffix):
                    found.append((path, "plain"))
    except OSError:
        return []
    return [item for path, kind in sorted(found)[:_FEW] for item in _items(before, [(path, "")], kind)]


def inputs(ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """`key=` for each input of the app that is not given yet; after it, the values that its schema lists."""
    declared, named = _declared(ctx)
    key, equals, typed = current.partition("=")
    if not equals:
        return _items(
            current, [(f"{name}=", _meaning(of)) for name, of in declared.items() if name not in named], "open"
        )
    if typed.startswith("@") and not typed.startswith("@@"):
        return _files(typed[1:], before=f"{key}=@")
    return _items(current, [(f"{key}={text}", "") for text in _listed(declared.get(key, {}))])


def literal(ctx: click.Context, param: click.Parameter, current: str) -> list[CompletionItem]:
    """The name of each input that is not given yet; after it, the values that its schema lists."""
    declared, named = _declared(ctx)
    last = ctx.obj[-1]  # the words before the cursor
    if last not in param.opts:
        return _items(current, [(text, "") for text in _listed(declared.get(last, {}))])
    return _items(current, [(name, _meaning(of)) for name, of in declared.items() if name not in named])


def _declared(ctx: click.Context) -> tuple[Mapping[str, Mapping[str, Any]], set[str]]:
    """The schema of each input of the app that is named, and the inputs that are given already."""
    from runllm import api

    given = [word for word in (ctx.params.get("file"), *(ctx.params.get("arguments") or ()), *ctx.args) if word]
    named = {word.partition("=")[0] for word in given[1:]} | {name for name, _ in ctx.params.get("literal") or ()}
    return (api.declared_inputs(given[0]) if given else {}), named


def _meaning(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "")
    kind = kind if isinstance(kind, str) else ""
    return f"{kind}{': ' if kind and 'description' in schema else ''}{schema.get('description', '')}"


def _listed(schema: Mapping[str, Any]) -> list[str]:
    """The values of an `enum`, a `const` or a boolean, as they are typed."""
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if not values and schema.get("type") == "boolean":
        values = [True, False]
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]


def models(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """The user's aliases, and the models that are known or here."""
    from runllm import api, settings

    known = [(model.name, model.where) for model in api.models(served=False)]
    return _items(current, [*settings.load().settings.aliases.items(), *known])


def gallery(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """The apps to begin with."""
    from runllm.making.gallery import NAMES

    return _items(current, NAMES.items())


def pullable(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """The models that can be fetched."""
    return _models_in(("catalogue", "unfinished"), current)


def pulled(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """The models that can be removed."""
    return _models_in(("pulled", "unfinished"), current)


def _models_in(places: tuple[str, ...], current: str) -> list[CompletionItem]:
    from runllm import api
    from runllm.models.known import bare

    found = [model for model in api.models(served=False) if model.where in places]
    return _items(current, [(bare(model.name), model.licence or "") for model in found])


def keys(_ctx: click.Context, _param: click.Parameter, current: str) -> list[CompletionItem]:
    """The settings."""
    from runllm import settings

    return _items(current, [(name, one.help) for name, one in settings.SETTINGS.items() if "." not in name])
