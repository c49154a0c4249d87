"""How well `runllm exectime` predicts: on the embedded model, from runs of varied length to runs it has not seen.

    python benchmarks/exectime.py [--known 30] [--unseen 20]

Runs `examples/summary.rllm` on stretches of `examples/long_summary.input.yaml`, 40 to 700 words each, drawn with a
fixed seed. The first runs are recorded in a new store; each later one is predicted from those alone, then run. Prints
the median absolute error of the predicted p50 and the share of the real times under the predicted p90.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import runllm
from runllm.stats.store import Store

EXAMPLES = Path(__file__).parent.parent / "examples"


def stretches(count: int) -> list[str]:
    """Texts of very different lengths."""
    app = runllm.load(EXAMPLES / "long_summary.rllm")
    words = app.read_input(path=str(EXAMPLES / "long_summary.input.yaml"))["text"].split()
    chance = random.Random(11)  # noqa: S311 - the same texts every time
    found: list[str] = []
    for _ in range(count):
        length = chance.randint(40, 700)
        start = chance.randrange(len(words) - length)
        found.append(" ".join(words[start : start + length]))
    return found


def main() -> None:
    """Record, predict, run, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", type=int, default=30)
    parser.add_argument("--unseen", type=int, default=20)
    asked = parser.parse_args()
    texts = stretches(asked.known + asked.unseen)
    with tempfile.TemporaryDirectory() as folder, runllm.Runtime(store=Store(Path(folder) / "stats.db")) as runtime:
        app = runllm.load(EXAMPLES / "summary.rllm", runtime=runtime)
        for text in texts[: asked.known]:
            app.run({"text": text})
        unrecorded = runllm.load(EXAMPLES / "summary.rllm", runtime=runtime, stats=False)
        errors: list[float] = []
        under = 0
        for text in texts[asked.known :]:
            predicted = app.forecast({"text": text}).latency
            if predicted is None:
                raise SystemExit("nothing was recorded")
            started = time.perf_counter()
            unrecorded.run({"text": text})
            taken = time.perf_counter() - started
            errors.append(abs(predicted.p50 - taken) / taken)
            under += taken <= predicted.p90
            guess = f"predicted {predicted.p50:5.1f} s, p90 {predicted.p90:5.1f} s"
            print(f"{len(text.split()):>4} words: {guess}, took {taken:5.1f} s", flush=True)
    print(f"median absolute error {statistics.median(errors):.0%}, {under} of {len(errors)} under the p90")


if __name__ == "__main__":
    main()
