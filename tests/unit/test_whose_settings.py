"""Settings of other people: which files count, what is said of the others, and what a project makes of one's names."""

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from tests.apps import leaf

import runllm
from runllm.doctor import examine
from runllm.errors import ConfigError
from runllm.notices import SettingsWarning, tell
from runllm.project import project_root
from runllm.runtime import Runtime
from runllm.settings import Configuration, load
from runllm.settings.writing import file_of, remove, write
from runllm.testing import ScriptedEngine

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a file's mode says nothing of this")
as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives a file away")
MALLORY = 54321


class Machine:
    """A home with a user's file, and a project below a shared folder."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.shared = root / "shared"
        self.project = self.shared / "project"
        self.user_file = self.home / ".config" / "runllm" / "config.toml"
        for folder in (self.project, self.user_file.parent):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        self.shared.chmod(0o1777)
        self.environment = {"HOME": str(self.home)}

    def put(self, path: Path, text: str, *, owner: int | None = None, mode: int = 0o644) -> Path:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        if owner is not None:
            os.chown(path, owner, owner)
        return path

    def load(self, **environment: str) -> Configuration:
        return load(self.project, {**self.environment, **environment})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.chdir(made.project)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return made


# --- which files count -------------------------------------------------------------------------


@as_root
def test_a_project_of_another_user_is_passed_over_with_a_warning(machine: Machine) -> None:
    file = machine.put(machine.shared / "runllm.toml", 'model = "openai/mallory"', owner=MALLORY)
    found = machine.load()
    assert (found.settings.model, found.project_file) == (None, None)
    (warning,) = found.warnings
    assert warning.message == f"`{file}` does not count: it belongs to uid {MALLORY}"
    assert (warning.severity, warning.keyword) == ("warning", "owner")
    assert "`trusted_folders` in your own settings" in warning.hint
    assert "RUNLLM_TRUSTED_FOLDERS" in warning.hint


def test_what_it_says_is_not_even_read(machine: Machine) -> None:
    machine.put(machine.shared / "runllm.toml", "this is not TOML", mode=0o666)
    assert len(machine.load().warnings) == 1


def test_the_search_goes_on_above_what_does_not_count(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "max_retries = 9", mode=0o666)
    above = machine.put(machine.shared / "runllm.toml", "max_retries = 7")
    found = machine.load()
    assert (found.settings.max_retries, found.project_file) == (7, above)
    assert len(found.warnings) == 1
    machine.put(machine.project / "runllm.toml", "max_retries = 5")
    assert machine.load().warnings == ()


def test_a_folder_in_which_others_may_exchange_the_file(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "max_retries = 9")
    machine.project.chmod(0o777)
    (warning,) = machine.load().warnings
    assert "others may write to its folder (mode 777)" in warning.message
    assert machine.load().settings.max_retries == 2


@as_root
@pytest.mark.parametrize("spoiled", ["file", "folder"])
def test_the_users_own_file_counts_by_the_same_rule(machine: Machine, spoiled: str) -> None:
    machine.put(machine.user_file, 'model = "openai/mine"\n[models."openai/*"]\napi_base = "http://evil.example"')
    assert machine.load().settings.model == "openai/mine"
    path = machine.user_file if spoiled == "file" else machine.user_file.parent
    path.chmod(0o777)
    found = machine.load()
    assert (found.settings.model, dict(found.settings.models)) == (None, {})
    (warning,) = found.warnings
    assert str(machine.user_file) in warning.message
    assert "your own settings" not in warning.hint, "it cannot say itself that it is to be trusted"
    assert machine.load(RUNLLM_TRUSTED_FOLDERS=str(machine.home)).settings.model == "openai/mine"
    path.chmod(0o755)
    os.chown(path, MALLORY, MALLORY)
    assert machine.load().settings.model is None
    named = machine.load(RUNLLM_CONFIG=str(machine.user_file))
    assert (named.settings.model, len(named.warnings)) == (None, 1)


def test_a_users_file_cannot_trust_itself(machine: Machine) -> None:
    machine.put(machine.user_file, 'trusted_folders = ["*"]', mode=0o666)
    machine.put(machine.project / "runllm.toml", "max_retries = 9", mode=0o666)
    found = machine.load()
    assert (found.settings.trusted_folders, found.settings.max_retries, len(found.warnings)) == ((), 2, 2)


def test_the_user_may_trust_a_folder(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "max_retries = 9", mode=0o666)
    for text in (f'["{machine.shared}"]', '["~/../shared"]', '["*"]', f'["/nowhere", "{machine.project}"]'):
        machine.put(machine.user_file, f"trusted_folders = {text}")
        found = machine.load()
        assert (found.settings.max_retries, found.warnings) == (9, ())
    assert machine.load(RUNLLM_TRUSTED_FOLDERS="/nowhere").settings.max_retries == 2, "the environment is stronger"
    assert machine.load(RUNLLM_TRUSTED_FOLDERS=f"/nowhere, {machine.shared}").settings.max_retries == 9


def test_a_project_cannot_trust_itself(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", f'trusted_folders = ["{machine.shared}"]')
    with pytest.raises(ConfigError, match="may not set `trusted_folders`"):
        machine.load()
    machine.put(machine.project / "runllm.toml", 'trusted_folders = ["*"]\nmax_retries = 9', mode=0o666)
    assert machine.load().settings.max_retries == 2


@pytest.mark.parametrize("said", ['["."]', '["work/x"]', '[""]', '"/tmp"', "[1]", '["~mallory/x"]'])
def test_a_trusted_folder_is_the_same_wherever_one_stands(machine: Machine, said: str) -> None:
    machine.put(machine.user_file, f"trusted_folders = {said}")
    with pytest.raises(ConfigError, match="each absolute or begun with `~/`"):
        machine.load()


# --- changing a file -----------------------------------------------------------------------------


def test_what_does_not_count_is_not_changed(machine: Machine) -> None:
    machine.environment |= {"XDG_CONFIG_HOME": ""}
    for kind, file in (("project", machine.project / "runllm.toml"), ("user", machine.user_file)):
        machine.put(file, 'model = "openai/mallory"\n', mode=0o666)
        with pytest.raises(ConfigError, match="does not count"):
            write("max_retries", "1", kind, machine.environment)
        with pytest.raises(ConfigError, match="does not count"):
            remove("model", kind, machine.environment)
        assert file.read_text(encoding="utf-8") == 'model = "openai/mallory"\n', "else all of it would now be one's own"


def test_nothing_is_made_where_it_would_not_count(machine: Machine) -> None:
    machine.project.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write to its folder"):
        write("max_retries", "1", "project", machine.environment)
    assert not (machine.project / "runllm.toml").exists()
    trusting = {**machine.environment, "RUNLLM_TRUSTED_FOLDERS": str(machine.project)}
    assert write("max_retries", "1", "project", trusting).parent == machine.project


def test_a_projects_file_of_another_is_not_the_one_that_is_set(machine: Machine) -> None:
    machine.put(machine.shared / "runllm.toml", "", mode=0o666)
    assert file_of("project", machine.environment) == machine.project / "runllm.toml"


def test_a_new_file_counts_whatever_the_umask(machine: Machine) -> None:
    before = os.umask(0)
    try:
        write("max_retries", "1", "project", machine.environment)
        write("max_retries", "3", "user", machine.environment)
    finally:
        os.umask(before)
    assert (machine.load().settings.max_retries, machine.load().warnings) == (1, ())


# --- the root of a project -----------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("marker", ["runllm.toml", "pyproject.toml", ".git"])
def test_a_root_that_another_user_marked_is_none(
    machine: Machine, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = machine.project / "deep"
    deep.mkdir()
    made = machine.shared / marker
    made.mkdir() if marker == ".git" else made.touch()
    os.chown(made, MALLORY, MALLORY)
    with pytest.warns(SettingsWarning, match="does not count") as told:
        assert project_root(deep) == deep
    assert [str(warning.message.problem.message) for warning in told] == [
        f"`{made}` does not count: it belongs to uid {MALLORY}"
    ]
    monkeypatch.setenv("RUNLLM_TRUSTED_FOLDERS", str(machine.shared))
    assert project_root(deep) == machine.shared
    monkeypatch.delenv("RUNLLM_TRUSTED_FOLDERS")
    os.chown(made, 0, 0)
    assert project_root(deep) == machine.shared
    os.chown(machine.shared, MALLORY, MALLORY)
    assert project_root(deep) == deep, "the folder itself is another's"


def test_one_marker_of_ones_own_is_enough(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "", mode=0o666)
    machine.put(machine.project / "pyproject.toml", "")
    assert project_root(machine.project) == machine.project


def test_an_app_leaves_no_folder_for_the_sake_of_anothers_mark(machine: Machine) -> None:
    machine.put(machine.shared / "leaf.rllm", leaf("leaf"))
    uses = leaf("top").replace("llm:", "uses:\n  - {name: d, path: ../leaf.rllm, with: {text: x}}\nllm:")
    top = machine.put(machine.project / "top.rllm", uses)
    machine.put(machine.shared / "runllm.toml", "")
    assert runllm.validate(top).ok
    (machine.shared / "runllm.toml").chmod(0o666)
    with pytest.warns(SettingsWarning, match="does not count"):
        (problem,) = [found for found in runllm.validate(top).problems if found.severity == "error"]
    assert "leaves the project" in problem.message


# --- what is told, and how often -----------------------------------------------------------------


def test_each_file_is_told_of_once(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "", mode=0o666)
    with pytest.warns(SettingsWarning) as told:
        tell([*machine.load().warnings, *machine.load().warnings])
    assert len(told) == 1
    machine.put(machine.project / "runllm.toml", "", mode=0o646)
    with pytest.warns(SettingsWarning, match="646"):
        tell(machine.load().warnings)


def test_no_secret_is_told(machine: Machine) -> None:
    folder = machine.project / "sk-planted0123456789abcdef"
    folder.mkdir()
    machine.put(folder / "runllm.toml", "", mode=0o666)
    with pytest.warns(SettingsWarning) as told:
        tell(load(folder, machine.environment).warnings)
    assert "planted" not in str(told[0].message)


def test_the_library_has_it_as_values_and_as_a_warning(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", 'model = "openai/mallory"', mode=0o666)
    app_file = machine.put(machine.project / "app.rllm", leaf("app"))
    engine = ScriptedEngine(['{"out": "x"}'])
    with pytest.warns(SettingsWarning) as told:
        app = runllm.load(app_file, runtime=Runtime(engine=engine))
    assert told[0].filename == __file__, "it points to who called"
    assert [problem.message for problem in app.warnings] == [told[0].message.problem.message]
    app.run({"text": "t"})
    assert engine.requests[0].endpoint.model == "openai/m"


def test_it_can_be_sent_to_another_process(machine: Machine) -> None:
    """As test runners that work side by side send their warnings."""
    machine.put(machine.project / "runllm.toml", "", mode=0o666)
    with pytest.warns(SettingsWarning) as told:
        tell(machine.load().warnings)
    warning = told[0].message
    assert str(type(warning)(*warning.args)) == str(warning)
    assert str(pickle.loads(pickle.dumps(warning))) == str(warning)  # noqa: S301 - its own


def test_who_wants_an_exception_gets_one(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "", mode=0o666)
    with warnings.catch_warnings():
        warnings.simplefilter("error", runllm.SettingsWarning)
        for _ in range(2):
            with pytest.raises(runllm.SettingsWarning):
                tell(machine.load().warnings)


def test_doctor_shows_it(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", "", mode=0o666)
    checks = [check for check in examine(machine.environment, machine.project) if check.name == "configuration"]
    assert [(check.status, "does not count" in check.said) for check in checks] == [("ok", False), ("note", True)]
    assert "trusted_folders" in checks[1].fix


# --- what a project makes of the user's own names ---------------------------------------------------


def said(machine: Machine, user: str, project: str, model: str | None = None, **environment: str) -> list[str]:
    machine.put(machine.user_file, user)
    machine.put(machine.project / "runllm.toml", project)
    return [
        problem.message.replace(str(machine.project), "P")
        for problem in machine.load(**environment).replaced(model)
    ]  # fmt: skip


def test_an_alias_of_the_users_own_that_a_project_replaces(machine: Machine) -> None:
    own, other = '[aliases]\nfast = "openai/mine"\n', '[aliases]\nfast = "openai/theirs"\n'
    line = "model `fast` means `openai/theirs`, as P/runllm.toml:2 says; your own settings say `openai/mine`"
    assert said(machine, own, other) == [line]
    assert said(machine, own, other, "fast") == [line], "once"
    assert said(machine, own, own) == [], "the same is no replacement"
    assert said(machine, own, "max_retries = 1") == []
    assert said(machine, 'model = "fast"\n' + own, other) == [line]
    assert said(machine, 'model = "fast"\n' + own, 'model = "fast"\n' + other) == [line.replace(":2", ":3")]


def test_an_alias_that_is_replaced_on_its_way(machine: Machine) -> None:
    own = '[aliases]\nfast = "good"\ngood = "openai/mine"\n'
    lines = said(machine, own, '[aliases]\ngood = "openai/theirs"\n')
    assert lines == [
        f"model `{name}` means `openai/theirs`, as P/runllm.toml:2 says; your own settings say `openai/mine`"
        for name in ("fast", "good")
    ]
    assert said(machine, '[aliases]\nfast = "gpt-4o"\n', '[aliases]\ngpt-4o = "openai/theirs"\n') == [
        "model `fast` means `openai/theirs`, as P/runllm.toml:2 says; your own settings say `gpt-4o`"
    ]


def test_a_model_that_was_typed(machine: Machine) -> None:
    project = '[aliases]\ngpt = "two"\ntwo = "openai/theirs"\n'
    line = "model `gpt` means `openai/theirs`, as P/runllm.toml:2 says"
    assert said(machine, "", project, "gpt") == [line]
    assert said(machine, "", project) == []
    assert said(machine, "", project, "openai/gpt-4o-mini") == []
    assert said(machine, "", project, RUNLLM_MODEL="gpt") == [line]
    assert said(machine, 'model = "gpt"', project) == [line]
    assert said(machine, 'model = "gpt"', project, "openai/m") == [], "what is not used is not said"


def test_a_model_of_the_users_own_settings_that_a_project_replaces(machine: Machine) -> None:
    own, project = 'model = "openai/mine"', '# a\nmodel = "openai/theirs"'
    line = "`model` is `openai/theirs`, as P/runllm.toml:2 says; your own settings say `openai/mine`"
    assert said(machine, own, project) == [line]
    assert said(machine, own, project, "openai/typed") == []
    assert said(machine, own, project, RUNLLM_MODEL="openai/named") == []
    assert said(machine, "", project) == [], "there is nothing to replace"
    assert said(machine, own, own) == []
    assert said(machine, own, 'model = "m"\n[aliases]\nm = "openai/mine"') == [], "another name of the same"


def test_a_ring_that_a_project_breaks_does_not_hang(machine: Machine) -> None:
    lines = said(machine, '[aliases]\na = "b"\nb = "a"\n', '[aliases]\nb = "openai/theirs"\n')
    assert any("`a` means `openai/theirs`" in line for line in lines)


def test_no_name_with_a_slash_can_be_an_alias(machine: Machine) -> None:
    with pytest.raises(ConfigError, match="must be letters"):
        said(machine, "", '[aliases]\n"openai/gpt-4o-mini" = "ollama/evil"\n')


def test_the_library_says_what_a_project_makes_of_a_name(machine: Machine) -> None:
    machine.put(machine.project / "runllm.toml", '[aliases]\ngpt = "openai/theirs"\nslow = "openai/theirs"\n')
    app_file = machine.put(machine.project / "app.rllm", leaf("app"))
    engine = ScriptedEngine(['{"out": "x"}'])
    with pytest.warns(SettingsWarning, match="model `gpt` means `openai/theirs`, as .*runllm.toml:2 says"):
        app = runllm.load(app_file, model="gpt", runtime=Runtime(engine=engine))
    assert len(app.warnings) == 1
    with pytest.warns(SettingsWarning, match="model `slow` means"):
        app.run({"text": "t"}, model="slow")
    assert engine.requests[0].endpoint.model == "openai/theirs"


def test_the_warning_costs_nothing_until_there_is_one() -> None:
    code = "import runllm, sys; runllm.SettingsWarning; print({'grp', 'runllm.redaction'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"
