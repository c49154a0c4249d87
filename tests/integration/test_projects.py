"""Files that use files: where they may lie, what is found wrong with them, and where it is told."""

import os
from pathlib import Path

import pytest
from tests.moments import at_opening

from runllm import project as projects
from runllm.diagnostics import Problem
from runllm.errors import FileAccessError
from runllm.project import Loaded, project_root

HEAD = """---
name: {name}
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {{type: object}}
output_schema: {{type: object, properties: {{out: {{type: string}}}}, required: [out]}}
"""
READS = "input_schema: {{type: object, properties: {{text: {{type: string}}}}}}"
LEAF = (
    HEAD.replace("input_schema: {{type: object}}", READS)
    + "llm: {{model: openai/m}}\nllm_params: {{}}\n---\nSay {{{{ input.text }}}}.\n"
)


def leaf(folder: Path, name: str, *, broken: str = "") -> Path:
    path = folder / f"{name}.rllm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        LEAF.format(name=path.stem).replace("llm_params: {}", f"llm_params: {{{broken}}}"), encoding="utf-8"
    )
    return path


def user(folder: Path, name: str, *paths: str, fed: str = "") -> Path:
    """A file that uses others, as `d0`, `d1` and so on, and builds its output from the first."""
    path = folder / f"{name}.rllm"
    uses = "".join(f"  - name: d{n}\n    path: {used}\n{fed}" for n, used in enumerate(paths))
    text = HEAD.format(name=path.stem) + f"uses:\n{uses}" + 'output: {out: "{{ uses.d0.out }}"}\n---\n'
    path.write_text(text, encoding="utf-8")
    return path


def only(loaded: Loaded) -> Problem:
    (problem,) = loaded.problems
    assert problem.kind == "DependencyResolutionError"
    assert problem.span is not None
    return problem


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder, with a neighbour that does not belong to it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "runllm.toml").touch()
    leaf(tmp_path / "outside", "secret")
    return folder


def test_a_path_is_relative_to_the_file_that_names_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaf(project / "lib", "leaf")
    (project / "apps").mkdir()
    top = user(project / "apps", "top", "../lib/leaf.rllm")
    assert projects.load(top).problems == ()
    monkeypatch.chdir(project / "lib")
    assert projects.load("../apps/top.rllm").problems == ()


def test_each_file_is_loaded_once(project: Path) -> None:
    leaf(project, "base")
    user(project, "left", "./base.rllm")
    user(project, "right", "base.rllm")
    plan = projects.load(user(project, "top", "left.rllm", "right.rllm")).plan
    assert plan is not None
    assert plan.children["d0"].children["d0"] is plan.children["d1"].children["d0"]
    assert [node.program.name for node in plan.walk()] == ["base", "left", "right", "top"]


def test_the_problems_of_a_file_are_told_where_it_is_used(project: Path) -> None:
    leaf(project, "base", broken="temperatur: 0")
    user(project, "middle", "./base.rllm")
    problem = only(projects.load(user(project, "top", "./middle.rllm")))
    assert problem.message == (
        "`d0`: in ./middle.rllm:11:11: `d0`: in ./base.rllm:10:14: unknown parameter `temperatur`"
    )
    assert problem.hint == "Did you mean `temperature`?"
    assert (problem.span.line, problem.span.column) == (11, 11)
    assert problem.span.text == "    path: ./middle.rllm"


def test_a_circle_is_told_whole(project: Path) -> None:
    user(project, "a", "./b.rllm")
    user(project, "b", "./c.rllm")
    user(project, "c", "./a.rllm")
    problem = only(projects.load(project / "a.rllm"))
    assert problem.message.endswith("apps cannot use each other in a circle: a.rllm → b.rllm → c.rllm → a.rllm")


def test_a_file_that_uses_itself_is_a_circle(project: Path) -> None:
    assert "in a circle: a.rllm → a.rllm" in only(projects.load(user(project, "a", "./a.rllm"))).message


def test_dependencies_that_wait_for_each_other_are_told_whole(project: Path) -> None:
    leaf(project, "leaf")
    top = user(project, "top", "leaf.rllm", "leaf.rllm", fed='    with: {text: "{{ uses.dX.out }}"}\n')
    text = top.read_text(encoding="utf-8")
    top.write_text(text.replace("dX", "d1", 1).replace("dX", "d0", 1), encoding="utf-8")
    assert only(projects.load(top)).message in (
        "these dependencies wait for each other: `d0` → `d1` → `d0`",
        "these dependencies wait for each other: `d1` → `d0` → `d1`",
    )


def test_a_dependency_made_of_its_own_output_is_refused(project: Path) -> None:
    leaf(project, "leaf")
    top = user(project, "top", "leaf.rllm", fed='    with: {text: "{{ uses.d0.out }}"}\n')
    assert only(projects.load(top)).message == "`d0` is made of its own output"


def test_a_missing_file_suggests_one_of_a_similar_name(project: Path) -> None:
    leaf(project, "summary")
    problem = only(projects.load(user(project, "top", "./sumary.rllm")))
    assert problem.message == "`d0`: there is no file `./sumary.rllm`"
    assert problem.hint == "Did you mean `summary.rllm`?"


