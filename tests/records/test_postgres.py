"""How PostgreSQL is written to, where it differs."""

import psycopg
import pytest

from aibridged.records import postgres
from aibridged.records.database import make_engine
from aibridged.records.postgres import PostgresBackend


@pytest.fixture
def connect(postgres_database):
    made = []

    def connect(recorder_id):
        backend = PostgresBackend(postgres_database.engine, recorder_id)
        backend.connect()
        made.append(backend)
        return backend

    yield connect
    for backend in made:
        backend.disconnect()


def test_an_owner_lives_as_long_as_its_connection(connect):
    mine, theirs = connect(1), connect(2)
    assert not mine.owner_is_dead(1)
    assert not mine.owner_is_dead(2)
    mine.rollback()
    theirs.disconnect()
    while not mine.owner_is_dead(2):  # soon: the server has to notice
        mine.rollback()
    mine.rollback()
    theirs.connect()
    assert not mine.owner_is_dead(2), "it is back"
    mine.rollback()


def test_an_owner_connects_anew_while_the_server_holds_its_lost_connection(connect):
    connect(1)
    connect(1)


def test_a_commit_is_on_the_servers_disk(connect):
    backend = connect(1)
    assert backend.execute("SHOW synchronous_commit") == [("on",)]
    backend.flush()
    backend.rollback()


def test_plans_are_kept_but_where_values_matter(connect):
    """To plan a statement again takes longer than to run it."""
    backend = connect(1)
    assert backend.execute("SHOW plan_cache_mode") == [("force_generic_plan",)]
    backend.plan_by_values()
    assert backend.execute("SHOW plan_cache_mode") == [("force_custom_plan",)]
    backend.commit()
    assert backend.execute("SHOW plan_cache_mode") == [("force_generic_plan",)]
    backend.rollback()


def test_a_statement_does_not_take_for_ever(connect):
    backend = connect(1)
    assert backend.execute("SHOW statement_timeout") == [("10s",)]
    backend.rollback()


def test_locks_of_a_daemon_that_falls_silent_do_not_last(connect, monkeypatch):
    """It is frozen, or cut off, amid a transaction."""
    monkeypatch.setattr(postgres, "SILENT_S", 0.2)
    silent, other = connect(1), connect(2)
    silent.lock_ledger(["user:a"], [])
    other.lock_ledger(["user:a"], [])
    other.commit()
    with pytest.raises(psycopg.Error) as caught:
        silent.commit()
    assert not silent.is_refusal(caught.value)


@pytest.mark.parametrize(
    ("error", "of_a_row"),
    [
        (psycopg.errors.ForeignKeyViolation("x"), True),
        (psycopg.errors.CheckViolation("of a partition that has just come"), False),
        (psycopg.errors.UntranslatableCharacter("x"), True),
        (TypeError("x"), True),
        (psycopg.errors.AdminShutdown("x"), False),
        (psycopg.errors.UndefinedTable("x"), False),
        (psycopg.errors.QueryCanceled("x"), False),
    ],
)
def test_an_error_is_of_a_row_or_of_the_database(connect, error, of_a_row):
    assert connect(1).is_refusal(error) is of_a_row


def test_a_reason_quotes_no_values(connect):
    backend = connect(1)
    error = psycopg.OperationalError("server closed the connection\nDETAIL: secret")
    assert backend.reason(error) == "server closed the connection"
    assert backend.reason(psycopg.ProgrammingError("secret")) == "ProgrammingError"


@pytest.mark.parametrize(
    "given", [["-c work_mem=5MB -c TimeZone=Asia/Tokyo"], ["-c work_mem=5MB", "-c TimeZone=UTC"]]
)
def test_options_of_the_url_count_but_for_how_times_are_told(postgres_database, given):
    query = {"options": given, "application_name": "team-a"}
    engine = make_engine(postgres_database.url.update_query_dict(query))
    with engine.connect() as connection:
        for name, value in (
            ("work_mem", "5MB"),
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, MDY"),
            ("application_name", "team-a"),
        ):
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == value, name
