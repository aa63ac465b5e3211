"""A server that accepts and doesn't answer: what waits for it has a deadline of its own."""

import itertools
import math
import time

import psycopg
import pytest
import sqlalchemy as sa

from aibridged.clock import SystemClock
from aibridged.records.bounded_connection import PATIENCE_S, BoundedConnection
from aibridged.records.cancel_scope import CancelScope, QueryTimeoutError

SOON = 0.3


@pytest.fixture
def connection(postgres_database):
    with postgres_database.engine.connect() as connection:
        yield connection.connection.driver_connection


def elapsed(began):
    return SystemClock().monotonic() - began


def test_every_connection_of_ours_is_one(connection):
    assert isinstance(connection, BoundedConnection)
    assert connection.patience == PATIENCE_S
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("bound", ["patience", "ends"])
def test_it_gives_up_on_a_frozen_server(connection, postgres_server, bound):
    setattr(connection, bound, SOON + (SystemClock().monotonic() if bound == "ends" else 0))
    began = SystemClock().monotonic()
    with postgres_server.frozen(), pytest.raises(psycopg.OperationalError, match="no answer came"):
        connection.execute("SELECT 1")
    assert SOON <= elapsed(began) < SOON + 5
    # Were the server asked once more, it would be waited for until the test is ended.
    connection.patience, connection.ends = 1000, math.inf
    with postgres_server.frozen():
        connection.rollback()
        # Whether by us or by psycopg, which may have noticed by then, is a matter of time.
        with pytest.raises(psycopg.OperationalError, match=r"given up|is closed"):
            connection.execute("SELECT 1")


@pytest.mark.parametrize("in_vain", [0, 1])
def test_what_it_gave_up_is_cancelled_on_the_server(
    connection, postgres_database, monkeypatch, in_vain
):
    """Else the server would keep a process for each attempt. It may begin after the first try."""
    pid = connection.info.backend_pid
    monkeypatch.setattr("aibridged.records.bounded_connection.CANCEL_S", 0.1)
    cancels, cancel = itertools.count(), connection.cancel_safe
    monkeypatch.setattr(
        connection,
        "cancel_safe",
        lambda **options: cancel(**options) if next(cancels) >= in_vain else None,
    )
    connection.patience = SOON
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT pg_sleep(1000)")
    with postgres_database.engine.connect() as other:
        until = SystemClock().monotonic() + 20
        alive = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        while other.scalar(alive, {"pid": pid}):
            assert SystemClock().monotonic() < until
            other.rollback()  # within a transaction the answer stays the same
            time.sleep(0.01)  # the server tells nobody


def test_a_query_has_its_deadline(postgres_database, postgres_server):
    scope = CancelScope(SystemClock(), SOON)

    def ask():
        with scope.connect(postgres_database.engine) as connection:
            connection.connection.driver_connection.patience = SOON
            with postgres_server.frozen():
                connection.execute(sa.text("SELECT 1"))

    with pytest.raises(QueryTimeoutError, match="took longer than"):
        ask()
