"""Settings: what each source may say, which one wins, and what is said when one is wrong."""

import os
import re
import stat
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from runllm.errors import ConfigError, FileAccessError
from runllm.rendering import Paint, error_json, error_report
from runllm.results import DEFAULT_CONCURRENCY, DEFAULT_MAX_RETRIES
from runllm.settings import SETTINGS, Configuration, ModelOverrides, Settings, load, unknown_variables
from runllm.settings.files import project_file, span_of, user_file
from runllm.settings.schema import TABLES, path_of, spelled
from runllm.settings.writing import remove, write


class Machine:
    """A home with a user's file, and a project inside it."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = self.home / "work" / "project"
        self.project.mkdir(parents=True)
        self.environment = {"HOME": str(self.home)}
        self.user_file = self.home / ".config" / "runllm" / "config.toml"
        self.user_file.parent.mkdir(parents=True)
        self.project_file = self.project / "runllm.toml"

    def load(
        self, *, user: str = "", project: str = "", flags: dict | None = None, **environment: str
    ) -> Configuration:
        if user:
            self.user_file.write_text(user, encoding="utf-8")
        if project:
            self.project_file.write_text(project, encoding="utf-8")
        return load(self.project, {**self.environment, **environment}, flags or {})

    def problems(self, **sources) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load(**sources)
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    if sys.platform != "linux":
        pytest.skip("the place of the user's file is the one of Linux")
    made = Machine(tmp_path)
    monkeypatch.chdir(made.project)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return made


# --- which source wins -------------------------------------------------------------------------


def test_each_source_is_stronger_than_the_next(machine: Machine) -> None:
    sources = {
        "flags": {"max_retries": 4},
        "RUNLLM_MAX_RETRIES": "3",
        "project": "# ours\nmax_retries = 2\n",
        "user": "max_retries = 1\n",
    }
    expected = [
        (4, "flag", "--max-retries"),
        (3, "environment", "RUNLLM_MAX_RETRIES"),
        (2, "project", f"{machine.project_file}:2"),
        (1, "user", f"{machine.user_file}:1"),
        (DEFAULT_MAX_RETRIES, "default", ""),
    ]
    for value, kind, place in expected:
        found = machine.load(**sources)
        origin = found.origin("max_retries")
        assert (found.settings.max_retries, origin.kind, origin.place) == (value, kind, place)
        sources = dict(list(sources.items())[1:])
        for path in (machine.project_file, machine.user_file):
            path.unlink(missing_ok=True)


def test_without_any_source_the_defaults_are_those_of_the_runtime(machine: Machine) -> None:
    found = machine.load()
    beside = machine.user_file.parent / "stats.db"
    assert found.settings == Settings(stats_db=beside)
    assert (found.settings.max_retries, found.settings.concurrency) == (DEFAULT_MAX_RETRIES, DEFAULT_CONCURRENCY)
    assert {entry.origin.kind for entry in found.entries()} == {"default"}


def test_a_missing_home_or_folder_means_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/no/such/home")
    assert load(Path("/no/such/folder"), {}).settings.stats_db is not None

    def nobody(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", nobody)  # a container whose user has no name and no home
    for home in ("", "relative"):
        monkeypatch.setenv("HOME", home)
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        assert load(Path("/no/such/folder"), {}).settings == Settings()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_passed_over_and_an_unreadable_file_is_said(machine: Machine) -> None:
    machine.load(user="model = 'a/b'")
    machine.user_file.chmod(0)
    assert "cannot be read" in machine.problems()[0]
    machine.user_file.parent.chmod(0)
    try:
        assert machine.load().settings.model is None
    finally:
        machine.user_file.parent.chmod(0o700)


def test_tables_are_merged_entry_by_entry(machine: Machine) -> None:
    found = machine.load(
        user="[aliases]\nfast = 'openai/one'\ngood = 'openai/two'\n", project="aliases.fast = 'openai/three'\n"
    )
    assert dict(found.settings.aliases) == {"fast": "openai/three", "good": "openai/two"}
    assert (found.origin("aliases.fast").kind, found.origin("aliases.good").place) == (
        "project",
        f"{machine.user_file}:3",
    )


def test_the_nearest_project_file_up_to_the_home_counts(machine: Machine) -> None:
    deep = machine.project / "a" / "b"
    deep.mkdir(parents=True)
    (machine.home.parent / "runllm.toml").write_text("max_retries = 9")
    assert project_file(deep, machine.environment) is None, "what lies above the home is not the user's"
    (machine.home / "runllm.toml").write_text("max_retries = 8")
    machine.project_file.write_text("max_retries = 7")
    assert load(deep, machine.environment).settings.max_retries == 7
    assert load(machine.project.parent, machine.environment).settings.max_retries == 8


def test_a_pipe_named_as_a_project_file_does_not_hang(machine: Machine) -> None:
    os.mkfifo(machine.project_file)
    assert machine.load().project_file is None


def test_another_user_file_can_be_named_or_none(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.toml"
    other.parent.mkdir()
    other.write_text("max_retries = 5", encoding="utf-8")
    named = machine.load(RUNLLM_CONFIG=str(other), user="max_retries = 6")
    assert (named.settings.max_retries, named.settings.stats_db) == (5, other.parent / "stats.db")
    none = machine.load(RUNLLM_CONFIG=os.devnull)
    assert (none.settings.max_retries, none.settings.stats_db) == (DEFAULT_MAX_RETRIES, None)
    assert "there is no file" in machine.problems(RUNLLM_CONFIG=str(tmp_path / "gone.toml"))[0]


def test_a_file_named_as_the_users_own_is_not_read_as_the_projects_too(machine: Machine) -> None:
    found = machine.load(project="log_content = true", RUNLLM_CONFIG=str(machine.project_file))
    assert (found.settings.log_content, found.project_file) == (True, None)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CONFIG_HOME": "/x"}, "/x/runllm/config.toml"),
        ({"XDG_CONFIG_HOME": "relative"}, "/h/.config/runllm/config.toml"),
        ({"RUNLLM_CONFIG": "~/own.toml"}, "/h/own.toml"),
        ({"RUNLLM_CONFIG": os.devnull}, None),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the place of the user's file is the one of Linux")
def test_the_users_file_follows_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict, folder: str | None
) -> None:
    monkeypatch.setenv("HOME", "/h")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = user_file(environment)
    assert (str(found) if found else None) == folder


# --- what a value means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("RUNLLM_STATS", "off", "stats", False),
        ("RUNLLM_STATS", "0", "stats", False),
        ("RUNLLM_AUTO_PULL", "TRUE", "auto_pull", True),
        ("RUNLLM_TIMEOUT", "2.5", "timeout", 2.5),
        ("RUNLLM_STATS_DB", "~/s.db", "stats_db", "HOME/s.db"),
        ("RUNLLM_ALLOWED_BASES", "https://a.example/v1, http://localhost:8000", "allowed_bases",
         ("https://a.example/v1", "http://localhost:8000")),
        ("RUNLLM_ALLOWED_BASES", '["https://a.example"]', "allowed_bases", ("https://a.example",)),
        ("RUNLLM_MODEL", "  ", "model", None),
    ],
)  # fmt: skip
def test_the_environment_is_read_as_the_type_of_the_setting(
    machine: Machine, name: str, text: str, key: str, value: object
) -> None:
    found = machine.load(**{name: text}).value(key)
    assert (str(found) if isinstance(found, Path) else found) == (
        value.replace("HOME", str(machine.home)) if isinstance(value, str) else value
    )


def test_paths_in_a_file_start_at_its_folder(machine: Machine) -> None:
    found = machine.load(user="stats_db = 'data/s.db'\nmodel = 'local/m.gguf'\naliases.tiny = 'local/smollm2-135m'\n")
    folder = machine.user_file.parent
    assert (found.settings.stats_db, found.settings.model) == (folder / "data" / "s.db", f"local/{folder}/m.gguf")
    assert found.resolve_model("tiny") == "local/smollm2-135m"


def test_aliases_lead_over_aliases_to_a_model(machine: Machine) -> None:
    found = machine.load(user="[aliases]\ndaily = 'fast'\nfast = 'openai/gpt-4o-mini'\n")
    assert found.resolve_model("daily") == "openai/gpt-4o-mini"
    assert found.resolve_model("openai/o3") == "openai/o3"


def test_aliases_that_lead_to_themselves_are_refused(machine: Machine) -> None:
    found = machine.problems(user="[aliases]\na = 'b'\n", project="[aliases]\nb = 'a'\nin = 'a'\nme = 'me'\n")
    assert found == [
        f"{machine.user_file}:2:1: the alias `a` leads to itself: a → b → a",
        f"{machine.project_file}:2:1: the alias `b` leads to itself: b → a → b",
        f"{machine.project_file}:4:1: the alias `me` leads to itself: me → me",
    ]


def test_a_table_of_an_alias_would_never_be_used_and_is_refused(machine: Machine) -> None:
    found = machine.problems(user="aliases.fast = 'openai/x'\n[models.fast]\ntimeout = 1\n")
    assert found == [f"{machine.user_file}:2:1: `models.fast` names an alias"]


MODELS = """
timeout = 100
[models."openai/*"]
api_base = "https://wide.example/v1"
api_key_env = "WIDE_KEY"
timeout = 10
num_retries = 1
[models."openai/gpt-4.1"]
timeout = 20
[models."openai/elsewhere"]
api_base = "https://exact.example"
"""


def test_the_most_exact_table_of_a_model_wins(machine: Machine) -> None:
    found = machine.load(user=MODELS)
    wide, exact, other = (found.for_model(name) for name in ("openai/x", "openai/gpt-4.1", "mistral/x"))
    assert (wide.api_base, wide.timeout, wide.num_retries) == ("https://wide.example/v1", 10, 1)
    assert (exact.api_base, exact.api_key_env, exact.timeout) == ("https://wide.example/v1", "WIDE_KEY", 20)
    assert (other.api_base, other.timeout, other.num_retries) == (None, 100, None)


def test_a_model_of_one_letter_is_more_exact_than_its_provider(machine: Machine) -> None:
    found = machine.load(user="[models.'openai/m']\ntimeout = 1\n[models.'openai/*']\ntimeout = 2\n")
    assert found.for_model("openai/m").timeout == 1


def test_a_key_meant_for_one_address_goes_to_no_other(machine: Machine) -> None:
    found = machine.load(user=MODELS).for_model("openai/elsewhere")
    assert (found.api_base, found.api_key_env) == ("https://exact.example", None)


def test_a_timeout_of_this_very_run_is_stronger_than_a_models(machine: Machine) -> None:
    assert machine.load(user=MODELS, RUNLLM_TIMEOUT="5").for_model("openai/x").timeout == 5
    assert machine.load(user=MODELS, flags={"timeout": 6.0}).for_model("openai/x").timeout == 6


# --- what a project may not do -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("log_content = true", "log_content"),
        ("log_content = false", "log_content"),
        ("stats_db = '/tmp/x'", "stats_db"),
        ("auto_pull = true", "auto_pull"),
        ("ollama_auto_pull = true", "ollama_auto_pull"),
        ("allowed_bases = ['https://evil.example']", "allowed_bases"),
        ("models.'openai/*'.api_base = 'https://evil.example'", 'models."openai/*".api_base'),
        ("[models.'openai/*']\napi_key_env = 'AWS_SECRET'", 'models."openai/*".api_key_env'),
        ("models = {'openai/*' = {timeout = 1}}", 'models."openai/*".timeout'),
        ("stats = true", "stats"),
    ],
)
def test_a_project_cannot_steer_keys_content_files_or_downloads(machine: Machine, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        machine.load(project=text)
    (problem,) = caught.value.problems
    assert problem.keyword == "project"
    assert f"`{key}`" in problem.message
    assert str(machine.user_file) in problem.hint


@pytest.mark.parametrize("path", ["../x.gguf", "/etc/x.gguf", "~/x.gguf", "inner/../../x.GGUF", "link/x.gguf"])
@pytest.mark.parametrize("setting", ["model = 'local/PATH'", "aliases.fast = 'local/PATH'"])
def test_a_project_names_no_weights_outside_its_folder(machine: Machine, setting: str, path: str) -> None:
    (machine.project_file.parent / "link").symlink_to("/etc")
    assert machine.load(user=setting.replace("PATH", path))
    with pytest.raises(ConfigError, match="outside its folder"):
        machine.load(project=setting.replace("PATH", path))
    assert machine.load(project=setting.replace("PATH", "inner/x.gguf"))


def test_a_project_can_set_what_its_apps_could(machine: Machine) -> None:
    text = "model = 'fast'\nmax_retries = 1\ntimeout = 9\nconcurrency = 2\nstats = false\naliases.fast = 'openai/x'\n"
    settings = machine.load(project=text).settings
    assert (settings.model, settings.max_retries, settings.timeout) == ("fast", 1, 9)
    assert (settings.concurrency, settings.stats, settings.aliases) == (2, False, {"fast": "openai/x"})


def test_a_project_can_only_lower_what_a_run_may_spend(machine: Machine) -> None:
    def found(user: str, project: str, **environment: str) -> tuple[object, str]:
        machine.user_file.write_text(user, encoding="utf-8")
        loaded = machine.load(project=project, **environment)
        return loaded.settings.max_cost, loaded.origin("max_cost").kind

    assert found("", "max_cost = 9") == (9, "project"), "nothing bounds it otherwise"
    assert found("max_cost = 5", "max_cost = 9") == (5, "user")
    assert found("max_cost = 5", "max_cost = 2") == (2, "project")
    assert found("max_cost = 5", "max_cost = 2", RUNLLM_MAX_COST="7") == (7, "environment"), "the user's word for now"
    machine.project_file.unlink()
    assert machine.load(RUNLLM_MAX_TIME="1h30m").settings.max_time == 5400
    assert machine.load(RUNLLM_MAX_TIME="90s").settings.max_time == 90
    with pytest.raises(ConfigError, match="may not set `allow_unpriced`"):
        machine.load(project="allow_unpriced = true")


# --- what is said when something is wrong ------------------------------------------------------


def test_everything_wrong_is_said_at_once_with_its_place_and_a_hint(machine: Machine) -> None:
    user = """# mine
