"""The names that shells complete."""

import os
import sqlite3
from pathlib import Path

import pytest

from aibridged.records.completion import names
from aibridged.records.schema import interceptions


@pytest.fixture
def of(database):
    """Asks both databases as the settings name them."""

    def ask(kind: str) -> list[tuple[str, str]]:
        url = None if database.is_sqlite else str(database.url).replace("+psycopg", "")
        return names(kind, database.state_dir, url)

    return ask


def test_names_and_a_word_on_each(database, of, populate) -> None:
    token = populate(database.engine, models=("gpt-5", "llama3:8b", "gpt-5"))
    assert of("users") == [("albert", "Albert"), ("alice", "Alice"), ("bob", "Bob")]
    assert of("tokens") == [(token, "alice laptop")]
    assert of("initiators") == [("alice", "")]
    assert of("providers") == [("local", "")]
    assert of("models") == [("gpt-5", "local"), ("llama3:8b", "local")]
    assert of("clients") == [("Claude Code", "")]
    assert of("sessions") == [("session-1", "alice Claude Code")]


def test_a_url_that_asks_for_the_primary_is_no_obstacle(postgres_database, populate) -> None:
    populate(postgres_database.engine, models=("gpt-5",))
    url = postgres_database.url.set(drivername="postgresql").update_query_dict(
        {"target_session_attrs": "read-write"}
    )
    text = url.render_as_string(hide_password=False)
    assert names("models", postgres_database.state_dir, text) == [("gpt-5", "local")]


def test_what_is_gone_is_not_offered(database, of, populate) -> None:
    populate(database.engine, models=())
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE aibridged_users SET deleted_at = created_at")
        connection.exec_driver_sql("UPDATE aibridged_tokens SET revoked_at = created_at")
    assert of("users") == []
    assert of("tokens") == []


def test_the_question_is_about_the_last_thousand(database, of, populate) -> None:
    populate(database.engine, models=("old", *["new"] * 1000))
    assert of("models") == [("new", "local")]
    with database.engine.begin() as connection:
        connection.execute(interceptions.delete().where(interceptions.c.model == "new"))
    assert of("models") == [("old", "local")]


def test_it_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        names("users", tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_locked_database_is_not_waited_for(sqlite_database, populate) -> None:
    """Nor does a reader wait for the writer, in WAL mode."""
    populate(sqlite_database.engine, models=())
    with sqlite_database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE aibridged_users SET name = 'changed'")
        assert names("users", sqlite_database.state_dir)[0] == ("albert", "Albert")
