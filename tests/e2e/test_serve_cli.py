"""`runllm serve` as a command: whom it lets in, how it begins, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, answer
from tests.integration.serving import until
from tests.warm import RUNLLM

TOKEN = "a-token-of-sixteen-and-more"


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider(answer('{"out": "x"}', delay=1.0)) as found:
        (tmp_path / "app.rllm").write_text(leaf("app", llm=at(found.base)), encoding="utf-8")
        yield found


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    own = {"RUNLLM_STATS": "off", "OPENAI_API_KEY": "k", "NO_COLOR": "1", "TOKEN": TOKEN}
    return {**os.environ, **own, "RUNLLM_STATS_DB": str(tmp_path / "own" / "stats.db"), **more}


class _Started:
    """A service that was started as a command."""

    def __init__(self, process: subprocess.Popen[str], log: list[str]) -> None:
        self.process, self.log = process, log
        until(lambda: any(" at http://" in line for line in log) or process.poll() is not None)
        found = re.search(r"http://\S+:\d+", "".join(log))
        assert found, log
        self.url = found[0]

    def ended(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def _service(folder: Path, *words: str) -> Iterator[_Started]:
    command = [RUNLLM, "serve", "app.rllm", "--port", "0", *words]
    with subprocess.Popen(
        command, cwd=folder, env=_environment(folder), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        log: list[str] = []
        threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True).start()
        try:
            yield _Started(process, log)
        finally:
            if process.poll() is None:
                process.kill()


def _refused(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [RUNLLM, "serve", "--port", "0", "--error-format", "text", *words],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (2, 3), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_serves_until_it_is_told_to_end_and_finishes_what_runs(tmp_path: Path, provider: Provider) -> None:
    with _service(tmp_path, "-v") as service:
        until(lambda: httpx.get(f"{service.url}/readyz").status_code == 200)
        found: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: found.append(httpx.post(f"{service.url}/apps/app", json={"text": "a"}, timeout=60))
        )
        asking.start()
        until(lambda: provider.chats)
        assert service.ended() == 0
        asking.join(60)
    assert (found[0].status_code, found[0].json()) == (200, {"out": "x"})
    assert any("POST /apps/app 200" in line for line in service.log)
    assert TOKEN not in "".join(service.log)


def test_with_a_token_others_may_reach_it(tmp_path: Path, provider: Provider) -> None:
    del provider
    with _service(tmp_path, "--host", "0.0.0.0", "--token-env", "TOKEN") as service:  # noqa: S104 - for a moment
        assert httpx.get(f"{service.url}/apps").status_code == 401
        assert httpx.get(f"{service.url}/apps", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert service.ended() == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "others would reach the service, and it would ask for no token"),  # noqa: S104
        (("--host", "::"), "others would reach the service"),
        (("--host", "example"), "others would reach the service"),
        (("--host", "0.0.0.0", "--no-auth", "--trust-python"), "`--trust-python` is for this machine alone"),  # noqa: S104
        (("--host", "0.0.0.0", "--token-env", "TOKEN", "--trust-python"), "`--trust-python` is for this machine alone"),  # noqa: S104
        (("--token-env", "NOT_SET"), "the variable `NOT_SET` is not set"),
        (("--token-env", "TOKEN", "--token-file", "x"), "exclude each other"),
        (("--token-file", "none"), "cannot be read"),
        (("--token-file", "app.rllm"), "holds no token"),
        (("--port", "70000"), "70000"),
        (("nope.rllm",), "there is no file `nope.rllm`"),
        (("app.rllm", "app.rllm", "--max-cost-per-day", "-1"), "-1"),
        (("app.rllm", "--max-cost-per-day", "nan"), "nan"),
        (("--host", "256.256.256.256", "--no-auth"), "cannot listen"),
    ],
)
def test_what_would_be_unsafe_or_cannot_be_is_refused_at_the_start(
    tmp_path: Path, provider: Provider, words: tuple[str, ...], said: str
) -> None:
    del provider
    assert said in _refused(tmp_path, *words)


def test_a_port_that_is_taken_is_told(tmp_path: Path, provider: Provider) -> None:
    port = httpx.URL(provider.base).port
    assert f"cannot listen at 127.0.0.1, port {port}" in _refused(tmp_path, "app.rllm", "--port", str(port))
