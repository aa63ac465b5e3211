"""A question ends when its time is up, or when nobody wants the answer, whatever it is doing."""

import threading

import pytest

from aibridged.records.restraint import (
    DroppedError,
    QueryFailedError,
    Restraint,
    TookTooLongError,
)

FOREVER = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000)"
    " SELECT count(*) FROM n"
)


def ask(restraint, database, statement="SELECT 1"):
    with restraint.connect(database.engine) as connection:
        return connection.exec_driver_sql(statement).scalar()


def test_what_is_quick_is_answered(database, clock):
    assert ask(Restraint(clock), database) == 1


def test_each_statement_has_its_time(database, clock):
    with Restraint(clock, 0.05).connect(database.engine) as connection:
        for _ in range(3):
            clock.advance(10)  # whoever got the last answer took it
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_one_that_takes_too_long_is_given_up(database, clock):
    class Running(type(clock)):
        def monotonic(self):
            self.advance(10)
            return super().monotonic()

    with pytest.raises(TookTooLongError, match="narrow it down"):
        ask(Restraint(Running(), 0.05), database, FOREVER)


def test_one_that_is_dropped_is_interrupted_where_it_is(database, clock):
    restraint, ended = Restraint(clock), []

    def run():
        try:
            with restraint.connect(database.engine) as connection:
                connection.exec_driver_sql("SELECT 1")
                under_way.set()
                connection.exec_driver_sql(FOREVER)
        except DroppedError as error:
            ended.append(error)

    under_way = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    assert under_way.wait(10)
    restraint.drop()
    thread.join(10)
    assert len(ended) == 1


def test_one_that_is_dropped_begins_no_other_statement(database, clock):
    restraint = Restraint(clock)
    with restraint.connect(database.engine) as connection:
        restraint.drop()
        with pytest.raises(DroppedError):
            connection.exec_driver_sql("SELECT 1")
    with pytest.raises(DroppedError):
        ask(restraint, database)


def test_dropping_what_has_ended_does_nothing(database, clock):
    restraint = Restraint(clock)
    ask(restraint, database)
    restraint.drop()


def test_nothing_can_be_changed(database, clock):
    with pytest.raises(QueryFailedError, match=r"(?i)read.?only"):
        ask(Restraint(clock), database, "DELETE FROM aibridge_interceptions")
