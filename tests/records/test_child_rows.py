"""Lists show the beginnings of what belongs to interceptions; one by itself shows all of it."""

import tracemalloc

import pytest
import sqlalchemy as sa

from aibridged.records import child_rows
from aibridged.records.child_rows import SHOWN_CHARACTERS, SHOWN_ROWS
from aibridged.records.facts import (
    InterceptionEnd,
    ModelThoughtRecord,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter

LONG = "é" * 100_000


@pytest.fixture
def add_rows(store, new_start, clock):
    """Writes an interception with what is given; returns its id."""

    def add_rows(*made):
        start = new_start(client_session_id="s")
        own = {"interception_id": start.id, "created_at": clock.wall()}
        facts = [
            kind(id=uuid7(clock.wall(), number), **own, **fields)
            for number, (kind, fields) in enumerate(made)
        ]
        store.write([start], [])
        store.write([], facts)
        return start.id

    return add_rows


def listed(query):
    (found,) = query.interceptions(Filter())
    return found


def test_a_list_shows_the_beginning_of_each_text(query, add_rows):
    id = add_rows(
        (UserPromptRecord, {"prompt": LONG}),
        (ToolUsageRecord, {"tool": "ls", "input": "{}", "invocation_error": LONG}),
        (ToolUsageRecord, {"tool": "cat", "input": LONG, "metadata": {"partial": True}}),
        (ModelThoughtRecord, {"content": "é" * SHOWN_CHARACTERS}),
    )
    found = listed(query)
    beginning = LONG[:SHOWN_CHARACTERS]
    (prompt,) = found.user_prompts
    assert (prompt["prompt"], prompt["truncated"]) == (beginning, True)
    ls, cat = found.tool_usages
    assert (ls["input"], ls["invocation_error"], ls["truncated"]) == ("{}", beginning, True)
    assert (cat["input"], cat["truncated"], cat["metadata"]) == (beginning, True, {"partial": True})
    (thought,) = found.model_thoughts
    assert (len(thought["content"]), thought["truncated"]) == (SHOWN_CHARACTERS, False)
    assert not found.truncated
    assert query.preview(id, Filter()) == found


def test_costs_are_those_of_the_interception_and_of_each_usage(query, add_rows, store, clock):
    priced = {"cost_nanos": 10**18 + 1, "cost_label": "exact", "price_version": "sha256:1"}
    id = add_rows((TokenUsageRecord, priced), (TokenUsageRecord, {"cost_label": "unpriced"}))
    listed_open = listed(query)
    assert (listed_open.cost, listed_open.cost_label) == (None, None)
    end = InterceptionEnd(
        interception_id=id,
        ended_at=clock.wall(),
        outcome="completed",
        cost_nanos=7,
        cost_label="estimated",
    )
    store.write([], [end])
    for found in (listed(query), query.interception(id), query.preview(id, Filter())):
        assert (found.cost, found.cost_label) == (7, "estimated")
        costs = [
            (row["cost"], row["cost_label"], row["price_version"]) for row in found.token_usages
        ]
        assert costs == [(10**18 + 1, "exact", "sha256:1"), (None, "unpriced", None)]


def test_one_by_itself_is_whole(query, add_rows):
    id = add_rows(
        (UserPromptRecord, {"prompt": LONG}),
        (ToolUsageRecord, {"tool": "ls", "input": "{}", "invocation_error": LONG}),
        (ModelThoughtRecord, {"content": "hm"}),
    )
    found = query.interception(id)
    assert found.user_prompts[0]["prompt"] == LONG
    assert found.tool_usages[0]["invocation_error"] == LONG
    rows = [*found.user_prompts, *found.tool_usages, *found.model_thoughts]
    assert [row["truncated"] for row in rows] == [False] * 3
    assert [each.collected() for each in query.session("s")] == [found]


def test_a_list_shows_the_first_rows_of_each_kind_and_all_usage(query, add_rows):
    count = SHOWN_ROWS + 1
    id = add_rows(
        *((ToolUsageRecord, {"tool": str(n), "input": "{}"}) for n in range(count)),
        *((TokenUsageRecord, {"input_tokens": 1}) for _ in range(count)),
    )
    found = listed(query)
    assert [each["tool"] for each in found.tool_usages] == [str(n) for n in range(SHOWN_ROWS)]
    assert found.tokens("input_tokens") == count
    assert found.truncated
    whole = query.interception(id)
    assert [each["tool"] for each in whole.tool_usages] == [str(n) for n in range(count)]
    assert not whole.truncated


def test_no_long_text_is_read_for_a_list(query, add_rows):
    add_rows((UserPromptRecord, {"prompt": "x" * 8_000_000}))
    list(query.interceptions(Filter()))
    tracemalloc.start()
    try:
        (found,) = query.interceptions(Filter())
        (session,) = query.sessions(Filter())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.user_prompts[0]["prompt"] == session.last_prompt == "x" * SHOWN_CHARACTERS
    assert session.truncated
    assert peak < 2_000_000


def test_many_values_are_asked_for_in_parts(query, add_rows, monkeypatch):
    monkeypatch.setattr(child_rows, "_IDS_AT_ONCE", 7)
    add_rows(*((TokenUsageRecord, {"input_tokens": 1}) for _ in range(20)))
    assert listed(query).tokens("input_tokens") == 20


def test_rows_are_read_ahead_across_interceptions(query, add_rows, database, monkeypatch):
    """A session of 20 000 short answers isn't read answer by answer."""
    ids = [
        add_rows(
            *((ToolUsageRecord, {"tool": f"{n}.{k}", "input": LONG[:9]}) for k in range(n % 3)),
            (TokenUsageRecord, {"input_tokens": n}),
        )
        for n in range(40)
    ]

    def read():
        statements = []
        note = lambda *args: statements.append(args[2])  # noqa: E731
        sa.event.listen(database.engine, "before_cursor_execute", note)
        found = [each.collected() for each in query.each_of("s", ids)]
        sa.event.remove(database.engine, "before_cursor_execute", note)
        return found, len(statements)

    found, statements = read()
    assert [each.id for each in found] == ids
    assert [[row["tool"] for row in each.tool_usages] for each in found] == [
        [f"{n}.{k}" for k in range(n % 3)] for n in range(40)
    ]
    assert [each.tokens("input_tokens") for each in found] == list(range(40))
    assert statements < 25
    monkeypatch.setattr(child_rows, "_MOST_ROWS", 3)
    assert read()[0] == found


def test_what_is_gone_is_left_out(query, add_rows):
    id = add_rows()
    unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
    assert [each.found.id for each in query.each_of("s", [unknown, id])] == [id]
