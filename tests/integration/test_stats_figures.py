# ruff: noqa: S608 - the names in the SQL are our own
"""The figures of many runs are those that plain Python makes of the same rows, whatever way SQLite reads them."""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runllm.stats import groups
from runllm.stats.database import STEPS, Selection, migrate
from runllm.stats.ranks import quantile
from runllm.stats.rows import AttemptRow, RunRow
from runllm.stats.store import Store
from runllm.stats.summary import Figures, Summary

NAMES, MODELS = ("summary", "translate", "Zoé", ""), ("openai/m", "local/x", "")
KINDS = ("prompt", "completion", "cached", "reasoning")
Row = dict[str, Any]


def one(chance: random.Random, depth: int = 0) -> RunRow:
    """A run of any kind, with up to two below it."""
    model = chance.choice(MODELS)
    attempts = [
        AttemptRow(
            number=number,
            model=model,
            latency=chance.choice([0.0, 1.5, chance.lognormvariate(0, 1)]),
            prompt_tokens=chance.randint(0, 900),
            completion_tokens=chance.randint(0, 90),
            cached_tokens=chance.randint(0, 9),
            reasoning_tokens=chance.randint(0, 9),
            cost=chance.choice([None, 0.25, 0.125]),
            valid=chance.random() < 0.7,
            violations=tuple(chance.choices(["required /a", "type /b", "enum /c"], k=chance.choice([0, 0, 1, 2]))),
            error_code=chance.choice([None, None, "RLLM_015"]),
        )
        for number in range(1, chance.choice([1, 2, 2, 2, 3]) if model else 1)
    ]
    name = chance.choice(NAMES)
    return RunRow(
        app=name,
        version="1",
        digest=chance.choice(["d1", "summary"]),
        path=chance.choice(["/a.rllm", "/b.rllm", "translate"]),
        model=model,
        engine="",
        # Whole and odd seconds, the ends of minutes and hours among them.
        started=float(chance.choice([0, 59, 60, 3600, 3599.999, chance.randint(0, 90_000), chance.random() * 9e4])),
        latency=chance.choice([0.0, 2.0, chance.lognormvariate(0, 1)]),
        input_valid=chance.random() < 0.9,
        valid_on=chance.choice([None, 0, 1, 2]),
        error_code=chance.choice([None, None, None, "RLLM_004", "RLLM_007"]),
        skipped=chance.choice([0, 0, 3]),
        attempts=tuple(attempts),
        shared=depth > 0 and chance.random() < 0.2,
        child_name="c" if depth else "",
        children=tuple(one(chance, depth + 1) for _ in range(chance.choice([0, 0, 1, 2]) if depth < 3 else 0)),
    )


SIMPLE = RunRow(app="1", version="1", digest="d", path="/1", model="m", engine="", started=1.0)


# --- the same in plain Python ------------------------------------------------------------------


