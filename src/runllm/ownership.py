"""Whose word a file is: this user's, or that of another user of the machine.

A file is the user's word where it, and the folder that holds it, belong to the user or to root, and nobody else may
write to them. The folders further up may be anyone's: who owns them can take the file away, and put no other one of the
user's own in its place. A link is looked at as what it leads to is, so that nobody can lay one to a file of the user's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

ANY = "*"
"""Among trusted folders: every folder."""

_MOST_LINKS = 40
_LONGEST_ID = 10


def doubt(path: str | Path, trusted: Collection[str] = ()) -> str:
    """Why what stands at `path` may be another user's word, as words that follow its name; empty where it is not.

    On Windows, where a file's mode says nothing of this, there is no doubt.

    Args:
        path: a file or a folder, which need not exist: then it is the folder to hold it that is looked at.
        trusted: absolute folders below which everything is the user's word; `ANY` is all of them.
    """
    if os.name == "nt":
        return ""
    for step in _steps(str(path)):
        called = "it" if step == str(path) else f"`{step}`, where it leads,"
        said = "" if _is_below(step, trusted) else _doubt_at(step, called)
        if said:
            return said
    return ""


def doubt_of(found: os.stat_result) -> str:
    """Why a file that was opened may be another user's word; empty where it is not."""
    return "" if os.name == "nt" else _doubt_of(found, "it")


def is_below(path: str | Path, trusted: Collection[str]) -> bool:
    """Whether `path`, and what it leads to where it is a link, lie below trusted folders."""
    return all(_is_below(step, trusted) for step in _steps(str(path)))


def _steps(path: str) -> Iterator[str]:
    """A path, and where it leads, link by link."""
    for _ in range(_MOST_LINKS):
        yield path
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))  # noqa: PTH115, PTH118, PTH120 - `..` stays
        except OSError:  # no link
            return


def _is_below(path: str, trusted: Collection[str]) -> bool:
    if not trusted or ANY in trusted:
        return bool(trusted)
    folder = Path(os.path.realpath(os.path.dirname(path)))  # noqa: PTH120 - as above
    return any(folder.is_relative_to(os.path.realpath(one)) for one in trusted)


def _doubt_at(path: str, called: str) -> str:
    try:
        said = _doubt_of(os.lstat(path), called)
    except OSError:  # it is not there
        said = ""
    try:
        around = os.stat(os.path.dirname(path) or os.curdir)  # noqa: PTH116, PTH120 - as above
    except OSError:
        return said
    return said or (
        _doubt_of(around, f"the folder of {called}" if called != "it" else "its folder")
        if stat.S_ISDIR(around.st_mode)
        else ""
    )


def _doubt_of(found: os.stat_result, called: str) -> str:
    owners = _owners()
    if found.st_uid not in owners:
        return f"{called} belongs to {_name(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        return ""  # a link's mode means nothing; in a sticky folder a file can be changed by its owner alone
    shared = found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, owners)
    if shared or found.st_mode & stat.S_IWOTH:
        return f"others may write to {called} (mode {stat.S_IMODE(found.st_mode):03o})"
    return ""


def _owners() -> set[int]:
    """The users whose word counts: this one and root; for root also who became root by `sudo`, as git has it."""
    user = os.geteuid()
    caller = os.environ.get("SUDO_UID", "") if user == 0 else ""
    is_number = caller.isascii() and caller.isdigit() and len(caller) <= _LONGEST_ID
    return {user, 0} | ({int(caller)} if is_number else set())


def _is_private(group: int, users: Collection[int]) -> bool:
    """Whether a group is that of one of these users alone, so that what it may write is not shared.

    Where each user has a group of the same name, new files are often made with mode 664.
    """
    import grp  # few files are written to by a group
    import pwd

    try:
        found = grp.getgrgid(group)
        owner = pwd.getpwnam(found.gr_name)
    except KeyError:
        return False
    return owner.pw_gid == group and owner.pw_uid in users and set(found.gr_mem) <= {found.gr_name}


def _name(user: int) -> str:
    import pwd  # only who is told of it

    try:
        return f"{pwd.getpwuid(user).pw_name} (uid {user})"
    except KeyError:
        return f"uid {user}"
