"""Two ways to try inputs for a while: led by coverage where atheris is installed, else by chance alone."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fuzz import harness
from fuzz.mutation import Mutator

_HANGS = 60
"""Seconds after which an input that does not end ends the process."""
_OWN_MUTATIONS = 0.5
_MEGABYTES = 2048


def is_guided() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def drive(name: str, seconds: int, seed: int) -> None:
    """Try inputs for a target. Each crash is printed and kept; the last line printed counts them, as JSON."""
    began = time.monotonic()
    (harness.CRASHES / name).mkdir(parents=True, exist_ok=True)
    if is_guided():
        _guided(name, seconds, seed, began)
    else:
        _by_chance(name, seconds, seed, began)


def _report(session: harness.Session, began: float) -> None:
    took = time.monotonic() - began
    facts = {"executions": session.executions, "seconds": round(took, 1), "crashes": len(session.crashes)}
    print(json.dumps(facts), flush=True)


def _by_chance(name: str, seconds: int, seed: int, began: float) -> None:
    session = harness.Session(harness.target(name))
    seeds = session.seeds()
    mutator = Mutator(session.target.tokens, seeds, random.Random(seed))
    under_way = harness.CRASHES / name / "under-way"  # stays where an input ends the process
    for data in seeds:
        session.one(data)
    while time.monotonic() - began < seconds:
        data = mutator.fresh(harness.LONGEST)
        under_way.write_bytes(data)
        faulthandler.dump_traceback_later(_HANGS, exit=True)
        session.one(data)
    faulthandler.cancel_dump_traceback_later()
    under_way.unlink(missing_ok=True)
    _report(session, began)


def _guided(name: str, seconds: int, seed: int, began: float) -> None:
    atheris: Any = importlib.import_module("atheris")  # of the dependency group `fuzz`, and not on every machine

    with atheris.instrument_imports(include=["runllm"]):
        session = harness.Session(harness.target(name))
    found = harness.FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())  # inside that of the process that started this one
    for number, data in enumerate(session.target.seeds()):
        (folder / str(number)).write_bytes(data)
    options = [
        f"-max_total_time={seconds + _HANGS}", f"-timeout={_HANGS}", f"-rss_limit_mb={_MEGABYTES}", f"-seed={seed}",
        f"-max_len={harness.LONGEST}", f"-artifact_prefix={harness.CRASHES / name}/", "-print_final_stats=0",
        "-verbosity=0", f"-dict={_dictionary(session)}",
    ]  # fmt: skip
    folders = [str(found), str(harness.CORPUS / name), str(folder)]
    chance = random.Random(seed)
    mutator = Mutator(session.target.tokens, session.seeds(), chance)

    def mutate(data: bytes, longest: int, _: int) -> bytes:
        own = chance.random() < _OWN_MUTATIONS
        return mutator.changed(data, longest) if own else bytes(atheris.Mutate(data, longest))

    def one(data: bytes) -> None:
        session.one(data)
        if time.monotonic() - began > seconds:  # libFuzzer would end the process itself, and nothing be reported
            _report(session, began)
            os._exit(0)

    atheris.Setup([sys.argv[0], *options, *folders], one, custom_mutator=mutate)
    atheris.Fuzz()


def _dictionary(session: harness.Session) -> Path:
    """The target's tokens in a file as libFuzzer reads it."""
    path = Path(tempfile.gettempdir()) / f"{session.target.name}.dict"
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"' for token in session.target.tokens if token)
    path.write_text("\n".join(lines), encoding="ascii")
    return path
