"""Do one job with runllm and with the tools one might use instead, and print what each takes.

    python benchmarks/peers/run.py [--cold 7] [--warm 10] [--write] [NAME ...]

The job: a text of 600 characters becomes an object that fits a JSON Schema, by one call to an OpenAI-compatible
provider on the loopback interface. `apps/` holds what a user of each tool would write. Environments are made with
`uv`, pinned and compiled, and kept in a folder of the system's temporary files (`RUNLLM_PEERS_CACHE` names another).
Nobody's habits are switched off but one: LiteLLM is told not to fetch its price table. `--write` puts the tables into
`docs/performance.md`, between its markers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import judging
import measuring
import tables
from contenders import CONTENDERS, FLOOR, RUNLLM
from environments import PROJECT, make_home, prepare, variables

PAGE = PROJECT / "docs" / "performance.md"
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cold", type=int, default=7, help="rounds of fresh processes")
    parser.add_argument("--warm", type=int, default=10, help=f"rounds of {measuring.WARM_CALLS} warm calls")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, beside plain HTTP and runllm")
    chosen = parser.parse_args()
    provider = measuring.Provider()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = compare(provider, Path(folder), chosen)
    finally:
        provider.close()
    print(found)
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, marker, after = rest.partition(END)
        if not marker:
            raise SystemExit(f"{PAGE} has no markers {BEGIN} and {END}")
        PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")


def compare(provider: measuring.Provider, home: Path, chosen: argparse.Namespace) -> str:
    """Measure, and give the tables."""
    make_home(home, provider.base)
    seats: list[measuring.Seat] = []
    for contender in (FLOOR, *CONTENDERS):
        if chosen.names and contender.name not in (*chosen.names, FLOOR.name, RUNLLM.name):
            continue
        _say(f"installing {contender.name}")
        folder = prepare(contender)
        told = variables(contender, folder, provider.base, home)
        seats.append(measuring.Seat(contender=contender, folder=folder, variables=told))
    _say("fresh processes")
    measuring.cold(seats, chosen.cold)
    _say("imports")
    measuring.imports([seat for seat in seats if not seat.contender.variant], chosen.cold)
    _say("warm calls")
    measuring.warm(seats, chosen.warm)
    _say("answers that cannot be used")
    rivals = [seat for seat in seats if seat.contender.requires and not seat.contender.variant]
    judged = {seat.contender.name: judging.judge(seat, provider) for seat in rivals}
    runllm = next(seat for seat in seats if seat.contender is RUNLLM)
    tokens = {name: judging.tokens([found["good"], found["misfit"]], runllm) for name, found in judged.items()}
    return tables.report(seats, judged, tokens)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
