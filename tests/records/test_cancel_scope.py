"""A query ends at its deadline, or when it is cancelled, whatever it is doing."""

import threading

import pytest

from aibridged.records import cancel_scope
from aibridged.records.bounded_connection import BoundedConnection
from aibridged.records.cancel_scope import (
    CancelScope,
    QueryCancelledError,
    QueryFailedError,
    QueryTimeoutError,
)

FOREVER = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000)"
    " SELECT count(*) FROM n"
)


def ask(scope, database, statement="SELECT 1"):
    with scope.connect(database.engine) as connection:
        return connection.exec_driver_sql(statement).scalar()


def test_what_is_quick_is_answered(database, clock):
    assert ask(CancelScope(clock), database) == 1


def test_each_statement_has_its_time(database, clock):
    with CancelScope(clock, 0.05).connect(database.engine) as connection:
        for _ in range(3):
            clock.advance(10)  # taken by the reader of the last result
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_one_that_takes_too_long_is_given_up(database, clock):
    class Running(type(clock)):
        def monotonic(self):
            self.advance(10)
            return super().monotonic()

    with pytest.raises(QueryTimeoutError, match="narrow it down"):
        ask(CancelScope(Running(), 0.05), database, FOREVER)


def test_one_that_is_dropped_is_interrupted_where_it_is(database, clock):
    scope, ended = CancelScope(clock), []

    def run():
        try:
            with scope.connect(database.engine) as connection:
                connection.exec_driver_sql("SELECT 1")
                under_way.set()
                connection.exec_driver_sql(FOREVER)
        except QueryCancelledError as error:
            ended.append(error)

    under_way = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    assert under_way.wait(10)
    scope.cancel()
    thread.join(10)
    assert len(ended) == 1


def test_a_statement_whose_cancellation_the_server_ignored_is_given_up(
    postgres_database, clock, monkeypatch
):
    """It ignores one that comes before the statement does."""
    monkeypatch.setattr(BoundedConnection, "cancel_safe", lambda self, **_: None)
    scope = CancelScope(clock, 60)

    def wait():
        with scope.connect(postgres_database.engine) as connection:
            connection.exec_driver_sql("SELECT 1")
            threading.Timer(0, scope.cancel).start()
            connection.exec_driver_sql("SELECT pg_sleep(30)")

    with pytest.raises(QueryCancelledError):
        wait()


def test_one_that_is_dropped_begins_no_other_statement(database, clock):
    scope = CancelScope(clock)
    with scope.connect(database.engine) as connection:
        scope.cancel()
        with pytest.raises(QueryCancelledError):
            connection.exec_driver_sql("SELECT 1")
    with pytest.raises(QueryCancelledError):
        ask(scope, database)


def test_dropping_what_has_ended_does_nothing(database, clock):
    scope = CancelScope(clock)
    ask(scope, database)
    scope.cancel()


def test_nothing_can_be_changed(database, clock):
    with pytest.raises(QueryFailedError, match=r"(?i)read.?only"):
        ask(CancelScope(clock), database, "DELETE FROM aibridge_interceptions")


@pytest.mark.parametrize(("least", "memory"), [("64MB", "64MB"), ("1MB", "4MB")])
def test_postgresql_has_memory_for_totals_and_more_where_it_was_given_more(
    postgres_database, clock, monkeypatch, least, memory
):
    monkeypatch.setattr(cancel_scope, "WORK_MEMORY", least)
    assert ask(CancelScope(clock, 60.0), postgres_database, "SHOW work_mem") == memory
    with postgres_database.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW work_mem").scalar() == "4MB"
