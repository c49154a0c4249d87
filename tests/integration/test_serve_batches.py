"""Tables over HTTP: checked as a whole, run row by row, fetched as CSV, and gone when the service ends."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from tests.integration.serving import PLAIN, Service, until

from runllm.errors import ProviderError
from runllm.pace import Pace
from runllm.results import Completion, Request
from runllm.serve import Limits, batches, uploads
from runllm.spending import Bounds, Budget
from runllm.testing import ScriptedEngine

APP = """---
name: shout
description: Says it louder.
input_schema:
  type: object
  properties:
    text: {type: string, minLength: 2}
    often: {type: integer, default: 1}
  required: [text]
  additionalProperties: false
output_schema:
  type: object
  properties: {loud: {type: string}}
  required: [loud]
  additionalProperties: false
llm: {model: openai/gpt-4o-mini, num_retries: 0}
---
{{ input.text }} {{ input.often }}
"""
TABLE = "text,often,who\nab,1,x\ncd,2,=HYPERLINK(1)\n"


class Held(ScriptedEngine):
    """Answers when it is let; a row is asked for in a thread."""

    def __init__(self) -> None:
        super().__init__(lambda _: '{"loud": "AB"}')
        self.open = threading.Event()

    def complete(self, request: Request) -> Completion:
        found = super().complete(request)
        assert self.open.wait(30)
        return found


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "shout.rllm"
    path.write_text(APP, encoding="utf-8")
    return path


@pytest.fixture
def service(app: Path) -> Iterator[Service]:
    with Service(app, engine=ScriptedEngine(lambda _: '{"loud": "=AB"}')) as found:
        yield found


CUT = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\nab\n\r\n'
    b'--x\r\nContent-Disposition: form-data; name="start"\r\n\r\nn'
)
"""A form that breaks off in the field that says that nothing is to be run yet."""


def ask(method: str, url: str, **more: Any) -> httpx.Response:
    return httpx.request(method, url, timeout=30, verify=PLAIN, **more)


def send(service: Service, table: str | bytes = TABLE, name: str = "rows.csv", **fields: str) -> httpx.Response:
    return ask("POST", f"{service.url}/apps/shout/batches", files={"file": (name, table)}, data=fields)


def ended(service: Service, url: str) -> dict[str, Any]:
    until(lambda: service.get(url).json()["state"] != "running")
    return service.get(url).json()


def rows_of(service: Service, url: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(service.get(f"{url}/result").text)))


def test_a_table_is_checked_then_run_then_fetched_then_dropped(service: Service) -> None:
    checked = send(service, TABLE + "x,3,short\n" + "ef,many,y\n", start="no")
    assert checked.status_code == 201
    told = checked.json()
    assert checked.headers["location"] == told["url"]
    assert {name: told[name] for name in ("state", "rows", "unfit", "done", "file")} == {
        "state": "checked", "rows": 4, "unfit": 2, "done": 0, "file": "rows.csv",
    }  # fmt: skip
    assert told["feeds"] == {"text": "text", "often": "often"}
    assert [one["line"] for one in told["misfits"]] == [4, 5]
    assert "shorter than 2" in told["misfits"][0]["message"]
    assert service.get(f"{told['url']}/result").status_code == 409

    begun = ask("POST", f"{service.url}{told['url']}")
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    assert ask("POST", f"{service.url}{told['url']}").status_code == 409
    done = ended(service, told["url"])
    assert (done["state"], done["done"], done["failed"], done["has_result"]) == ("done", 4, 2, True)
    assert [(one["code"], one["rows"], one["line"]) for one in done["kinds"]] == [("RLLM_004", 2, 4)]

    answer = service.get(f"{told['url']}/result")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="rows-shout.csv"'
    rows = rows_of(service, told["url"])
    assert [row["loud"] for row in rows] == ["'=AB", "'=AB", "", ""], "no cell is a formula"
    assert rows[1]["who"] == "'=HYPERLINK(1)"
    assert [row["_error_code"] for row in rows] == ["", "", "RLLM_004", "RLLM_004"]

    assert ask("DELETE", f"{service.url}{told['url']}").status_code == 204
    assert service.get(told["url"]).status_code == 404
    assert b'runllm_runs_total{app="shout",ended="ok"} 2.0' in service.get("/metrics").content


def test_a_table_is_told_as_the_openapi_document_says(service: Service) -> None:
    document = service.get("/openapi.json").json()
    assert "multipart/form-data" in document["paths"]["/apps/shout/batches"]["post"]["requestBody"]["content"]
    validator = jsonschema_rs.validator_for({**document, "$ref": "#/components/schemas/Batch"})
    checked = send(service, TABLE + "x,3,short\n", start="no").json()
    ask("POST", f"{service.url}{checked['url']}")
    for told in (checked, ended(service, checked["url"])):
        validator.validate(told)
        assert told.keys() <= document["components"]["schemas"]["Batch"]["properties"].keys()


def test_rows_are_run_at_once_where_nothing_else_is_asked_for(service: Service) -> None:
    told = send(service, "text;often\nab;1\n", name="C:\\lists\\my rows.csv").json()
    assert told["file"] == "my rows.csv"
    assert ended(service, told["url"])["state"] == "done"
    assert ask("DELETE", f"{service.url}{told['url']}").status_code == 204


def test_a_result_can_be_sent_again(service: Service) -> None:
    first = send(service, TABLE + "x,3,short\n").json()
    ended(service, first["url"])
    again = send(service, service.get(f"{first['url']}/result").content).json()
    assert ended(service, again["url"])["state"] == "done"
    assert list(rows_of(service, again["url"])[0])[:5] == ["text", "often", "who", "loud", "out_loud"]


def test_a_table_that_feeds_nothing_is_told_what_it_has_and_can_be_mapped(service: Service) -> None:
    refused = send(service, "Body,Times\nab,2\n")
    assert refused.status_code == 422
    problem = refused.json()
    assert (problem["columns"], problem["inputs"]) == (["Body", "Times"], ["text", "often"])
    assert "`text`" in problem["message"]
    assert "--map" not in problem["hint"]
    told = send(service, "Body,Times\nab,2\n", columns='{"text": "Body", "often": "Times"}', start="no").json()
    assert told["feeds"] == {"text": "Body", "often": "Times"}
    assert send(service, "Body\nab\n", columns='{"text": "Bdy"}').status_code == 422


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"data": {"file": "text"}}, 415, "no form with a file"),
        ({"files": {"other": ("a.csv", b"text\nab\n")}}, 400, "there is no table"),
        ({"json": {"file": "x"}}, 415, "no form with a file"),
        ({"files": {"file": ("a.csv", b"text\nab\n")}, "data": {"starts": "no"}}, 400, "there is no field `starts`"),
        ({"files": {"file": ("a.csv", b"text\nab\n")}, "data": {"start": ["no", "yes"]}}, 400, "given twice"),
        ({"content": CUT, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, "breaks off"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400, ""),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, ""),
        ({"files": {"file": ("a.xlsx", b"PK\x03\x04")}}, 415, "workbook"),
        ({"files": {"file": ("a.csv", b"PK\x03\x04\xff\xfe")}}, 422, "a.csv, line 1: it is not utf-8 text"),
        ({"files": {"file": ("a.csv", b"")}}, 422, "a.csv is empty"),
        ({"files": {"file": ("a.csv", b"text\n")}}, 422, "a.csv holds no rows"),
        ({"files": {"file": ("a.csv", b"text,often\nab,1\ncd\n")}}, 422, "a.csv, line 3: it has 1 cells"),
        ({"files": {"file": ("a.csv", b"text\na\nb\n")}}, 422, "as in every row"),
        ({"files": {"file": ("a.csv", b"text,text\nab,cd\n")}}, 422, "two columns are called `text`"),
        ({"files": {"file": ("a.csv", b"text\nab\n")}, "data": {"columns": "[]"}}, 400, "`columns`"),
        ({"files": {"file": ("a.csv", b"text\nab\n")}, "data": {"columns": "[" * 9000}}, 400, "`columns`"),
        ({"files": {"file": ("a.csv", b"text\nab\n")}, "data": {"columns": '{"text": 1}'}}, 400, "`columns`"),
        ({"files": {"file": ("a.csv", b"text\nab\n")}, "data": {"start": "now"}}, 400, "`start`"),
        ({"files": [("file", ("a.csv", b"text\nab\n")), ("file", ("b.csv", b"text\nab\n"))]}, 400, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_with_its_line_and_without_a_path(
    service: Service, sent: dict[str, Any], status: int, said: str
) -> None:
    answer = ask("POST", f"{service.url}/apps/shout/batches", **sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["message"]
    assert _temporary() not in answer.text
    assert "--" not in answer.json().get("hint", "")
    assert not list(_folder(service)), "what is refused leaves nothing behind"


def _folder(service: Service) -> Iterator[Path]:
    """The folders of the tables that a service holds."""
    told = send(service, start="no").json()
    place = next(Path(_temporary()).glob(f"runllm-serve-*/{told['id']}")).parent
    assert place.stat().st_mode & 0o777 == 0o700
    ask("DELETE", f"{service.url}{told['url']}")
    yield from place.iterdir()


def _temporary() -> str:
    import tempfile

    return tempfile.gettempdir()


def test_a_table_that_is_too_large_is_refused_while_it_arrives(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST", 1 << 20)
    answer = send(service, "text\n" + "ab\n" * 400_000)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert "larger than 1 MiB" in answer.json()["message"]


def test_a_failure_says_no_more_than_its_kind(app: Path) -> None:
    def answer(request: Request) -> Any:
        if "cd" in request.messages[-1].content:
            return ProviderError("the key sk-secret of /home/me is wrong")
        return '{"loud": "AB"}'

    with Service(app, engine=ScriptedEngine(answer)) as service:
        url = send(service).json()["url"]
        done = ended(service, url)
        assert (done["state"], done["failed"]) == ("done", 1)
        for text in (service.get(url).text, service.get(f"{url}/result").text):
            assert "secret" not in text
            assert "/home" not in text
        assert rows_of(service, url)[1]["_error"] == ProviderError.__doc__


def test_what_is_stopped_keeps_its_rows_and_stops_nothing_else(app: Path) -> None:
    engine = Held()
    with Service(app, engine=engine, limits=Limits(running=2), concurrency=2, pace=Pace(2)) as service:
        url = send(service, "text\n" + "ab\n" * 50).json()["url"]
        until(lambda: len(engine.requests) == 2)
        stopping = ask("DELETE", f"{service.url}{url}")
        assert (stopping.status_code, stopping.json()["state"]) == (202, "running")
        engine.open.set()
        done = ended(service, url)
        assert (done["state"], done["done"]) == ("stopped", 2)
        assert [row["loud"] for row in rows_of(service, url)] == ["AB", "AB"]
        assert service.post("shout", {"text": "ab"}).json() == {"loud": "AB"}, "the pace of the service goes on"


@pytest.fixture
def held(app: Path) -> Iterator[tuple[Service, Held]]:
    engine = Held()
    with Service(app, engine=engine) as service:
        yield service, engine
        engine.open.set()


def test_few_run_at_a_time_and_old_ones_give_way(held: tuple[Service, Held], monkeypatch: pytest.MonkeyPatch) -> None:
    service, engine = held
    running = [send(service).json() for _ in range(batches.MOST_RUNNING)]
    refused = send(service)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert len({one["id"] for one in running}) == batches.MOST_RUNNING
    assert min(len(one["id"]) for one in running) >= 20, "nobody guesses it"
    waiting = [send(service, start="no").json()["url"] for _ in range(12)]
    assert ask("POST", f"{service.url}{waiting[-1]}").status_code == 429
    service.get(waiting[0])
    send(service, start="no")
    assert [service.get(url).status_code for url in waiting[:3]] == [200, 404, 200], "the one that nobody asked for"
    engine.open.set()
    for one in running:
        ended(service, one["url"])
    monkeypatch.setattr(batches, "_KEPT", 0.0)
    send(service, start="no")
    assert service.get(running[0]["url"]).status_code == 404


def test_a_service_that_ends_stops_its_tables_and_leaves_nothing(app: Path) -> None:
    engine = Held()
    with Service(app, engine=engine) as service:
        told = send(service).json()
        place = next(Path(_temporary()).glob(f"runllm-serve-*/{told['id']}")).parent
        until(lambda: engine.requests)
    assert not place.exists()
    engine.open.set()


@pytest.mark.parametrize(
    ("options", "state", "done"),
    [
        (lambda: {"budget": Budget(Bounds(calls=3))}, "failed", 3),  # of the service
        (lambda: {"max_calls": 1, "max_time": 60.0}, "done", 8),  # of each run
    ],
)
def test_bounds_of_the_service_end_a_table_and_those_of_a_run_do_not(
    app: Path, options: Callable[[], dict[str, Any]], state: str, done: int
) -> None:
    engine = ScriptedEngine(lambda _: '{"loud": "AB"}')
    with Service(app, engine=engine, concurrency=1, **options()) as service:
        url = send(service, "text\n" + "ab\n" * 8).json()["url"]
        told = ended(service, url)
        assert (told["state"], told["done"], told["failed"]) == (state, done, 0)
        assert ("problem" in told) == (state == "failed")
        assert len([row for row in rows_of(service, url) if row["loud"]]) == done
