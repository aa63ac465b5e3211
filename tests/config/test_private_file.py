"""Files for the daemon's user alone."""

import os
import stat

import pytest

from aibridged.config.private_file import (
    check_regular,
    check_usable,
    make_private,
    make_private_directory,
    open_private,
    open_private_directory,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Sets the umask, which is put back afterwards."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "file"
    descriptor = make_private(path)
    os.write(descriptor, b"secret")
    os.close(descriptor)
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_stays(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        make_private(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("user", [0, 1000])
def test_what_root_makes_belongs_to_the_directorys_owner(tmp_path, monkeypatch, user):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda _, owner, group: given.append((owner, group)))
    os.close(make_private(tmp_path / "file"))
    directory = tmp_path.stat()
    assert given == ([(directory.st_uid, directory.st_gid)] if user == 0 else [])


@pytest.mark.parametrize("flags", [os.O_RDWR | os.O_CREAT | os.O_APPEND, os.O_RDONLY])
def test_no_symbolic_link_is_followed(tmp_path, flags):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    for refuse in (lambda: open_private(link, flags), lambda: check_regular(link)):
        with pytest.raises(OSError, match="symbolic link") as caught:
            refuse()
        assert caught.value.filename == str(link)
    assert target.read_text() == "precious"
    link.unlink()
    link.symlink_to(tmp_path / "not there yet")
    with pytest.raises(OSError, match="symbolic link"):
        open_private(link, flags)
    assert not (tmp_path / "not there yet").exists()


@pytest.mark.parametrize("flags", [os.O_RDWR | os.O_CREAT, os.O_RDONLY])
def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path, flags):
    os.mkfifo(tmp_path / "pipe")
    for refuse in (
        lambda: open_private(tmp_path / "pipe", flags),
        lambda: check_regular(tmp_path / "pipe"),
    ):
        with pytest.raises(OSError, match="not a regular file"):
            refuse()


def test_a_regular_file_is_opened_and_one_that_is_made_is_private(tmp_path, umask):
    umask(0)
    path = tmp_path / "file"
    check_regular(path)
    with open(open_private(path, os.O_RDWR | os.O_CREAT), "w") as file:
        file.write("mine")
    check_regular(path)
    with open(open_private(path, os.O_RDONLY)) as file:
        assert file.read() == "mine"
    assert mode(path) == 0o600


def test_whether_a_file_can_be_used_is_asked_without_opening_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        check_usable(path)
    path.touch()
    opened = []
    monkeypatch.setattr(os, "open", lambda *args: opened.append(args))
    check_usable(path)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(PermissionError, match="Permission denied") as caught:
        check_usable(path)
    assert (opened, caught.value.filename) == ([], str(path))


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_every_directory_that_is_made_is_private_whatever_the_umask(tmp_path, umask, mask):
    tmp_path.chmod(0o755)
    umask(mask)
    make_private_directory(tmp_path / "a" / "b" / "c")
    for made in ("a", "a/b", "a/b/c"):
        assert mode(tmp_path / made) == 0o700
    make_private_directory(tmp_path / "a" / "b")
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("below", ["", "x"])
def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="directory"):
        make_private_directory(tmp_path / "file" / below)


def test_a_directory_of_ours_that_others_could_enter_is_closed_to_them(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    os.close(open_private_directory(tmp_path / "open"))
    assert mode(tmp_path / "open") == 0o700


def test_a_directory_of_somebody_elses_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OSError, match="another user"):
        open_private_directory(tmp_path)


def test_a_symbolic_link_to_a_directory_is_not_followed(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic link"):
        open_private_directory(tmp_path / "link")
