"""Exports of the record: all rows once, in pages, on SQLite and on PostgreSQL."""

import sqlite3
from collections import Counter
from datetime import timedelta

import pytest

from aibridged.records import export
from aibridged.records.export import (
    INTERCEPTION_FIELDS,
    SESSION_FIELDS,
    export_interceptions,
    export_sessions,
    export_usage,
    usage_fields,
    without_texts,
)
from aibridged.records.facts import (
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter, UsageBy

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(export, "SESSIONS_AT_ONCE", 2)


def rows(pages, fields):
    names = [field.name for field in fields]
    return [dict(zip(names, values, strict=True)) for page in pages for values in page]


def exported(query, *, with_texts=False, **wanted):
    fields = INTERCEPTION_FIELDS if with_texts else without_texts(INTERCEPTION_FIELDS)
    pages = export_interceptions(query, Filter(**wanted), with_texts=with_texts)
    return rows(pages, fields)


@pytest.mark.parametrize("with_texts", [False, True])
def test_every_interception_is_there_once_oldest_first(
    query, add, clock, small_pages, monkeypatch, with_texts
):
    monkeypatch.setattr(export, "_WITH_TEXTS_AT_ONCE", 3)
    ids = []
    for number in range(10):
        ids.append(add(username=f"u{number % 2}", ended=number != 4))
        if number % 4 == 3:  # four of one moment
            clock.advance(1)
    theirs = set(ids[1::2])
    ids = [id for start in (0, 4, 8) for id in sorted(ids[start : start + 4])]
    found = exported(query, with_texts=with_texts, limit=1)
    assert [each["id"] for each in found] == ids
    own = exported(query, with_texts=with_texts, initiator="u1")
    assert [each["id"] for each in own] == [id for id in ids if id in theirs]
    assert exported(query, started_after=clock.wall() + timedelta(1)) == []


def test_a_row_has_its_interceptions_columns_and_tokens(query, add, store, clock):
    metadata = {"purpose": "title"}
    id = add(
        username="ann",
        api_key_id="t-1",
        client_session_id="s",
        metadata=metadata,
        input=1,
        output=2,
        read=3,
        cost=(87_500_000, "exact"),
    )
    own = {"interception_id": id, "created_at": clock.wall(), "provider_model": "advisor"}
    store.write([], [TokenUsageRecord(id=uuid7(clock.wall()), input_tokens=100, **own)])
    (row,) = exported(query)
    assert list(row) == [field.name for field in INTERCEPTION_FIELDS if not field.is_text]
    whole = query.interception(id)
    for name, value in row.items():
        expected = whole.tokens(name) if name.endswith("_tokens") else getattr(whole, name)
        assert value == expected, name
    assert (row["input_tokens"], row["output_tokens"], row["metadata"]) == (101, 2, metadata)
    assert (row["cost"], row["cost_label"]) == (87_500_000, "exact")
    (with_texts,) = exported(query, with_texts=True)
    assert with_texts.items() >= row.items()


def test_texts_are_there_in_full_where_they_are_asked_for(query, add, store, clock):
    id = add(model="m", call="call")
    own = {"interception_id": id, "created_at": clock.wall()}
    store.write(
        [],
        [
            UserPromptRecord(id=uuid7(clock.wall()), prompt="x" * 50_000, **own),
            ModelThoughtRecord(id=uuid7(clock.wall()), content="Hm.", **own),
        ],
    )
    (row,) = exported(query, with_texts=True)
    assert sorted(row["prompts"]) == ["prompt of m", "x" * 50_000]
    assert row["thoughts"] == ["Hm."]
    assert row["tool_calls"] == [
        {
            "tool": "ls",
            "input": "{}",
            "server_url": None,
            "injected": False,
            "invocation_error": None,
        }
    ]
    assert not {"prompts", "thoughts", "tool_calls", "error_message"} & set(exported(query)[0])


def test_a_page_has_a_bound_of_text(query, add, monkeypatch):
    monkeypatch.setattr(export, "TEXT_AT_ONCE", 100)
    ids = [add(model="m" * 70) for _ in range(5)]
    pages = list(export_interceptions(query, Filter(), with_texts=True))
    assert max(map(len, pages)) < 5
    assert sorted(values[0] for page in pages for values in page) == sorted(ids)


def test_what_ends_between_two_pages_is_there_once(query, add, store, clock, small_pages):
    ids = []
    for _ in range(7):
        ids.append(add(ended=False))
        clock.advance(1)
    pages = export_interceptions(query, Filter(), with_texts=False)
    found = [values[0] for values in next(pages)]
    for id in ids:
        end = InterceptionEnd(interception_id=id, ended_at=clock.wall(), outcome=Outcome.COMPLETED)
        store.write([], [end])
    found += [values[0] for page in pages for values in page]
    assert found == ids


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("of", [export_interceptions, export_sessions])
def test_the_log_can_be_emptied_between_two_pages(query, add, database, small_pages, of):
    for _ in range(7):
        add()
    pages = of(query, Filter(), with_texts=False)
    next(pages)
    add()
    with sqlite3.connect(database.engine.url.database) as other:
        (busy, *_) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    other.close()
    assert busy == 0
    assert list(pages)


def test_every_session_is_there_once_like_in_the_list(query, add, clock, small_pages):
    for number in range(12):
        add(
            client_session_id=f"s{number % 5}",
            initiator_id=(ANN, BOB)[number % 2],
            cost=(1, "exact"),
        )
        if number % 3 == 2:
            clock.advance(1)
    pages = list(export_sessions(query, Filter(limit=1), with_texts=True))
    found = rows(pages, SESSION_FIELDS)
    listed = list(query.sessions(Filter(limit=100)))
    assert len(pages) > 2
    assert found == [{name: getattr(each, name) for name in found[0]} for each in listed]
    keys = Counter((each["session_id"], each["initiator_id"]) for each in found)
    assert sum(each["cost"] for each in found) == 12
    assert len(keys) == 10
    assert set(keys.values()) == {1}
    (page,) = export_sessions(query, Filter(session="s1", owner=BOB), with_texts=False)
    assert len(page[0]) == len(without_texts(SESSION_FIELDS))


def test_usage_is_as_the_list_has_it(query, add, clock, small_pages):
    for number in range(8):
        add(username=f"u{number}", model=f"m{number % 2}", input=number)
    by = [UsageBy.USER, UsageBy.MODEL]
    pages = list(export_usage(query, by, Filter(limit=1)))
    found = rows(pages, usage_fields(by))
    listed = query.usage(by, Filter())
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [(row["user"], row["model"], row["input_tokens"]) for row in found] == [
        (*each.by.values(), each.input_tokens) for each in listed
    ]
    assert [row["cached_share"] for row in found] == [each.cached_share for each in listed]
