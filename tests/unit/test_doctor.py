"""`runllm.doctor`: what is found, in environments that are as they are said to be."""

import os
import py_compile
import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from tests.integration.ollama_server import Model, OllamaServer

from runllm.doctor import Check, examine
from runllm.doctor.compiled import bytecode
from runllm.engines.providers import PROVIDERS, facts
from runllm.stats.database import APPLICATION
from runllm.stats.store import Store

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home with nothing in it, and no Ollama server."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "RUNLLM_MODELS": str(home / "models"),
        "RUNLLM_STATS_DB": str(home / "stats.db"),
        "OLLAMA_HOST": NOBODY_LISTENS,
    }


def found(environment: dict[str, str], name: str) -> list[Check]:
    return [check for check in examine(environment, Path(environment["HOME"])) if check.name == name]


def written(environment: dict[str, str], text: str) -> None:
    path = Path(environment["HOME"], "user.toml")
    path.write_text(text, encoding="utf-8")
    environment["RUNLLM_CONFIG"] = str(path)


def test_a_bare_machine_has_nothing_wrong_and_is_left_as_it_is(environment):
    checks = examine(environment, Path(environment["HOME"]))
    assert [check for check in checks if check.status == "wrong"] == []
    assert {"Python", "runllm", "litellm", "configuration", "keys", "Ollama", "statistics"} <= {c.name for c in checks}
    assert all(check.fix for check in checks if check.status != "ok")
    assert list(Path(environment["HOME"]).iterdir()) == []


@pytest.mark.parametrize(
    ("version", "words"),
    [("1.106.3", "runllm needs"), ("1.107.0", "compromised"), ("1.104.0", "runllm needs")],
)
def test_an_installed_release_that_is_refused_is_wrong(environment, tmp_path, monkeypatch, version, words):
    info = tmp_path / f"litellm-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    (check,) = found(environment, "litellm")
    assert (check.status, version in check.said) == ("wrong", True)
    assert words in check.said
    assert "`uv sync`" in check.fix  # the tests run in a clone
    assert ("replace every key" in check.fix) is (words == "compromised")


def test_a_library_of_an_extra_that_this_python_cannot_have_is_a_note(environment, monkeypatch):
    line = "daft>=0.7.26,<0.8 ; python_version < '3.1' and extra == 'scale'"
    monkeypatch.setattr("importlib.metadata.requires", lambda _: [line])
    (check,) = found(environment, "daft")
    assert (check.status, check.said) == (
        "note",
        "not for this Python; it runs the shards of `runllm batch --shards-on daft`",
    )
    assert 'python_version < "3.1"' in check.fix


