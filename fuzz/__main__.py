"""Fuzz targets for a while: `python -m fuzz parser --seconds 60`, or `--all`."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz import driving, harness

_GRACE = 120


def main() -> int:
    """Run the command; the status is 1 where an input crashed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", metavar="TARGET", help=f"one of {', '.join(harness.TARGETS)}")
    parser.add_argument("--all", action="store_true", help="every target")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="of chance")
    parser.add_argument(
        "--inputs", type=Path, nargs="+", help="run these files through the target, and show what is raised"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = list(harness.TARGETS) if given.all else given.target
    if not names or not set(names) <= set(harness.TARGETS):
        parser.error(f"name a target ({', '.join(harness.TARGETS)}) or pass --all")
    quiet()
    if given.inputs:
        for path in given.inputs:
            harness.run(harness.target(names[0]).check, path.read_bytes())
        return 0
    if given.here:
        driving.drive(names[0], given.seconds, given.seed)
        return 0
    print(f"seed {given.seed}, {'led by coverage' if driving.is_guided() else 'by chance alone: no atheris here'}")
    return max([tried(name, given.seconds, given.seed) for name in names])


def quiet() -> None:
    """No settings, records or keys of the user, and no model outside this machine."""
    os.environ |= {"RUNLLM_LOOPBACK_ONLY": "1", "RUNLLM_STATS": "off", "RUNLLM_CONFIG": os.devnull}


def tried(name: str, seconds: int, seed: int) -> int:
    """Fuzz a target in a process of its own, which an input may end; 1 where one crashed."""
    command = [sys.executable, "-m", "fuzz", name, "--here", "--seconds", str(seconds), "--seed", str(seed)]
    root = harness.HERE.parent
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder}
        try:
            done = subprocess.run(
                command, capture_output=True, check=False, timeout=seconds + _GRACE, cwd=root, env=environment
            )
        except subprocess.TimeoutExpired:
            print(f"{name}: did not end")
            return 1
    lines = done.stdout.decode(errors="replace").splitlines()
    try:
        facts = json.loads(lines[-1])
    except (IndexError, ValueError):
        print(f"{name}: the process ended with status {done.returncode}; look into {harness.CRASHES / name}")
        print(done.stderr.decode(errors="replace")[-3000:])
        return 1
    for line in lines[:-1]:
        print(line)
    rate = facts["executions"] / max(facts["seconds"], 0.1)
    print(f"{name}: {facts['executions']:,} inputs in {facts['seconds']} s ({rate:,.0f}/s), {facts['crashes']} crashes")
    return 1 if facts["crashes"] else 0


if __name__ == "__main__":
    sys.exit(main())
