"""Checks owner and permissions of the state directory: its writers can replace the record."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from aibridged.config.options import Settings
from aibridged.config.resolution import Mistake
from aibridged.config.tls_files import Where

_BELOW = "Choose a directory below it that does not exist yet: the daemon creates it."
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Finding:
    """A problem of a directory and its remedy; a `fatal` one means that it must not be used."""

    what: str
    remedy: str
    fatal: bool


def judge(mode: int, owner: int, user: int, *, is_mount: bool) -> Finding | None:
    """The problem of a directory as the state directory of a daemon of this user, if there is one.

    A mounted volume is never refused: who mounts it decides who else has access. A container's
    is often root's and writable by a group (`fsGroup` in Kubernetes) or by all (`emptyDir`).
    Commands that root runs work on the directories of all users.
    """
    permissions = f"mode {stat.S_IMODE(mode):04o}"
    if owner not in (user, 0):
        return Finding(
            f"it is owned by another user (uid {owner})",
            f"Run the daemon as that user, chown the directory to {user}, or choose another "
            "--state-dir.",
            fatal=user != 0 and not is_mount,
        )
    if not mode & _WRITABLE:
        return None
    if owner == user and mode & stat.S_ISVTX:
        what = f"it is everyone's ({permissions})"
        return Finding(what, _BELOW, fatal=False)
    if owner == user:
        what = f"it is writable by other users ({permissions})"
        return Finding(what, "Remove the permission: chmod go-w it.", fatal=False)
    what = f"it is owned by root and writable by other users ({permissions})"
    if mode & stat.S_IWOTH and not is_mount:
        return Finding(what, _BELOW, fatal=True)
    return Finding(
        what,
        "That is fine for a container volume that nothing else uses; otherwise move its "
        "files to a directory that only the daemon's user can write to, and set that.",
        fatal=False,
    )


def mistakes(settings: Settings, where: Where) -> Iterator[Mistake]:
    """The problem that keeps the daemon from using it."""
    found = _look_at(settings)
    if found is not None and found.fatal:
        yield Mistake(where("state_dir"), f"{settings.state_dir}: {found.what}", found.remedy)


def warnings(settings: Settings) -> Iterator[str]:
    """The problem that it is used in spite of."""
    found = _look_at(settings)
    if found is not None and not found.fatal:
        yield (
            f"The state directory {settings.state_dir} is not exclusive to the daemon: "
            f"{found.what}. {found.remedy}"
        )


def _look_at(settings: Settings) -> Finding | None:
    path = settings.state_dir
    try:
        # Followed, since systemd has a symbolic link here with DynamicUser.
        found = path.stat()
    except OSError:
        return None  # it is created, or reported, when the database is opened
    if not stat.S_ISDIR(found.st_mode):
        return None
    return judge(found.st_mode, found.st_uid, os.geteuid(), is_mount=os.path.ismount(path))