def test_libraries_that_are_compiled_at_each_start_are_a_note(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    modules: dict[str, ModuleType] = {}
    for number in range(30):
        source = folder / "slow" / f"part{number}.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("X = 1\n", encoding="utf-8")
        modules[source.stem] = ModuleType(source.stem)
        modules[source.stem].__file__ = str(source)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    (found,) = bytecode(modules)
    assert (found.status, found.said.startswith(f"30 modules in {folder} ")) == ("note", True)
    assert f"compileall -q {folder}`" in found.fix
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (found,) = bytecode(modules)
    assert found.said.endswith("PYTHONDONTWRITEBYTECODE says")
    for module in modules.values():
        py_compile.compile(str(module.__file__))
    monkeypatch.setattr("runllm.doctor.compiled.find_spec", lambda _: None)
    assert [one.status for one in bytecode(modules)] == ["ok"]


def test_everything_wrong_in_the_settings_is_told_with_its_place(environment):
    written(environment, 'max_retries = 99\nmodle = "openai/x"\n')
    checks = found(environment, "configuration")
    assert [check.status for check in checks] == ["wrong", "wrong"]
    assert [f"user.toml:{line}:" in check.said for line, check in enumerate(checks, start=1)] == [True, True]
    assert "`model`" in checks[1].fix
    assert found(environment, "statistics")[0].status == "note"  # the other parts are examined all the same


def test_a_variable_that_is_no_setting_is_a_note(environment):
    (check,) = found({**environment, "RUNLLM_MAX_RETRY": "1"}, "variables")
    assert (check.status, "RUNLLM_MAX_RETRIES" in check.fix) == ("note", True)


def test_keys_are_named_with_the_providers_that_they_open_and_never_shown(environment):
    every = {variable for name in PROVIDERS for variable in facts(name).keys}
    planted = {name: f"planted-{number:03}-value" for number, name in enumerate(sorted(every))}
    written(environment, '[models."openai/*"]\napi_key_env = "PROXY"\n')
    environment |= {**planted, "PROXY": "planted-proxy-value", "OLLAMA_HOST": "http://planted-user:pw@127.0.0.1:9"}
    checks = examine(environment, Path(environment["HOME"]))
    (named,) = [check for check in checks if check.name == "keys" and check.status == "ok"]
    assert "OPENAI_API_KEY (openai)" in named.said
    assert "PROXY (openai/*)" in named.said
    assert all(name in named.said for name in every)
    assert "planted" not in repr(checks)
    notes = [check.said for check in checks if check.name == "keys" and check.status == "note"]
    assert {"`azure` has a key and no address", "`azure_ai` has a key and no address"} <= set(notes)


def test_a_key_in_a_settings_file_is_not_shown(environment):
    written(environment, 'api_key = "planted-in-file-1"\nmodel = "sk-plantedplanted123456"\n')
    assert "planted" not in repr(examine(environment, Path(environment["HOME"])))


@pytest.mark.parametrize(
    ("variables", "settings", "status", "words"),
    [
        ({}, "", "missing", "no variable"),
        ({"OPENAI_API_KEY": ""}, "", "missing", "no variable"),
        ({"OPENAI_API_KEY": "planted-1\n"}, "", "note", "white space"),
        ({}, '[models."openai/*"]\napi_key_env = "PROXY"\n', "note", "name PROXY, which is not set"),
    ],
)
def test_what_is_missing_for_a_key_is_told(environment, variables, settings, status, words):
    written(environment, settings)
    check = found(environment | variables, "keys")[0]
    assert (check.status, words in check.said, "planted" in check.said) == (status, True, False)


def test_an_ollama_server_is_counted_or_told_how_to_start(environment):
    (down,) = found(environment, "Ollama")
    assert (down.status, "127.0.0.1:9" in down.said, "`ollama serve`" in down.fix) == ("note", True, True)
    with OllamaServer({"llama3.2": Model(), "qwen3": Model()}) as server:
        (up,) = found({**environment, "OLLAMA_HOST": server.base}, "Ollama")
        assert (up.status, up.said) == ("ok", f"{server.base}, 2 models")
        assert [request.path for request in server.requests] == ["/api/tags"]
        written(environment, f'[models."ollama/*"]\napi_base = "{server.base}"\n')
        assert found(environment, "Ollama")[0].status == "ok"
        server.models.clear()
        (empty,) = found(environment, "Ollama")
        assert (empty.status, "no model" in empty.said) == ("note", True)


def test_no_address_outside_this_machine_is_asked_where_that_is_forbidden(environment):
    (check,) = found({**environment, "OLLAMA_HOST": "http://192.0.2.1", "RUNLLM_LOOPBACK_ONLY": "1"}, "Ollama")
    assert (check.status, "RUNLLM_LOOPBACK_ONLY" in check.said) == ("note", True)


def test_pulled_and_unfinished_models_are_told(environment):
    folder = Path(environment["RUNLLM_MODELS"], "hf", "org", "repo")
    folder.mkdir(parents=True)
    (folder / "a-Q4_K_M.gguf").write_bytes(b"GGUF")
    (folder / "b-Q8_0.gguf.abc.part").write_bytes(b"GG")
    unfinished, here = found(environment, "local models")
    assert (unfinished.status, "runllm pull local/hf:org/repo:b-Q8_0.gguf" in unfinished.fix) == ("note", True)
    assert (here.status, "local/hf:org/repo:a-Q4_K_M.gguf" in here.said) == ("ok", True)


def test_a_store_is_described_and_not_changed(environment):
    path = Path(environment["RUNLLM_STATS_DB"])
    with Store(path) as store:
        assert store.runs() == []
    before = path.read_bytes()
    (check,) = found(environment, "statistics")
    assert (check.status, "0 runs" in check.said, "version" in check.said) == ("ok", True, True)
    assert path.read_bytes() == before


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (n)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("PRAGMA user_version = 999")


def damaged(path: Path) -> None:
    with Store(path) as store:
        store.runs()
    data = path.read_bytes()
    path.write_bytes(data[:-4096] + b"\x5a" * 4096)  # an index that no run has needed yet


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_program, "another program"),
        (newer, "newer runllm"),
        (damaged, "damaged"),
        (lambda path: path.write_bytes(b"not a database at all" * 200), "not a database"),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
)
def test_a_store_that_cannot_be_used_is_wrong_and_left_alone(environment, make, words):
    path = Path(environment["RUNLLM_STATS_DB"])
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    (check,) = found(environment, "statistics")
    assert (check.status, words in check.said, bool(check.fix)) == ("wrong", True, True), check
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_store_that_another_process_holds_is_a_note(environment):
    path = Path(environment["RUNLLM_STATS_DB"])
    with Store(path) as store:
        store.runs()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (check,) = found(environment, "statistics")
    assert (check.status, "locked" in check.said) == ("note", True)


