"""Answers made piece by piece are the JSON of their shapes, and their pages are bounded."""

import msgspec
import pytest
import sqlalchemy as sa

from aibridged.api import json_stream, shapes
from aibridged.api.session_interceptions import SessionInterceptions
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.store import Store
from tests.viewers import EVERYTHING

ANN = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture
def query(database, clock):
    return Query(database.engine, clock, EVERYTHING)


@pytest.fixture
def add(database, clock):
    """Writes an interception of the session s with a row of each kind; returns its id."""
    store = Store(database.engine)
    store.connect()

    def add(text="hm", *, call="c", answers=(), cost=None):
        clock.advance(1)
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id=ANN,
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            client_session_id="s",
            started_at=clock.wall(),
            tool_result_ids=answers,
        )
        own = {"interception_id": start.id, "created_at": clock.wall()}
        store.write([start], [])
        store.write(
            [],
            [
                UserPromptRecord(id=uuid7(clock.wall()), prompt=text, **own),
                ToolUsageRecord(
                    id=uuid7(clock.wall()), tool="ls", input="{}", provider_tool_call_id=call, **own
                ),
                *(
                    ModelThoughtRecord(id=uuid7(clock.wall(), n), content=text, **own)
                    for n in range(2)
                ),
                TokenUsageRecord(
                    id=uuid7(clock.wall()), input_tokens=3, output_tokens=4, cost_nanos=cost, **own
                ),
            ],
        )
        if cost is not None:
            end = InterceptionEnd(
                interception_id=start.id,
                ended_at=clock.wall(),
                outcome=Outcome.COMPLETED,
                cost_nanos=cost,
                cost_label="exact",
            )
            store.write([], [end])
        return start.id

    yield add
    store.close()


def read(made, shape):
    """The answer, by its type, which refuses what isn't of it."""
    return msgspec.json.decode(b"".join(made), type=shape, strict=True)


def ids_of(threads):
    return [each.id for thread in threads.threads for each in thread.interceptions]


def test_an_interception(query, add):
    id = add("Hello?")
    found = read(json_stream.interception(query, id, None), shapes.Interception)
    assert found == shapes.interception(query.interception(id))
    assert b"".join(json_stream.interception(query, "nothing", None)) == b""
    assert b"".join(json_stream.interception(query, id, "somebody")) == b""


def test_a_list(query, add):
    assert read(json_stream.interceptions(query, Filter()), shapes.Interceptions).results == []
    added = [add() for _ in range(3)]
    page = read(json_stream.interceptions(query, Filter(limit=2)), shapes.Interceptions)
    assert ([each.id for each in page.results], page.count, page.more) == (added[:0:-1], 3, True)
    page = read(json_stream.interceptions(query, Filter(limit=3)), shapes.Interceptions)
    assert ([each.id for each in page.results], page.more) == (added[::-1], False)
    sessions = read(json_stream.sessions(query, Filter()), shapes.Sessions)
    assert (sessions.count, sessions.more) == (1, False)
    assert sessions.sessions[0].interceptions == 3


def test_a_session_and_its_threads(query, add):
    first = add("one", call="one", cost=87_500_000)
    second = add("two", call="two")
    third = add("not shown as the prompt", answers=("one",), cost=1)
    found = read(json_stream.session(query, "s", ANN, None, 100), SessionInterceptions)
    assert [(each.id, each.prompt) for each in found.threads] == [(first, "one"), (second, "two")]
    assert [each.token_usage.output_tokens for each in found.threads] == [8, 4]
    assert [(each.cost, each.cost_label) for each in found.threads] == [
        ("0.087500001", "exact"),
        (None, None),
    ]
    assert [each.cost for each in found.threads[0].interceptions] == ["0.0875", "0.000000001"]
    assert found.threads[0].interceptions[0].token_usages[0].cost == "0.0875"
    assert ids_of(found) == [first, third, second]
    turn = msgspec.structs.asdict(found.threads[0].interceptions[1])
    assert (turn.pop("cache_break"), turn.pop("tool_results")) == (None, None)
    assert turn == msgspec.structs.asdict(shapes.interception(query.interception(third)))
    assert not found.more


def test_pages_of_a_session(query, add):
    added = [add() for _ in range(3)]
    page = read(json_stream.session(query, "s", None, None, 2), SessionInterceptions)
    assert (ids_of(page), page.more) == (added[:2], True)
    page = read(
        json_stream.session(query, "s", None, added[1], 2),
        SessionInterceptions,
    )
    assert (ids_of(page), page.more) == (added[2:], False)
    page = read(
        json_stream.session(query, "s", None, added[2], 2),
        SessionInterceptions,
    )
    assert (page.threads, page.more) == ([], False)
    assert b"".join(json_stream.session(query, "nothing", None, None, 2)) == b""


def test_a_page_ends_early_once_it_is_large_but_is_never_empty(query, add, monkeypatch):
    monkeypatch.setattr(json_stream, "PAGE_BYTES", 50_000)
    expected = [add("x" * 20_000) for _ in range(3)]
    seen, after_id, more = [], None, True
    while more:
        page = read(
            json_stream.session(query, "s", None, after_id, 100),
            SessionInterceptions,
        )
        assert len(page.threads) == 1  # 60 kB each
        seen += ids_of(page)
        after_id, more = seen[-1], page.more
    assert seen == expected


def test_a_list_ends_early_too(query, add, monkeypatch):
    monkeypatch.setattr(json_stream, "PAGE_BYTES", 6000)
    expected = [add("x" * 20_000) for _ in range(5)][::-1]
    seen, after_id, more = [], None, True
    while more:
        made = json_stream.interceptions(query, Filter(after_id=after_id))
        page = read(made, shapes.Interceptions)
        assert 1 <= len(page.results) < 5
        assert page.count == 5
        seen += [each.id for each in page.results]
        after_id, more = seen[-1], page.more
    assert seen == expected


def test_no_large_piece_is_made_of_many_rows(query, add):
    id = add("x" * 100_000)
    assert max(map(len, json_stream.interception(query, id, None))) < 101_000
    assert max(map(len, json_stream.session(query, "s", None, None, 100))) < 101_000


def test_an_answer_that_is_left_lets_go_of_its_connection(query, add, database):
    for _ in range(3):
        add()
    open_now = []
    sa.event.listen(database.engine, "connect", lambda connection, _: open_now.append(connection))
    sa.event.listen(database.engine, "close", lambda connection, _: open_now.remove(connection))
    made = json_stream.session(query, "s", None, None, 100)
    for _ in range(2):  # the second is an interception's
        next(made)
    assert len(open_now) == 1
    made.close()
    assert open_now == []


def test_usage_is_its_shape_with_the_total_of_all(query, add):
    add(cost=1_500_000_000)
    add(cost=1)
    by = [UsageBy.USER, UsageBy.MODEL]
    made = b"".join(json_stream.usage(query, by, Filter(limit=1), "cost"))
    found = msgspec.json.decode(made, type=shapes.Usages)
    (row,) = found.usage
    assert row.by == {"user": ANN, "model": "claude"}
    assert (row.cost, row.cost_label, row.interceptions) == ("1.500000001", "exact", 2)
    assert (found.total, found.more) == (msgspec.structs.replace(row, by={}), False)
    made = b"".join(json_stream.usage(query, [UsageBy.HOUR], Filter(limit=1, model="none"), None))
    found = msgspec.json.decode(made, type=shapes.Usages)
    assert (found.usage, found.total.interceptions, found.total.cost) == ([], 0, None)