modle = "openai/x"
max_retries = 21
stats = "no"
[aliases]
"a/b" = "openai/x"
ok = 3
[models."openai/*"]
api_bas = "https://a.example"
api_base = "ftp://a.example"
[models]
plain = 1
"""
    with pytest.raises(ConfigError) as caught:
        machine.load(user=user, project="mod = 1\n", flags={"concurrency": 0}, RUNLLM_TIMEOUT="soon")
    found = {str(problem): problem.hint for problem in caught.value.problems}
    file, project = machine.user_file, machine.project_file
    assert found == {
        "`--concurrency` must be a whole number from 1 to 1000, not 0": "",
        'RUNLLM_TIMEOUT must be a number of seconds above 0, at most 1,000,000, not "soon"': "",
        f"{project}:1:1: `mod` is not a setting": "Did you mean `model`?",
        f"{file}:2:1: `modle` is not a setting": "Did you mean `model`?",
        f"{file}:3:1: `max_retries` must be a whole number from 0 to 20, not 21": "",
        f'{file}:4:1: `stats` must be `true` or `false`, not "no"': "",
        f'{file}:6:1: a name in `aliases` must be letters, digits, `.`, `-` and `_`, not "a/b"': "",
        f"{file}:7:1: `aliases.ok` must be the name of a model or an alias, in quotes in a file, not 3": "",
        f'{file}:9:1: `models."openai/*".api_bas` is not a setting': "Did you mean `api_base`?",
        f'{file}:10:1: `models."openai/*".api_base` must be an address that begins with `http://` or `https://`, '
        'not "ftp://a.example"': "",
        f"{file}:12:1: `models.plain` must be a table, not 1": "",
    }
    report = error_report(caught.value, Paint(colour=False))
    assert '    2 │ modle = "openai/x"\n' in report
    assert "      = Did you mean `model`?" in report
    assert caught.value.exit_status == 3
    assert "(and 10 more)" in caught.value.message


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a = 1\nmodel = openai/x\n", "2:9", "in quotes"),
        ("[models.openai/*]\n", "1:15", "in quotes"),
        ("model = 'a'\nmodel = 'b'\n", "2:12", ""),
        ("[aliases\n", "1:9", ""),
        ("model = 'a'\n\nallowed_bases = [\n", "3:18", ""),
        ("model = 'a'\nnein", "2:5", "in quotes"),
    ],
)
def test_what_is_not_toml_is_marked(machine: Machine, text: str, place: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        machine.load(user=text)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{machine.user_file}:{place}: the file is not TOML: ")
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"model = '\xff'\n", "not UTF-8"),
        (b"# " + b"x" * 300_000, "larger than 256 KiB"),
        (b"a = " + b"[" * 5000, "not TOML|nests too deeply"),
        (b"max_retries = " + b"9" * 5000, "not TOML|whole number"),
        (b"timeout = 1" + b"0" * 400, "seconds above 0"),
        (b"timeout = nan", "seconds above 0"),
        (b"max_retries = true", "whole number"),
        (b"timeout = 2020-01-01", "seconds above 0"),
        (b"aliases = 5", "must be a table"),
        (b"[[models]]\na = 1", "must be a table"),
        (b"model = {a = 1}", "not a table"),
        (b'model = "a\\u001b[2Jb"', "name of a model"),
    ],
)
def test_a_hostile_file_is_an_error_like_any_other(machine: Machine, data: bytes, said: str) -> None:
    machine.user_file.write_bytes(data)
    (problem,) = machine.problems()
    assert re.search(said, problem)


def test_bom_and_windows_line_breaks_change_no_place(machine: Machine) -> None:
    machine.user_file.write_bytes(b"\xef\xbb\xbf# mine\r\nmax_retries = 99\r\n")
    assert machine.problems()[0].startswith(f"{machine.user_file}:2:1: ")


SECRET = "sk-abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    "sources",
    [
        {"user": f"model = '{SECRET}'"},
        {"user": f"models.'openai/*'.api_key = '{SECRET}'"},
        {"user": f"models.'openai/*'.api_key_env = '{SECRET}'"},
        {"user": f"allowed_bases = ['https://me:{SECRET}@a.example']"},
        {"project": f"api_key = '{SECRET}'"},
        {"RUNLLM_MODEL": SECRET},
        {"flags": {"model": SECRET}},
    ],
)
def test_a_key_in_the_settings_is_refused_and_never_shown(machine: Machine, sources: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        machine.load(**sources)
    error = caught.value
    assert [problem.keyword for problem in error.problems] == ["secret"]
    assert "environment variable" in error.recovery_hint
    assert SECRET not in error_report(error, Paint(colour=False)) + error_json(error) + str(error)


def test_a_mistyped_variable_is_told() -> None:
    (warning,) = unknown_variables({"RUNLLM_MODLE": "x", "RUNLLM_CONFIG": "y", "RUNLLM_STATS": "z", "PATH": ""})
    assert (warning.message, warning.hint) == ("RUNLLM_MODLE is not a setting", "Did you mean `RUNLLM_MODEL`?")


def test_a_key_that_is_no_setting_is_an_error(machine: Machine) -> None:
    for key in ("nope", "models.x.nope", "aliases.none", "models"):
        if key != "models":
            with pytest.raises(ConfigError):
                machine.load().value(key)
    assert machine.load().value("models") == {}


# --- keys and places ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("model", ("model",)),
        ("aliases.gpt-4.1", ("aliases", "gpt-4.1")),
        ('aliases."gpt-4.1"', ("aliases", "gpt-4.1")),
        ("models.openai/gpt-4.1.timeout", ("models", "openai/gpt-4.1", "timeout")),
        ('models."openai/gpt-4.1".timeout', ("models", "openai/gpt-4.1", "timeout")),
        ("models.'openai/*'", ("models", "openai/*")),
        ("models.openai/gpt-4.1", ("models", "openai/gpt-4.1")),
        ("no.such", ("no.such",)),
    ],
)
def test_a_key_may_leave_out_the_quotes(key: str, path: tuple[str, ...]) -> None:
    assert path_of(key) == path
    assert path_of(spelled(path)) == path or len(path) == 1


NOTATIONS = r"""a = '''
b = 1 # ''''' # "
c . "d\"e" = [ 1, # ]
  "]", {x = 1} ] # d