def test_a_missing_folder_is_said(project: Path) -> None:
    problem = only(projects.load(user(project, "top", "./lib/leaf.rllm")))
    assert problem.hint == "There is no folder `./lib` beside this file."


@pytest.mark.parametrize("path", ["../outside/secret.rllm", "./x/../../outside/secret.rllm", "{outside}/secret.rllm"])
def test_a_path_that_leaves_the_project_is_refused(project: Path, path: str) -> None:
    path = path.replace("{outside}", str(project.parent / "outside"))
    problem = only(projects.load(user(project, "top", path)))
    assert "leaves the project" in problem.message
    assert "runllm.toml" in problem.hint


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leaves_the_project_is_refused(project: Path, link: str) -> None:
    if link == "file":
        (project / "in.rllm").symlink_to(project.parent / "outside" / "secret.rllm")
    else:
        (project / "in").symlink_to(project.parent / "outside")
    path = "./in.rllm" if link == "file" else "./in/secret.rllm"
    assert "leaves the project" in only(projects.load(user(project, "top", path))).message


def test_a_link_within_the_project_is_the_file_it_leads_to(project: Path) -> None:
    leaf(project, "leaf")
    (project / "other.rllm").symlink_to(project / "leaf.rllm")
    plan = projects.load(user(project, "top", "leaf.rllm", "other.rllm", fed="    with: {text: a}\n"))
    assert plan.problems == ()
    assert plan.plan.children["d0"] is plan.plan.children["d1"]


def test_a_link_to_the_first_file_starts_where_it_leads(project: Path, tmp_path: Path) -> None:
    leaf(project, "leaf")
    top = user(project, "top", "./leaf.rllm")
    (tmp_path / "run.rllm").symlink_to(top)
    assert projects.load(tmp_path / "run.rllm").problems == ()


def test_links_in_a_circle_lead_nowhere(project: Path) -> None:
    (project / "x.rllm").symlink_to(project / "y.rllm")
    (project / "y.rllm").symlink_to(project / "x.rllm")
    assert only(projects.load(user(project, "top", "./x.rllm"))).message.startswith("`d0`: ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.timeout(10)
def test_a_pipe_is_no_file_and_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / "pipe.rllm")
    assert "there is no file" in only(projects.load(user(project, "top", "./pipe.rllm"))).message


def test_a_folder_is_no_file(project: Path) -> None:
    (project / "folder.rllm").mkdir()
    problem = only(projects.load(user(project, "top", "./folder.rllm")))
    assert problem.message == "`d0`: `./folder.rllm` is a folder"
    problem = only(projects.load(user(project, "top", "./folders.rllm")))
    assert "folder.rllm" not in problem.hint


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read every file")
def test_a_file_that_may_not_be_read_is_told_where_it_is_used(project: Path) -> None:
    leaf(project, "leaf").chmod(0)
    assert "leaf.rllm" in only(projects.load(user(project, "top", "./leaf.rllm"))).message


@pytest.mark.parametrize("path", ["./notes.txt", "./.env", "./lib", '"a\\0b.rllm"', f"./{'a' * 300}.rllm"])
def test_what_is_no_rllm_file_is_not_opened(project: Path, path: str) -> None:
    (project / ".env").write_text("KEY=sk-secret-value-000000000000\n")
    (project / "notes.txt").write_text("private\n")
    found = projects.load(user(project, "top", path)).problems
    assert len(found) == 1
    assert "secret" not in str(found[0])


def test_the_project_is_that_of_the_first_file(project: Path) -> None:
    leaf(project, "leaf")
    inner = project / "lib"
    inner.mkdir()
    (inner / "pyproject.toml").touch()
    user(inner, "middle", "../leaf.rllm")
    assert projects.load(user(project, "top", "./lib/middle.rllm")).problems == ()
    assert "leaves the project" in only(projects.load(inner / "middle.rllm")).message


@pytest.mark.parametrize("whole", [False, True])
def test_trust_in_python_goes_as_far_as_it_is_said_to(project: Path, whole: bool) -> None:
    block = "```rllm-python pre p outputs=q\nimport ctypes\nq = 1\n```\n"
    app = leaf(project, "leaf")
    app.write_text(app.read_text(encoding="utf-8") + block, encoding="utf-8")
    top = user(project, "top", "./leaf.rllm")
    assert (projects.load(top, trust_python=True, whole_tree=whole).plan is not None) == whole
    assert projects.load(app, trust_python=True, whole_tree=whole).plan is not None


