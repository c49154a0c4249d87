"""A virtual environment for each contender, kept in a cache folder and made again when a pin changes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contenders import Contender

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CACHE = Path(os.environ.get("RUNLLM_PEERS_CACHE") or Path(tempfile.gettempdir()) / "runllm-peers")
READY = "ready"
KEPT = ("TMPDIR", "SYSTEMROOT", "LANG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What an installation takes.

    Attributes:
        packages: how many distributions.
        size: bytes of all files, bytecode included.
    """

    packages: int
    size: int


def prepare(contender: Contender) -> Path:
    """The environment of a contender, installed and compiled; this project is built and installed each time."""
    pins = [pin for pin in contender.requires if pin != "."]
    told = "\n".join([sys.version, *contender.requires])
    folder = CACHE / f"{contender.name.split()[0]}-{sha256(told.encode()).hexdigest()[:10]}"
    if not (folder / READY).exists():
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        if pins:
            _install(folder, *pins)
        (folder / READY).touch()
    if "." in contender.requires and not contender.variant:
        with tempfile.TemporaryDirectory() as built:
            _uv("build", "--wheel", "--out-dir", built, str(PROJECT))
            wheel = next(Path(built).glob("*.whl"))
            _install(folder, "--reinstall-package", "runllm", str(wheel), *pins)
    return folder


def installed(folder: Path) -> Installed:
    """What is in an environment."""
    packages = next(folder.glob("lib/python*/site-packages"))
    files = [file for file in packages.rglob("*") if file.is_file() and not file.name.startswith("_virtualenv")]
    return Installed(
        packages=sum(1 for _ in packages.glob("*.dist-info")), size=sum(file.stat().st_size for file in files)
    )


def variables(contender: Contender, folder: Path, base: str, home: Path) -> dict[str, str]:
    """The environment variables of a user who has done nothing but set a key and the address of the provider."""
    path = f"{folder / 'bin'}{os.pathsep}{os.defpath}"
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "PATH": path,
        "HOME": str(home),
        "OPENAI_API_KEY": "sk-loopback",
        "OPENAI_BASE_URL": base,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else `litellm` alone would wait for the network when imported
        "PYTHONUNBUFFERED": "1",  # an answer is there when it is printed, as on a terminal
        "LLM_USER_PATH": str(home / "llm"),
        **contender.environment,
    }


def make_home(home: Path, base: str) -> None:
    """The home folder of that user, with what `llm` needs to know of the provider."""
    told = (HERE / "apps" / "extra-openai-models.yaml").read_text(encoding="utf-8")
    (home / "llm").mkdir(parents=True)
    (home / "llm" / "extra-openai-models.yaml").write_text(
        told.replace("http://127.0.0.1:0/v1", base), encoding="utf-8"
    )


def _install(folder: Path, *wanted: str) -> None:
    _uv("pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python"), *wanted)


def _uv(*arguments: str) -> None:
    environment: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["uv", "--quiet", *arguments],
        cwd=CACHE,  # what this project overrides for itself must not hold for the others
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)}\n{done.stderr}")
