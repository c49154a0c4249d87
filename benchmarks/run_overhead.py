"""What a run costs beside the model: everything from the input check to the result, with a model that answers at once.

python benchmarks/run_overhead.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import runllm
from runllm.testing import ScriptedEngine

ROUNDS = 1000
APP = Path(__file__).parent.parent / "examples" / "summary.rllm"
ANSWER = '{"summary": "a", "key_points": ["b", "c"]}'


def main() -> None:
    """Print the median of each input length."""
    for words in (2, 500, 2000):
        text = " ".join(f"word{n % 97}" if n % 5 == 0 else "plain" for n in range(words))
        with runllm.Runtime(engine=ScriptedEngine([ANSWER] * ROUNDS)) as runtime:
            app = runllm.load(APP, runtime=runtime, model="openai/m")
            taken: list[float] = []
            for turn in range(ROUNDS):
                start = time.perf_counter()
                app.run({"text": f"{turn} {text}"})  # never the same text twice
                taken.append(time.perf_counter() - start)
        print(f"input of {words:>5,} words: {statistics.median(taken) * 1e3:.2f} ms a run")


if __name__ == "__main__":
    main()