def test_folders_that_cannot_be_written_are_told(environment, tmp_path):
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "folder"
    environment |= {"RUNLLM_STATS_DB": str(below / "stats.db"), "RUNLLM_MODELS": str(below)}
    for name in ("statistics", "models folder"):
        (check,) = found(environment, name)
        assert (check.status, str(below) in check.said) == ("wrong", True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only for this user")
@pytest.mark.parametrize("made", [False, True])
def test_a_read_only_folder_of_the_store_is_wrong(environment, tmp_path, made):
    folder = tmp_path / "read-only"
    folder.mkdir()
    environment["RUNLLM_STATS_DB"] = str(folder / "stats.db")
    if made:
        with Store(folder / "stats.db") as store:
            store.runs()
    folder.chmod(0o500)
    try:
        (check,) = found(environment, "statistics")
    finally:
        folder.chmod(0o700)
    assert (check.status, bool(check.fix)) == ("wrong", True)


def test_without_a_home_there_are_notes_and_no_failure(environment, monkeypatch):
    def nobody(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    environment.pop("RUNLLM_STATS_DB")
    checks = {check.name: check.status for check in examine(environment, Path(environment["RUNLLM_MODELS"]).parent)}
    assert (checks["home folder"], checks["statistics"]) == ("note", "note")
    assert "wrong" not in checks.values()


def test_statistics_that_are_off_say_what_turned_them_off(environment):
    (check,) = found({**environment, "RUNLLM_STATS": "off"}, "statistics")
    assert (check.status, check.said) == ("ok", "not recorded, as RUNLLM_STATS says")


def test_the_cache_is_told_with_its_place_its_size_and_its_bound(environment, tmp_path):
    from runllm.engines.cache import Answers, key_of
    from runllm.results import Completion, Endpoint, Message, Request

    environment["RUNLLM_CACHE_FOLDER"] = str(tmp_path / "kept")
    (check,) = found(environment, "cache")
    path = tmp_path / "kept" / "answers.db"
    assert (check.status, str(path) in check.said, "at most 268 MB" in check.said) == ("ok", True, True)
    assert not path.parent.exists()
    request = Request(endpoint=Endpoint(model="m"), messages=(Message(role="user", content="a"),), params={})
    answers = Answers(path)
    answers.keep(key_of(request, ""), Completion(text="b" * 5000, model="m"), 1.0)
    answers.close()
    (check,) = found(environment, "cache")
    assert (check.status, "1 answer, 5." in check.said, " at most " in check.said) == ("ok", True, True), check.said
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)
    (check,) = found(environment, "cache")
    assert (check.status, check.fix) == ("wrong", "`runllm cache clear` begins anew.")
