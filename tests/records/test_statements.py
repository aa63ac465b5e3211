"""What the writer runs finds its rows by an index, however many there are."""

import pytest

from aibridged.records.statements import Statements


@pytest.fixture
def plan(sqlite_database):
    """The plan of SQLite for a statement."""

    def explain(statement, **values):
        with sqlite_database.engine.connect() as connection:
            row = tuple(statement.row(**values))
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.sql}", row)
            return " / ".join(line[-1] for line in found)

    return explain


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        (
            "end",
            dict.fromkeys(
                (
                    "interception",
                    "new_ended_at",
                    "new_status_code",
                    "new_outcome",
                    "new_usage_partial",
                    "new_time_to_first_byte_ms",
                    "new_error_type",
                    "new_error_source",
                    "new_error_code",
                    "new_error_message",
                )
            ),
            "sqlite_autoindex_aibridge_interceptions_1",
        ),
        (
            "parent",
            {"call": "c", "initiator": "i"},
            "idx_aibridge_tool_usages_provider_tool_call_id",
        ),
        ("owners_of_open", {}, "idx_aibridge_interceptions_open"),
        ("interrupt", {"now": "n", "recorder": 1}, "idx_aibridge_interceptions_open"),
        ("prune", {"before": "b", "most": 5}, "idx_aibridge_interceptions_started_at"),
    ],
)
def test_a_statement_uses_its_index(plan, sqlite_database, name, values, index):
    text = plan(getattr(Statements(sqlite_database.engine), name), **values)
    assert index in text
    assert "SCAN aibridge_interceptions /" not in f"{text} /"
    assert "TEMP B-TREE" not in text


def test_values_go_to_their_placeholders(database):
    statements = Statements(database.engine)
    mark = "?" if database.is_sqlite else "%s"
    assert statements.interrupt.sql.count(mark) == 4
    assert statements.interrupt.row(now="now", recorder=7) == ["now", "now", "interrupted", 7]
