from dataclasses import replace

import pytest

from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.records import migrations
from aibridged.records.database import DatabaseError
from aibridged.records.open_database import (
    existing_database,
    is_used,
    make_database,
    open_database,
    open_existing_database,
    read_database,
)
from aibridged.records.spool import SPOOL_FILE


def test_the_state_directory_is_made_and_is_private(tmp_path):
    settings = replace(Settings(), state_dir=tmp_path / "a" / "b")
    engine = open_database(settings)
    assert migrations.check(engine).is_current
    assert settings.state_dir.stat().st_mode & 0o077 == 0


def test_making_it_changes_no_schema(tmp_path):
    engine = make_database(replace(Settings(), state_dir=tmp_path))
    assert migrations.check(engine).current is None


def test_a_url_takes_the_place_of_the_file(tmp_path):
    settings = replace(
        Settings(), state_dir=tmp_path, postgres_url=Secret("postgres://u:p@localhost/x")
    )
    assert make_database(settings).url.get_backend_name() == "postgresql"


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="--state-dir"):
        make_database(replace(Settings(), state_dir=tmp_path / "file" / "x"))


def test_one_that_is_not_there_is_not_made(tmp_path):
    settings = replace(Settings(), state_dir=tmp_path / "state")
    for open_it in (existing_database, open_existing_database, read_database):
        with pytest.raises(DatabaseError, match=r"There is no database at .*aibridged serve"):
            open_it(settings)
    assert not settings.state_dir.exists()


def test_reading_wants_the_schema_of_this_release(tmp_path):
    settings = replace(Settings(), state_dir=tmp_path)
    make_database(settings)
    with pytest.raises(DatabaseError, match="aibridged db upgrade"):
        read_database(settings)
    assert migrations.check(existing_database(settings)).current is None
    open_existing_database(settings)
    assert migrations.check(read_database(settings)).is_current


def test_one_is_used_once_a_daemon_has_recorded_in_it(database, populate):
    url = database.url.render_as_string(hide_password=False)
    settings = replace(
        Settings(),
        state_dir=database.state_dir,
        postgres_url=None if database.is_sqlite else Secret(url),
    )
    assert not is_used(settings)
    populate(database.engine, models=["m"])
    assert is_used(settings)


def test_one_is_used_once_a_daemon_has_started_on_it(tmp_path):
    settings = replace(Settings(), state_dir=tmp_path)
    open_database(settings)
    assert not is_used(settings)
    (tmp_path / SPOOL_FILE).touch()
    assert is_used(settings)
