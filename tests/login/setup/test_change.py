"""A file is changed as it was shown, through links, or not at all."""

import pytest

from aibridged.login.failure import LoginError
from aibridged.login.setup.change import Change, UneditableError, edited, read


def test_the_difference_hides_keys(tmp_path):
    token, key = f"aib_0123456789_{'s' * 43}", "sk-ant-api03-abcdefghijkl"
    change = Change(tmp_path / "f", f"a\n{token}\n{key}\n", f"b\n{token}\n{key}\n")
    shown = change.shown()
    assert "-a\n+b\n" in shown
    assert "sss" not in shown
    assert "abcdef" not in shown


def test_a_new_file_has_its_folders_and_the_mode_of_any(tmp_path):
    Change(tmp_path / "a" / "b" / "f", None, "text\n").make()
    path = tmp_path / "a" / "b" / "f"
    assert path.read_text() == "text\n"
    fresh = tmp_path / "fresh"
    fresh.touch()
    assert path.stat().st_mode == fresh.stat().st_mode


def test_a_link_stays_one_and_the_mode_as_it_is(tmp_path):
    real = tmp_path / "dotfiles"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(real)
    Change(link, "old", "new").make()
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_file_that_was_changed_meanwhile_stays(tmp_path):
    path = tmp_path / "f"
    path.write_text("theirs")
    with pytest.raises(LoginError, match="changed meanwhile"):
        Change(path, "old", "new").make()
    with pytest.raises(LoginError, match="changed meanwhile"):
        Change(path, None, "new").make()
    assert path.read_text() == "theirs"


def test_line_ends_come_through(tmp_path):
    path = tmp_path / "f"
    Change(path, None, "a\r\nb\n").make()
    assert path.read_bytes() == b"a\r\nb\n"
    assert read(path) == "a\r\nb\n"


@pytest.mark.parametrize(("data", "why"), [(b"\xff", "not UTF-8"), (b" " * (1 << 21), "larger")])
def test_what_cannot_be_read_is_said(tmp_path, data, why):
    path = tmp_path / "f"
    path.write_bytes(data)
    with pytest.raises(LoginError, match=why):
        read(path)
    with pytest.raises(LoginError):
        read(tmp_path)


def test_what_cannot_be_edited_is_said_with_what_to_add(tmp_path):
    def edit(text):
        raise UneditableError("it is odd")

    with pytest.raises(LoginError) as raised:
        edited(tmp_path / "f", edit, "a = 1\nb = 2")
    assert raised.value.text("x") == (
        f"x: {tmp_path / 'f'}: it is odd. Nothing was changed\n"
        "  → Mend the file, or add this by hand:\n      a = 1\n      b = 2"
    )
