"""What checking an app costs: `runllm validate` against `baml-cli check`, of the same job in both languages.

    python benchmarks/checking.py --baml PATH [--rounds 15]

Whole processes in turn; CPU, user and system, and peak memory are medians, the ratio that of the pairs. `baml-cli`
comes with the package `baml-py` (0.226.3 was measured). The apps are those of `benchmarks/peers/apps`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

APPS = Path(__file__).parent / "peers" / "apps"


def spent(command: list[str]) -> tuple[float, float]:
    """CPU seconds and the peak of memory in MiB of a whole process."""
    process = subprocess.Popen(command, cwd=APPS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} ended with {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--baml", required=True, help="path of `baml-cli`")
    parser.add_argument("--rounds", type=int, default=15, help="pairs that are measured")
    chosen = parser.parse_args()
    ways = {
        "baml-cli check": [chosen.baml, "check"],
        "runllm validate": [str(Path(sys.executable).with_name("runllm")), "validate", "summary.rllm"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(chosen.rounds + 1):  # the first writes bytecode
        for way, command in ways.items():
            found = spent(command)
            if turn:
                taken[way].append(found)
    first = taken["baml-cli check"]
    for way, found in taken.items():
        ratio = statistics.median(one[0] / other[0] for one, other in zip(found, first, strict=True))
        cpu, peak = statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)
        print(f"{way:18} {cpu:6.3f} s CPU  {peak:4.0f} MiB  {ratio:5.2f} of `baml-cli check`")


if __name__ == "__main__":
    main()
