from dataclasses import replace

import pytest

from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.records import migrations
from aibridged.records.database import DatabaseError
from aibridged.records.open_database import make_database, open_database


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
