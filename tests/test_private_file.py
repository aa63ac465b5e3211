"""Files for the daemon's user alone."""

import os
import stat

import pytest

from aibridged.private_file import make_private


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
