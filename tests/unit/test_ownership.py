"""Whose word a file is: owners, modes, folders, links, groups and `sudo`, with real files of really other users."""

import os
import stat
from pathlib import Path

import pytest

from runllm.errors import FileAccessError
from runllm.files import read_bytes
from runllm.ownership import ANY, doubt, doubt_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a file's mode says nothing of this")
as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives a file away")
MALLORY, CAROL = 54321, 54322


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of this user's in a folder of this user's, which nobody else may write to, whatever the umask is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o755)
    made = folder / "runllm.toml"
    made.touch()
    made.chmod(0o644)
    return made


def test_a_file_of_this_user_counts(file: Path) -> None:
    assert doubt(file) == ""
    assert doubt(file.with_name("is not there")) == ""
    assert doubt(file.parent / "no folder" / "file") == ""
    assert doubt(Path("/etc/passwd")) == "", "root may write everywhere anyhow"


@as_root
@pytest.mark.parametrize("owner", [MALLORY, 65534])
def test_a_file_of_another_user_does_not(file: Path, owner: int) -> None:
    os.chown(file, owner, 0)
    assert doubt(file).startswith("it belongs to ")
    assert f"uid {owner}" in doubt(file)


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o777, 0o602])
def test_a_file_that_others_may_write_to_does_not(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert doubt(file) == f"others may write to it (mode {mode:03o})"


@as_root
def test_a_file_that_can_be_exchanged_does_not(file: Path) -> None:
    file.parent.chmod(0o777)
    assert doubt(file) == "others may write to its folder (mode 777)"
    assert doubt(file.with_name("to be made")) == doubt(file)
    file.parent.chmod(0o1777)
    assert doubt(file) == "", "in a sticky folder nobody takes away what is another's"
    for mode in (0o755, 0o1777):
        file.parent.chmod(mode)
        os.chown(file.parent, MALLORY, 0)
        assert doubt(file) == f"its folder belongs to uid {MALLORY}", "whose it is, may do so in a sticky one, too"


@as_root
def test_folders_further_up_may_be_anyones(file: Path) -> None:
    os.chown(file.parents[1], MALLORY, 0)
    assert doubt(file) == ""


@as_root
def test_a_link_is_looked_at_as_what_it_leads_to_is(file: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "runllm.toml"
    link.symlink_to(os.path.relpath(file, shared))
    assert doubt(link) == ""
    os.chown(link, MALLORY, 0, follow_symlinks=False)
    assert doubt(link) == f"it belongs to uid {MALLORY}", "else a link to any file of the user's could be laid"
    os.chown(link, 0, 0, follow_symlinks=False)
    os.chown(file, MALLORY, 0)
    assert "folder/runllm.toml`, where it leads, belongs to" in doubt(link)
    os.chown(file, 0, 0)
    file.parent.chmod(0o777)
    assert "others may write to the folder of" in doubt(link)
    file.parent.chmod(0o755)
    second = tmp_path / "second"
    second.symlink_to(link)
    os.chown(link, MALLORY, 0, follow_symlinks=False)
    assert "where it leads, belongs to" in doubt(second), "every link of a chain"
    assert doubt(second, [str(shared)]) == ""
    assert doubt(second, [str(tmp_path / "folder")]) != ""


def test_links_that_lead_nowhere_or_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("no/such/file")
    tmp_path.chmod(0o755)
    assert (doubt(tmp_path / "circle"), doubt(tmp_path / "nowhere")) == ("", "")


@as_root
def test_a_group_may_write_where_it_is_the_users_own_alone(file: Path) -> None:
    import grp
    import pwd

    if set(grp.getgrgid(0).gr_mem) - {"root"}:
        pytest.skip("the group of root has other members here")
    file.chmod(0o664)
    os.chown(file, 0, 0)
    file.parent.chmod(0o775)
    assert doubt(file) == "", "as umask 002 leaves it"
    os.chown(file, 0, 54999)
    assert doubt(file) == "others may write to it (mode 664)", "a group of nobody knows whom"
    other = next(user for user in pwd.getpwall() if user.pw_uid != 0 and user.pw_gid != 0)
    os.chown(file, 0, other.pw_gid)
    assert doubt(file) == "others may write to it (mode 664)", "the own group of another"
    os.chown(file, 0, 0)
    os.chown(file.parent, 0, 54999)
    assert doubt(file) == "others may write to its folder (mode 775)"
    file.parent.chmod(0o755)
    assert doubt(file) == ""


@as_root
def test_for_root_who_called_sudo_counts_and_nobody_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(file, MALLORY, 0)
    for caller in ("", str(CAROL), "mallory", "٥٤٣٢١", f"-{MALLORY}", f"{MALLORY}.0", "9" * 9999):
        monkeypatch.setenv("SUDO_UID", caller)
        assert doubt(file) != ""
    monkeypatch.setenv("SUDO_UID", str(MALLORY))
    assert doubt(file) == ""
    monkeypatch.setattr(os, "geteuid", lambda: CAROL)
    assert doubt(file) != "", "who is not root may have set it to anything"


def test_another_user_than_the_owner_sees_doubt(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if file.stat().st_uid == 0:
        pytest.skip("root's files count for everyone")
    monkeypatch.setattr(os, "geteuid", lambda: CAROL)
    assert doubt(file).startswith("it belongs to ")


def test_below_trusted_folders_everything_counts(file: Path, tmp_path: Path) -> None:
    file.chmod(0o666)
    for folder in (file.parent, tmp_path, Path("/"), ANY):
        assert doubt(file, [str(folder)]) == ""
    for folder in (tmp_path / "fold", tmp_path / "folder2", file, tmp_path / "no"):
        assert doubt(file, [str(folder)]) != ""
    (tmp_path / "way").symlink_to("folder")
    assert doubt(file, [str(tmp_path / "way")]) == ""
    assert doubt(tmp_path / "way" / "runllm.toml", [str(file.parent)]) == ""


def test_what_was_opened_is_looked_at_again(file: Path) -> None:
    assert read_bytes(str(file), 10, doubt_of) == b""
    file.chmod(0o666)
    with pytest.raises(FileAccessError, match="others may write to it"):
        read_bytes(str(file), 10, doubt_of)
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(FileAccessError, match="others may write to it"):
        read_bytes(str(pipe), 10, doubt_of)