def read(path: Path) -> list[Row]:
    """Every run as it stands in the file, with `wrong`, its lists of violations."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        rows = {row["id"]: {**row, "wrong": []} for row in db.execute("SELECT * FROM runs ORDER BY id")}
        for number, found in db.execute("SELECT run_id, violations FROM attempts"):
            rows[number]["wrong"].append(found)
    return list(rows.values())


def is_app(row: Row, app: str | None) -> bool:
    return app in (row["app"], row["digest"], row["path"])


def is_meant(row: Row, app: str | None, model: str | None, since: float | None) -> bool:
    return (
        not row["shared"]
        and (app is None or is_app(row, app))
        and (model is None or row["model"] == model)
        and (since is None or row["started"] >= since)
        and (row["parent_id"] is None or app is not None or model is not None)
    )


def below(rows: list[Row], parent: Row, app: str | None, model: str | None) -> Iterator[Row]:
    for row in rows if model is None else ():
        if row["parent_id"] == parent["id"] and not row["shared"] and (app is None or not is_app(row, app)):
            yield row
            yield from below(rows, row, app, model)


def figures(counted: Sequence[Row], spent: Sequence[Row]) -> Row:
    """What `Figures` holds, of the runs that count and those whose tokens do."""
    judged = [row for row in counted if row["answered"]]
    timed = sorted(row["latency"] for row in counted if row["asked"] or row["valid_on"] is not None)

    def total(name: str) -> float:
        return sum(row[name] for row in spent)

    def share(part: int, whole: int) -> float | None:
        return 100 * part / whole if whole else None

    def ranked(found: Counter[str]) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    wrong = Counter[str]()
    for row in spent:
        for text in row["wrong"]:
            wrong.update(set(text.strip("[]").replace('"', "").split(", ")) - {""})
    tokens = total("prompt_tokens") + total("completion_tokens")
    return {
        "runs": len(counted),
        "succeeded": sum(row["error_code"] is None for row in counted),
        "failed": sum(row["error_code"] is not None for row in counted),
        "errors": ranked(Counter(row["error_code"] for row in counted if row["error_code"])),
        "input_compliance": share(sum(row["input_valid"] for row in counted), len(counted)),
        "judged": len(judged),
        "first_compliance": share(sum(row["valid_on"] == 1 for row in judged), len(judged)),
        "final_compliance": share(sum((row["valid_on"] or 0) > 0 for row in judged), len(judged)),
        "latency_average": pytest.approx(sum(timed) / len(timed)) if timed else None,
        "latency_p50": quantile(timed, 0.5) if timed else None,  # to the last bit
        "latency_p95": quantile(timed, 0.95) if timed else None,
        "retries": sum(max(0, row["asked"] - 1) for row in spent),
        "prompt_average": total("prompt_tokens") / total("answered") if total("answered") else None,
        "completion_average": total("completion_tokens") / total("answered") if total("answered") else None,
        "completion_max": max((row["longest_answer"] for row in spent), default=0),
        "ms_per_1k_tokens": pytest.approx(total("call_latency") * 1e6 / tokens) if tokens else None,
        "cost": total("cost") if total("unpriced") < total("answered") else None,
        "violations": ranked(wrong),
        **{
            name: total(name)
            for name in ("asked", "answered", "unpriced", "skipped", *(f"{kind}_tokens" for kind in KINDS))
        },
    }


def check(found: Summary, rows: list[Row], app: str | None, model: str | None, since: float | None) -> None:
    meant = [row for row in rows if is_meant(row, app, model, since)]
    spent = [(row, of) for of in meant for row in (of, *below(rows, of, app, model))]

    def same(got: Figures, belongs: Callable[[Row, Row], bool], *, everywhere: bool = False) -> None:
        of = [row for row, top in spent if belongs(row, top)]
        counted = of if everywhere else [row for row in meant if belongs(row, row)]
        expected = figures(counted, of)
        assert {name: getattr(got, name) for name in expected} == expected

    same(found.total, lambda _row, _top: True)
    assert set(found.models) == {row["model"] for row, _ in spent} - {""}
    for name, got in found.models.items():
        same(got, lambda row, _top, name=name: row["model"] == name, everywhere=True)
    assert set(found.apps) == {row["app"] for row in meant}
    for name, got in found.apps.items():
        same(got, lambda _row, top, name=name: top["app"] == name)
    assert found.since == min((row["started"] for row in meant), default=None)
    assert found.until == max((row["started"] for row in meant), default=None)
    starts = {row["started"] // found.width * found.width for row, _ in spent}
    assert [point.start for point in found.timeline] == sorted(starts)
    for point in found.timeline:
        end = point.start + found.width
        expected = figures(
            [row for row in meant if point.start <= row["started"] < end],
            [row for row, _ in spent if point.start <= row["started"] < end],
        )
        names = ("runs", "failed", "latency_p50", "latency_p95", "first_compliance", "final_compliance", "unpriced")
        assert {name: getattr(point, name) for name in names} == {name: expected[name] for name in names}
        assert point.cost == (expected["cost"] if expected["asked"] else 0.0)


ASKED: tuple[Row, ...] = (
    {},
    {"since": 3600.0},
    {"since": 50_000.0},
    {"since": 1e9},
    {"app": "summary"},
    {"app": "/a.rllm"},
    {"app": "translate", "since": 59.5},
    {"model": "openai/m"},
    {"model": "openai/m", "app": "summary", "since": 60.0},
    {"app": "nothing"},
)


@pytest.mark.parametrize("seed", [1, 2, pytest.param(range(3, 60), marks=pytest.mark.soak)])
def test_the_figures_are_those_of_plain_python(
    tmp_path: Path, seed: int | range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "_CHUNK", 17)
    for number in [seed] if isinstance(seed, int) else seed:
        chance = random.Random(number)  # noqa: S311 - the same runs each time
        with Store(tmp_path / f"{number}.db") as store:
            for _ in range(chance.choice([3, 60]) if number > 2 else 60):
                store.record(one(chance))
            rows = read(store.path)
            for asked in ASKED:
                for buckets in (60, 3):
                    facts = {"app": None, "model": None, "since": None} | asked
                    check(store.summary(**asked, buckets=buckets), rows, **facts)


@pytest.mark.parametrize("asked", ASKED)
def test_the_newest_runs_are_those_of_plain_python(tmp_path: Path, asked: Row) -> None:
    chance = random.Random(5)  # noqa: S311 - as above
    with Store(tmp_path / "stats.db") as store:
        for _ in range(60):
            store.record(one(chance))
        facts = {"app": None, "model": None, "since": None} | asked
        found = [row for row in read(store.path) if is_meant(row, **facts)]
        expected = [row["id"] for row in sorted(found, key=lambda row: (-row["started"], -row["id"]))]
        for limit in (None, 0, 1, 7):
            assert [run.id for run in store.runs(**asked, limit=limit)] == expected[:limit]


def test_samples_are_the_same_of_an_app_that_ran_seldom_or_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(6)  # noqa: S311 - as above
    with Store(tmp_path / "stats.db") as store:
        for _ in range(60):
            store.record(one(chance))
        seldom = [store.samples("openai/m", app=app, limit=9) for app in (*NAMES, "/a.rllm")]
        monkeypatch.setattr("runllm.stats.store._FEW", 1)
        assert [store.samples("openai/m", app=app, limit=9) for app in (*NAMES, "/a.rllm")] == seldom
        assert all(map(len, seldom))


# --- how they are read ---------------------------------------------------------------------------


def test_the_figures_of_all_runs_are_read_from_one_index_in_its_order(tmp_path: Path) -> None:
    """Nothing but the few failures is sorted, and the table is not touched."""
    with Store(tmp_path / "stats.db") as store:
        store.record(SIMPLE)
        store.close()
    with closing(sqlite3.connect(tmp_path / "stats.db")) as db:
        db.execute(groups._PARTS)
        for query in (groups._STRETCHES.sums, groups._STRETCHES.latencies):
            steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", {"width": 1, "since": None})]
            assert [step.split(" (")[0] for step in steps] == [
                "SCAN temp.parts",
                "SEARCH runs USING COVERING INDEX runs_alone",
            ]


@pytest.mark.parametrize("selection", [Selection(app="a"), Selection(app="a", model="m"), Selection(model="m")])
def test_the_newest_runs_come_from_an_index_by_time(tmp_path: Path, selection: Selection) -> None:
    with closing(sqlite3.connect(tmp_path / "stats.db", isolation_level=None)) as db:
        migrate(db, tmp_path / "stats.db")
        for way in selection.ways:
            query = f"EXPLAIN QUERY PLAN SELECT id FROM runs WHERE {way} ORDER BY started DESC, id DESC LIMIT 9"
            steps = [row[3] for row in db.execute(query, selection.parameters)]
            assert "USE TEMP B-TREE FOR ORDER BY" not in steps
            assert steps[0].startswith("SEARCH runs USING INDEX runs_")


def test_a_process_of_an_older_version_goes_on_with_a_store_that_a_newer_one_has_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "stats.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as older, Store(path) as newer:
        migrate(older, path, STEPS[:6])
        columns = [row[1] for row in older.execute("PRAGMA table_info(runs)")]
        insert = f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        values: Row = dict.fromkeys(columns, 1) | {"parent_id": None, "shared": 0, "error_code": None, "repairs": "[]"}
        older.execute(insert, [*(values | {"id": 1}).values()])
        newer.record(SIMPLE)
        assert len(older.execute("SELECT * FROM runs").fetchall()) == 2
        older.execute(insert, [*(values | {"id": 7}).values()])
        assert (newer.summary().total.runs, len(newer.runs(app="1"))) == (3, 3)
        assert older.execute("PRAGMA integrity_check").fetchone() == ("ok",)
