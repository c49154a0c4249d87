"""What a run costs beside the model: everything from the input check to the result, with a model that answers at once.

python benchmarks/run_overhead.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import runllm
from runllm.engines.cache import Answers
from runllm.testing import ScriptedEngine

ROUNDS = 1000
APP = Path(__file__).parent.parent / "examples" / "summary.rllm"
ANSWER = '{"summary": "a", "key_points": ["b", "c"]}'


def took(app: runllm.App, given: dict[str, Any], **options: Any) -> float:
    """Seconds of a run."""
    start = time.perf_counter()
    app.run(given, **options)
    return time.perf_counter() - start


def main() -> None:
    """Print the median of each input length, and the same of runs whose answer is in a cache of 20,000 answers."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Answers(Path(folder) / "answers.db")
        for number in range(20_000):
            answers.keep(number.to_bytes(32), runllm.Completion(text=ANSWER * 10, model="openai/m"), time.time())
        for words in (2, 500, 2000):
            text = " ".join(f"word{n % 97}" if n % 5 == 0 else "plain" for n in range(words))
            with runllm.Runtime(engine=ScriptedEngine([ANSWER] * 2 * ROUNDS), answers=answers) as runtime:
                app = runllm.load(APP, runtime=runtime, model="openai/m")
                inputs = [{"text": f"{turn} {text}"} for turn in range(ROUNDS)]  # never the same text twice
                runs = [took(app, one) for one in inputs]
                kept = [took(app, one, cache=True) for one in inputs]
                hits = [took(app, one, cache=True) for one in inputs]
            shown = (f"{statistics.median(times) * 1e3:.2f} ms" for times in (runs, kept, hits))
            print("input of {:>5,} words: {} a run, {} that is kept, {} from the cache".format(words, *shown))


if __name__ == "__main__":
    main()
