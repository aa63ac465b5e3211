"""Times keep their zone, sessions find their key, and the longest values fit into every index."""

import secrets
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from aibridged.records import indexes, schema


def insert(database, table, **values):
    with database.engine.begin() as connection:
        connection.execute(sa.insert(table).values(**values))


@pytest.fixture
def an_interception(database, clock):
    def make(**values):
        needed = {
            "id": "01890a5d-ac96-774b-bcce-b302099a8057",
            "initiator_id": "u",
            "provider": "p",
            "provider_name": "n",
            "model": "m",
            "client": "Unknown",
            "credential_kind": "centralized",
            "credential_hint": "",
            "recorder_id": 1,
            "started_at": clock.wall(),
        }
        insert(database, schema.interceptions, **needed | values)
        return database.row(schema.interceptions)

    return make


def test_a_time_comes_back_in_utc_whatever_its_zone_was(database, an_interception):
    at = datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=3)))
    row = an_interception(started_at=at)
    assert row["started_at"] == at
    assert row["started_at"].utcoffset() == timedelta(0)
    assert row["ended_at"] is None


@pytest.mark.parametrize(
    ("session", "root", "key"),
    [
        ("s", "01890a5d-ac96-774b-bcce-b302099a8058", "s"),
        (
            None,
            "01890a5d-ac96-774b-bcce-b302099a8058",
            "01890a5d-ac96-774b-bcce-b302099a8058",
        ),
        (None, None, "01890a5d-ac96-774b-bcce-b302099a8057"),
    ],
)
def test_a_session_is_the_clients_or_the_threads_or_its_own(an_interception, session, root, key):
    row = an_interception(client_session_id=session, thread_root_id=root)
    assert row["session_id"] == key


def test_the_longest_values_fit_into_every_index(database, an_interception, clock):
    def longest(length):
        # Four bytes each, which no compression makes shorter.
        return "".join(chr(0x10000 + secrets.randbelow(0x10000)) for _ in range(length))

    for column in schema.interceptions.c:
        assert not column.index
    row = an_interception(
        ended_at=clock.wall(),
        client_session_id=longest(schema.MAX_NAME),
        username=longest(schema.MAX_NAME),
        outcome=longest(16),
        model=longest(schema.MAX_NAME),
        provider=longest(schema.MAX_NAME),
        client=longest(schema.MAX_CLIENT),
    )
    insert(
        database,
        schema.tool_usages,
        id=row["id"],
        interception_id=row["id"],
        provider_response_id="",
        tool="t",
        input="{}",
        injected=False,
        provider_tool_call_id=longest(schema.MAX_NAME),
        created_at=clock.wall(),
    )


def test_what_is_indexed_is_bounded():
    assert {each.table for each in indexes.INDEXES} == {schema.interceptions}
    for table in schema.metadata.tables.values():
        for index in table.indexes:
            for column in index.columns:
                # Those two by what is written into them, as the test above shows.
                bounded = column.name in ("session_id", "username") or getattr(
                    column.type, "length", 1
                )
                assert bounded, f"{index.name}: {column.name}"
