"""What holds for every test: no model outside this machine is ever called."""

import os
import signal

import pytest
from tests import chances, warm  # noqa: F401 - what is loaded holds for all tests, and in the workers of this process

os.environ["RUNLLM_LOOPBACK_ONLY"] = "1"
os.environ["RUNLLM_STATS"] = "off"  # a test that records names its own store
os.environ["RUNLLM_CONFIG"] = os.devnull  # the developer's own settings must change no result
# A shell ignores Ctrl-C for what it starts in the background, and the tests of Ctrl-C would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: about a quarter of the time of a test is waiting for another process."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the developer's own environment must change no result."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE")) or name in ("OLLAMA_HOST", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name)
