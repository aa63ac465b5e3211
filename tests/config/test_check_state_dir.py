"""Who else may write to the state directory, and what of that is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config.check_state_dir import judge
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]

ROOT, DAEMON, OTHER = 0, 1000, 1001


@pytest.mark.parametrize(
    ("mode", "owner", "user", "is_mount", "verdict"),
    [
        (0o700, DAEMON, DAEMON, False, None),
        (0o755, DAEMON, DAEMON, False, None),
        (0o700, ROOT, ROOT, False, None),
        (0o755, ROOT, DAEMON, False, None),  # it can't be written to, which is said later
        (0o2750, ROOT, DAEMON, True, None),
        (0o775, DAEMON, DAEMON, False, "warned"),
        (0o777, DAEMON, DAEMON, False, "warned"),
        (0o1777, ROOT, ROOT, False, "warned"),
        (0o775, ROOT, DAEMON, False, "warned"),
        (0o2775, ROOT, DAEMON, True, "warned"),  # fsGroup
        (0o2777, ROOT, DAEMON, True, "warned"),  # emptyDir
        (0o1777, ROOT, DAEMON, True, "warned"),  # a tmpfs
        (0o777, OTHER, DAEMON, True, "warned"),  # NFS, with all users squashed to one
        (0o777, ROOT, DAEMON, False, "refused"),
        (0o1777, ROOT, DAEMON, False, "refused"),  # /tmp itself
        (0o700, OTHER, DAEMON, False, "refused"),
        (0o770, OTHER, DAEMON, False, "refused"),
        (0o777, OTHER, DAEMON, False, "refused"),
        (0o700, OTHER, ROOT, False, "warned"),  # root asks about a service's directory
    ],
)
def test_who_may_write_to_it(
    mode: int, owner: int, user: int, is_mount: bool, verdict: str | None
) -> None:
    found = judge(0o040000 | mode, owner, user, is_mount=is_mount)
    assert verdict == (found and ("refused" if found.fatal else "warned"))


def test_one_that_others_may_write_to_is_warned_about(resolve: Resolve, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    resolution = resolve({"--state-dir": str(tmp_path)})
    assert resolution.mistakes == []
    assert resolution.warnings == [
        f"The state directory {tmp_path} is not exclusive to the daemon: it is writable by other "
        "users (mode 0777). Remove the permission: chmod go-w it."
    ]


def test_one_of_somebody_elses_is_refused(
    resolve: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 4242)
    resolution = resolve({"--state-dir": str(tmp_path)})
    [mistake] = resolution.mistakes
    assert mistake.where == "--state-dir"
    assert str(tmp_path) in mistake.what
    assert mistake.remedy
    assert resolution.settings is None


@pytest.mark.parametrize("name", ["not there yet", "file"])
def test_what_is_no_directory_is_left_to_whoever_opens_it(
    name: str, resolve: Resolve, tmp_path: Path
) -> None:
    (tmp_path / "file").touch(0o666)
    resolution = resolve({"--state-dir": str(tmp_path / name)})
    assert (resolution.mistakes, resolution.warnings) == ([], [])


def test_a_private_one_behind_a_symbolic_link_is_one(resolve: Resolve, tmp_path: Path) -> None:
    """As systemd makes it for a service with DynamicUser."""
    (tmp_path / "private").mkdir(0o700)
    (tmp_path / "link").symlink_to("private")
    resolution = resolve({"--state-dir": str(tmp_path / "link")})
    assert (resolution.mistakes, resolution.warnings) == ([], [])