def test_without_a_marker_the_project_is_the_folder_of_the_first_file(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    leaf(tmp_path / "a", "leaf")
    assert "leaves the project" in only(projects.load(user(inner, "top", "../leaf.rllm"))).message


def test_the_home_folder_is_never_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    assert project_root(downloads) == downloads
    (downloads / "pyproject.toml").touch()
    assert project_root(downloads / "deep" / "er") == downloads


def test_a_long_chain_ends_in_an_error_not_in_a_crash(project: Path) -> None:
    for n in range(60):
        user(project, f"a{n}", f"./a{n + 1}.rllm")
    leaf(project, "a60")
    found = projects.load(project / "a0.rllm")
    assert found.plan is None
    assert "more than 32 apps use one another" in found.problems[0].message


def test_a_dependency_that_is_broken_leaves_the_rest_checked(project: Path) -> None:
    leaf(project, "leaf")
    top = user(project, "top", "./gone.rllm", "./leaf.rllm", fed="    with: {txt: a}\n")
    messages = [problem.message for problem in projects.load(top).problems]
    assert messages == ["`d0`: there is no file `./gone.rllm`", "`d1` takes no `txt`"]


def test_the_problems_of_a_file_that_many_use_do_not_multiply(project: Path) -> None:
    """Each level uses two files that use both files of the next; 2 to the power of 16 ways lead to the broken one."""
    leaf(project, "l16", broken="temperatur: 0")
    leaf(project, "r16")
    for level in range(15, -1, -1):
        for side in "lr":
            user(project, f"{side}{level}", f"./l{level + 1}.rllm", f"./r{level + 1}.rllm")
    problems = projects.load(project / "l0.rllm").problems
    assert len(problems) <= 50
    assert "in ./l1.rllm:11:11: `d0`: in ./l2.rllm" in problems[0].message
    assert problems[20].message == "`d0`: in ./l1.rllm: 22 more problems"
    assert problems[20].severity == "error"


def test_an_error_among_many_warnings_is_told_first(project: Path) -> None:
    path = leaf(project, "leaf")
    text = path.read_text(encoding="utf-8").replace("text: {type: string}", "text: {type: string, minLength: 5}")
    path.write_text(text, encoding="utf-8")
    user(project, "middle", *["leaf.rllm"] * 30, "gone.rllm", fed='    with: {text: "{{ input.text }}"}\n')
    problems = projects.load(user(project, "top", "./middle.rllm")).problems
    assert (problems[0].severity, problems[-1].message) == ("error", "`d0`: in ./middle.rllm: 11 more problems")
    assert problems[-1].severity == "warning"
    assert "`d30`: there is no file `gone.rllm`" in problems[0].message


# --- between the check and the reading -------------------------------------------------------------


def _turned(project: Path, what: str) -> None:
    """Put a link that leads out of the project in the place of what was a file or a folder in it."""
    place = {"file": "lib/leaf.rllm", "folder": "lib", "project": ".", "link": "link.rllm", "top": "top.rllm"}[what]
    place = project / place
    leads = {"link": "secret.rllm", "file": "leaf.rllm", "folder": "lib", "top": "top.rllm"}.get(what, "project")
    place.rename(project.parent / "aside")
    place.symlink_to(project.parent / "outside" / leads)


@pytest.mark.parametrize("what", ["file", "folder", "project", "link", "top"])
def test_what_becomes_a_link_after_the_check_is_not_read(tmp_path: Path, what: str) -> None:
    """At whichever moment it happens; before all of them it is refused, after all of them it is too late."""
    outcomes: set[str] = set()
    for moment in range(40):
        project = tmp_path / str(moment) / "project"
        (project / "lib").mkdir(parents=True)
        outside = project.parent / "outside"
        for folder in (project, outside / "project"):
            leaf(folder / "lib", "leaf")
            (folder / "runllm.toml").touch()
        for path in (outside / "lib" / "leaf", outside / "leaf", outside / "secret", outside / "project/lib/leaf"):
            leaf(path.parent, path.name)
        for path in outside.rglob("*.rllm"):
            path.write_text(path.read_text("utf-8").replace("A test.", "Secret."), encoding="utf-8")
        (project / "link.rllm").symlink_to("lib/leaf.rllm")
        top = user(project, "top", "./link.rllm" if what == "link" else "./lib/leaf.rllm")
        user(outside, "top", "./lib/leaf.rllm")
        try:
            with at_opening(moment, lambda project=project: _turned(project, what)) as happened:
                loaded = projects.load(top)
        except FileAccessError:
            outcomes.add("refused")
            continue
        read = [node.program.description for node in loaded.plan.walk()] if loaded.plan else []
        assert "Secret." not in read, f"at the opening {moment}"
        outcomes.add("read" if read else "refused")
        if not happened():
            break
    assert outcomes == {"read", "refused"}
    assert not happened(), "no moment is left out"


def test_blocks_that_build_on_two_each_are_followed_once(project: Path) -> None:
    """There are 2 to the power of 60 ways from the entry to the first block."""
    leaf(project, "a")
    blocks = ["```rllm-python pre b0 inputs=input.text outputs=x0,y0\nx0 = y0 = text\n```"]
    blocks += [
        f"```rllm-python pre b{n + 1} inputs=vars.x{n},vars.y{n} outputs=x{n + 1},y{n + 1}\n```" for n in range(60)
    ]
    path = user(project, "top", "./a.rllm", fed='    with: {text: "{{ vars.x60 }}"}\n')
    path.write_text(path.read_text(encoding="utf-8") + "\n".join(blocks), encoding="utf-8")
    plan = projects.load(path, trust_python=True).plan
    assert plan is not None
    assert plan.early == {"d0": {f"b{n}" for n in range(61)}}
