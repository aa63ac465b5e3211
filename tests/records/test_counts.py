"""Counts of lists are exact up to a bound, and never take long."""

from aibridged.records import counts
from aibridged.records.query import Query
from aibridged.records.query_results import Filter
from tests.viewers import EVERYTHING


def test_they_are_exact_up_to_a_bound(query, add, monkeypatch):
    monkeypatch.setattr(counts, "MAX_COUNT", 4)
    for number in range(4):
        add(ended=number > 1, client_session_id=f"s{number % 3}")
    assert query.count(Filter()) == (4, True)
    assert query.count_sessions(Filter()) == (3, True)
    add(client_session_id="s3")
    assert query.count(Filter()) == (4, False)
    assert query.count_sessions(Filter()) == (4, True)


def test_what_takes_too_long_isnt_counted(database, add, clock, monkeypatch):
    class Running(type(clock)):
        def monotonic(self):
            self.advance(counts.COUNT_S + 1)
            return super().monotonic()

    if database.engine.dialect.name != "sqlite":
        monkeypatch.setattr("aibridged.records.query.COUNT_S", 0.001)
    monkeypatch.setattr("aibridged.records.cancel_scope._STEPS", 1)
    add()
    slow = Query(database.engine, Running(), EVERYTHING)

    def count(connection, wanted):
        forever = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000)"
            " SELECT count(*) FROM n"
        )
        return connection.exec_driver_sql(forever).scalar()

    assert slow._count(count, Filter()) == (0, False)


def test_a_search_isnt_counted(query, add):
    add()
    assert query.count(Filter(text="prompt")) == (0, False)
