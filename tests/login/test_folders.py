"""Where each system keeps configuration, and the replacement of files."""

import errno
import os
from pathlib import Path

import pytest

from aibridged.login import folders
from aibridged.login.folders import config_folder, private_folder, remove_file, replace_file

HOME = Path("/home/ann")


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {}, "/home/ann/.config/aibridged"),
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/x/aibridged"),
        ("linux", {"XDG_CONFIG_HOME": "relative"}, "/home/ann/.config/aibridged"),
        ("freebsd14", {}, "/home/ann/.config/aibridged"),
        ("darwin", {"XDG_CONFIG_HOME": "/x"}, "/home/ann/Library/Application Support/aibridged"),
        ("win32", {"APPDATA": "C:/Users/ann/Roaming"}, "C:/Users/ann/Roaming/aibridged"),
        ("win32", {}, "/home/ann/AppData/Roaming/aibridged"),
    ],
)
def test_each_system_has_its_folder(platform, environ, folder):
    assert config_folder(environ, HOME, platform) == Path(folder)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_replaced_as_a_whole_and_private(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    replace_file(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left(tmp_path):
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011 # which one is the system's
        replace_file(path, b"new")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_without_a_mode_has_that_of_any_new_file(tmp_path):
    mask = os.umask(0o027)
    try:
        replace_file(tmp_path / "file", b"", mode=None)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert mode(tmp_path / "file") == 0o640


def test_a_folder_is_closed_to_others(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    assert mode(private_folder(folder)) == 0o700
    assert mode(private_folder(tmp_path / "new")) == 0o700


def test_removing_what_is_not_there_is_no_failure(tmp_path):
    remove_file(tmp_path / "nothing")


def test_windows_is_asked_again_while_another_process_reads(tmp_path, monkeypatch):
    path, tries = tmp_path / "file", []
    path.touch()

    def unlink(self: Path) -> None:
        tries.append(self)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(folders, "_PAUSE_S", 0)
    with pytest.raises(PermissionError):
        remove_file(path)
    monkeypatch.setattr(folders, "_IS_WINDOWS", True)
    tries.clear()
    remove_file(path)
    assert len(tries) == 3