[ f.'g h' ]   # i
j = { k = 1, l.m = 'n = "" \""' } # o

[[p]]
  q = 1979-05-27 07:32:00 # r
s = DDD
t" \"DDDDD # u
""".replace("DDD", '"' * 3).replace('"""DD', '"' * 5)


def test_lines_in_every_notation() -> None:
    tomllib.loads(NOTATIONS)
    lines = {
        ("a",): 1, ("c",): 3, ("c", 'd"e'): 3, ("f",): 5, ("f", "g h"): 5, ("f", "g h", "j"): 6,
        ("f", "g h", "j", "l", "m"): 6, ("p",): 8, ("p", "q"): 9, ("p", "s"): 10, ("p", "none"): 8, ("none",): None,
    }  # fmt: skip
    found = {path: span_of(path, NOTATIONS, "file") for path in lines}
    assert {path: span.line if span else None for path, span in found.items()} == lines
    marked = found["p", "q"]
    assert (marked.column, marked.length) == (3, len("q = 1979-05-27 07:32:00 # r")), "the line without its margin"


def test_a_list_that_is_never_closed_in_time_costs_no_time(machine: Machine) -> None:
    machine.user_file.write_text("allowed_keys = [\n" + '"A",\n' * 40_000 + "]\nmax_retries = 99", encoding="utf-8")
    said = f"/max_retries: `max_retries` must be a whole number from 0 to 20, not 99, in `{machine.user_file}`"
    assert machine.problems() == [said]


