"""Files that appear whole or not at all."""

import stat

import pytest

from aibridged.records.database import DatabaseError
from aibridged.records.whole_file import check_target, part_beside, put


def write(target, text, *, force=False):
    check_target(target, force=force)
    with part_beside(target) as part:
        part.write_text(text)
        put(part, target, force=force)


def test_a_file_is_private_and_alone(tmp_path):
    target = tmp_path / "export.csv"
    write(target, "a")
    assert target.read_text() == "a"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_replaced_on_demand_only(tmp_path):
    target = tmp_path / "export.csv"
    write(target, "a")
    with pytest.raises(DatabaseError, match="exists: choose another file, or replace it with --f"):
        write(target, "b")
    write(target, "c", force=True)
    assert target.read_text() == "c"


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path):
    target = tmp_path / "export.csv"
    with part_beside(target) as part:
        target.write_text("another's")
        with pytest.raises(DatabaseError, match="exists"):
            put(part, target, force=False)
    assert target.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_not_put_leaves_the_file_as_it_was(tmp_path):
    target = tmp_path / "export.csv"
    write(target, "a")
    with part_beside(target) as part:
        part.write_text("half")
    assert target.read_text() == "a"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "said"), [("", "is a directory"), ("none/export.csv", "does not exist: create it")]
)
def test_what_can_be_no_file_is_said_before_the_work(tmp_path, name, said):
    with pytest.raises(DatabaseError, match=said):
        check_target(tmp_path / name, force=True)