_names = st.text(st.sampled_from("ab-_/*. \"'\\#=[]é\t"), min_size=1, max_size=6)
_values = st.recursive(
    st.integers(-9, 9)
    | st.booleans()
    | st.text(st.sampled_from("ab\"'\\#=[]{},\n é\t"), max_size=12)
    | st.floats(-9, 9),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
_tables = st.recursive(
    st.dictionaries(_names, _values, max_size=4),
    lambda inner: st.dictionaries(_names, _values | inner, max_size=4),
    max_leaves=8,
)


@how(deadline=None)  # a busy machine may take its time
@given(_tables)
def test_every_key_is_found_in_a_line_that_holds_it(values: dict) -> None:
    """Each value stands in the lines from its own to that of the next key."""
    document = tomlkit.document()
    for name, value in values.items():
        document[name] = value
    text = document.as_string()
    if tomllib.loads(text) != values:  # a slip of the writer, which is not what is tested
        return

    def check(table: dict, parent: tuple[str, ...]) -> None:
        for name, value in table.items():
            span = span_of((*parent, name), text, "file")
            if isinstance(value, dict):
                check(value, (*parent, name))
                continue
            lines = text.split("\n")[span.line - 1 :]
            ends = range(1, len(lines) + 1)
            assert any(_reads("\n".join(lines[:end])) == {name: value} for end in ends)

    check(values, ())


def _reads(text: str) -> object:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


# --- changing a file ---------------------------------------------------------------------------


def test_a_change_leaves_the_rest_of_the_file_as_it_is(machine: Machine) -> None:
    before = '# mine\nmodel = "a/b"   # why\n\n[aliases] # short\nfast = "c/d"\n\n[models."openai/*"]\ntimeout = 3\n'
    machine.user_file.write_text(before, encoding="utf-8")
    write("model", "e/f", environment=machine.environment)
    write("max_retries", "4", environment=machine.environment)
    write("aliases.slow", "g/h", environment=machine.environment)
    write("models.openai/gpt-4.1.num_retries", "1", environment=machine.environment)
    after = machine.user_file.read_text(encoding="utf-8")
    kept = ("# mine", 'model = "e/f"   # why', "[aliases] # short", 'fast = "c/d"', '[models."openai/*"]')
    assert all(line in after.splitlines() for line in kept)
    found = machine.load()
    assert (found.settings.model, found.settings.max_retries, found.resolve_model("slow")) == ("e/f", 4, "g/h")
    assert (found.for_model("openai/gpt-4.1").num_retries, found.for_model("openai/x").timeout) == (1, 3)
    for key in ("max_retries", "aliases.slow", "models.openai/gpt-4.1"):
        remove(key, environment=machine.environment)
    assert tomllib.loads(machine.user_file.read_text(encoding="utf-8")) == tomllib.loads(before.replace("a/b", "e/f"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aliases = {fast = 'a/b'}\n",
        "aliases.fast = 'a/b'\n[models]\n",
        "[models.'x/y']\ntimeout = 1\n[aliases]\nfast = 'a/b'\n[models.'z/*']\ntimeout = 2\n",
        "\r\n# windows\r\nmodel = 'a/b'\r\n",
        "models = {'x/y' = {timeout = 1}}\nmodel = 'a/b'",
        "models = {}\naliases = {}",
    ],
)
def test_a_value_can_be_set_in_every_notation(machine: Machine, text: str) -> None:
    machine.user_file.write_bytes(text.encode())
    write("aliases.new", "x/y", environment=machine.environment)
    write("models.p/*.timeout", "7", environment=machine.environment)
    write("allowed_bases", "https://a.example, https://b.example", environment=machine.environment)
    found = machine.load()
    assert (found.resolve_model("new"), found.for_model("p/q").timeout) == ("x/y", 7)
    assert found.settings.allowed_bases == ("https://a.example", "https://b.example")
    data = machine.user_file.read_bytes()
    assert data.count(b"\r\n") == (data.count(b"\n") if b"\r" in text.encode() else 0)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_retries", "many", "whole number"),
        ("modle", "x", "not a setting"),
        ("aliases", "x", "is a table"),
        ("aliases.a/b", "x/y", "a name in `aliases`"),
        ("model", SECRET, "looks like a key"),
        ("models.openai/*.api_key", SECRET, "not a setting"),
        ("models.x/y.api_key_env", "not a name", "name of an environment variable"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_written(machine: Machine, key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        write(key, value, environment=machine.environment)
    assert not machine.user_file.exists()
    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_toml_is_left_alone(machine: Machine) -> None:
    machine.user_file.write_text("model = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="not TOML"):
        write("model", "a/b", environment=machine.environment)
    assert machine.user_file.read_text(encoding="utf-8") == "model = "


def test_a_wrong_key_can_be_taken_out(machine: Machine) -> None:
    machine.user_file.write_text("modle = 1\nmax_retries = 77\n", encoding="utf-8")
    remove("modle", environment=machine.environment)
    write("max_retries", "7", environment=machine.environment)
    assert machine.load().settings.max_retries == 7
    with pytest.raises(ConfigError, match="is not in"):
        remove("modle", environment=machine.environment)


def test_the_users_file_is_for_the_user_alone_and_a_mode_is_kept(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    monkeypatch.setenv("XDG_CONFIG_HOME", str(machine.home / "new"))
    made = write("model", "a/b", environment=machine.environment)
    assert (mode(made), mode(made.parent)) == (0o600, 0o700)
    made.chmod(0o640)
    write("model", "a/c", environment=machine.environment)
    assert mode(made) == 0o640
    assert sorted(made.parent.iterdir()) == [made], "no temporary file is left"


def test_a_linked_file_stays_a_link(machine: Machine, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("model = 'a/b'\n", encoding="utf-8")
    machine.user_file.symlink_to(real)
    write("max_retries", "3", environment=machine.environment)
    assert machine.user_file.is_symlink()
    assert "max_retries = 3" in real.read_text(encoding="utf-8")


def test_a_folder_in_the_way_is_an_error_of_the_file(machine: Machine) -> None:
    machine.user_file.mkdir()
    with pytest.raises(FileAccessError):
        write("model", "a/b", environment=machine.environment)
    with pytest.raises(FileAccessError):
        write("model", "a/b", environment={"HOME": str(machine.home), "RUNLLM_CONFIG": "/dev/zero/x.toml"})


def test_a_project_gets_what_it_may_set_in_its_own_file(machine: Machine) -> None:
    made = write("aliases.tiny", "local/m.gguf", "project", machine.environment)
    assert made == machine.project_file
    assert "local/m.gguf" in made.read_text(encoding="utf-8"), "it moves with the project"
    assert machine.load().resolve_model("tiny") == f"local/{machine.project}/m.gguf"
    with pytest.raises(ConfigError, match="may not set"):
        write("auto_pull", "true", "project", machine.environment)


def test_a_path_given_here_means_the_same_in_the_users_file(machine: Machine) -> None:
    write("stats_db", "s.db", environment=machine.environment)
    write("model", "local/m.gguf", environment=machine.environment)
    found = machine.load()
    assert (found.settings.stats_db, found.settings.model) == (
        machine.project / "s.db",
        f"local/{machine.project}/m.gguf",
    )


def test_a_path_may_hold_a_space(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = machine.home / "My Models"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write("model", "local/m.gguf", environment=machine.environment)
    assert machine.load().settings.model == f"local/{folder}/m.gguf"
    with pytest.raises(ConfigError, match="the name of a model"):
        write("model", "openai/a model", environment=machine.environment)


@pytest.mark.parametrize(
    ("kind", "key", "value", "said"),
    [
        ("user", "aliases.daily", "fast", "the alias `fast` leads to itself: fast → daily → fast (and 1 more)"),
        ("user", "models.fast.timeout", "3", "`models.fast` names an alias"),
        ("project", "model", "local/../m.gguf", "a project's file may not name weights outside its folder"),
    ],
)
def test_a_value_that_would_stop_every_command_is_not_written(
    machine: Machine, kind: str, key: str, value: str, said: str
) -> None:
    text = "[aliases]\nfast = 'daily'\n"
    file = machine.user_file if kind == "user" else machine.project_file
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        write(key, value, kind, machine.environment)
    assert caught.value.message == said
    assert file.read_text(encoding="utf-8") == text


def test_a_file_that_is_wrong_elsewhere_can_still_be_changed(machine: Machine) -> None:
    machine.user_file.write_text("[aliases]\nme = 'me'\n", encoding="utf-8")
    write("max_retries", "7", environment=machine.environment)
    write("aliases.me", "openai/m", environment=machine.environment)
    assert machine.load().settings.max_retries == 7


# --- the definition ----------------------------------------------------------------------------


def test_each_setting_is_a_typed_field_and_its_words_say_its_bounds() -> None:
    assert [entry.name for entry in fields(Settings)] == [key for key in SETTINGS if "." not in key] + list(TABLES)
    own = [key.rpartition(".")[2] for key in SETTINGS if key.startswith("models.")]
    assert [entry.name for entry in fields(ModelOverrides)] == own
    for setting in SETTINGS.values():
        schema = setting.contract.schema
        bounds = [schema[name] for name in ("minimum", "exclusiveMinimum", "maximum") if name in schema]
        numbers = [int(number.replace(",", "")) for number in re.findall(r"[0-9][0-9,]*", setting.wants)]
        assert bounds == (numbers if schema["type"] in ("integer", "number") else [])
        assert setting.help
        assert setting.default is None or setting.contract.accepts(
            list(setting.default) if isinstance(setting.default, tuple) else setting.default
        )
