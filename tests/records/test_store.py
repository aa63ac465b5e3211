"""Rows exactly as expected, on both databases; threads; what is left open; what is pruned."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records import refusals, schema
from aibridged.records.facts import (
    BackgroundRecord,
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.store import DatabaseAwayError, RowRefusedError, Store

AT = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
INITIATOR = "00000000-0000-4000-8000-000000000001"


def test_a_start_is_a_row(database, store, new_start):
    start = new_start(
        username="ada",
        api_key_id="key",
        provider="openai",
        provider_name="azure-west",
        model="gpt-5",
        client="Codex",
        user_agent="codex/1.0",
        client_session_id="session",
        credential_kind="byok",
        credential_hint="sk-a...z",
        metadata={"cwd": "/src", "n": 1},
        started_at=AT,
    )
    store.write([start], [])
    assert database.row(schema.interceptions) == {
        "id": start.id,
        "initiator_id": INITIATOR,
        "username": "ada",
        "api_key_id": "key",
        "provider": "openai",
        "provider_name": "azure-west",
        "model": "gpt-5",
        "client": "Codex",
        "user_agent": "codex/1.0",
        "client_session_id": "session",
        "session_id": "session",
        "credential_kind": "byok",
        "credential_hint": "sk-a...z",
        "correlating_tool_call_id": None,
        "thread_parent_id": None,
        "thread_root_id": None,
        "recorder_id": store.recorder_id,
        "started_at": AT,
        "metadata": {"cwd": "/src", "n": 1},
        "ended_at": None,
        "status_code": None,
        "outcome": None,
        "usage_partial": None,
        "time_to_first_byte_ms": None,
        "error_type": None,
        "error_source": None,
        "error_code": None,
        "error_message": None,
        "background_status": None,
        "cost_nanos": None,
        "cost_label": None,
        "reserved_nanos": None,
        "charged_to": None,
    }


def test_facts_are_rows_and_an_end_completes_its_start(database, store, new_start):
    start = new_start(started_at=AT)
    own = {"interception_id": start.id, "created_at": AT}
    usage = TokenUsageRecord(
        provider_model="claude-big",
        id=uuid7(AT),
        provider_response_id="msg",
        input_tokens=1,
        output_tokens=2,
        cache_read_input_tokens=3,
        cache_write_input_tokens=2**62,
        cost_nanos=42_000,
        cost_label="estimated",
        price_version="prices 1",
        metadata={"web_search_requests": 1},
        **own,
    )
    prompt = UserPromptRecord(id=uuid7(AT), prompt="Wie geht’s? 🙂", **own)
    tool = ToolUsageRecord(
        id=uuid7(AT),
        tool="ls",
        input="{}",
        provider_response_id="msg",
        provider_tool_call_id="call",
        provider_item_id="item",
        server_url="https://mcp",
        injected=True,
        invocation_error="no such tool",
        metadata={"partial": True},
        **own,
    )
    thought = ModelThoughtRecord(id=uuid7(AT), content="hm", metadata={"source": "thinking"}, **own)
    end = InterceptionEnd(
        interception_id=start.id,
        ended_at=AT + timedelta(seconds=2),
        outcome=Outcome.FAILED,
        status_code=529,
        usage_partial=True,
        time_to_first_byte_ms=40,
        prompt_response_id="msg",
        error_type="overloaded",
        error_source="provider",
        error_code="overloaded_error",
        error_message="Überlastet",
        metadata={"unread": "unreadable_event"},
        cost_nanos=42_000,
        cost_label="estimated",
    )
    store.write([start], [])
    store.write([], [end, usage, prompt, tool, thought])
    row = database.row(schema.interceptions)
    assert (row["ended_at"], row["outcome"], row["status_code"]) == (end.ended_at, "failed", 529)
    assert (row["usage_partial"], row["time_to_first_byte_ms"]) == (True, 40)
    assert (row["error_type"], row["error_source"]) == ("overloaded", "provider")
    assert (row["error_code"], row["error_message"]) == ("overloaded_error", "Überlastet")
    assert (row["cost_nanos"], row["cost_label"]) == (42_000, "estimated")
    assert row["metadata"] == {**start.metadata, "unread": "unreadable_event"}
    assert database.row(schema.token_usages) == {
        "id": usage.id,
        "interception_id": start.id,
        "provider_response_id": "msg",
        "provider_model": "claude-big",
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_write_input_tokens": 2**62,
        "cost_nanos": 42_000,
        "cost_label": "estimated",
        "price_version": "prices 1",
        "metadata": {"web_search_requests": 1},
        "created_at": AT,
    }
    assert database.row(schema.user_prompts) == {
        "id": prompt.id,
        "interception_id": start.id,
        "provider_response_id": "msg",
        "prompt": "Wie geht’s? 🙂",
        "metadata": None,
        "created_at": AT,
    }
    assert database.row(schema.tool_usages) == {
        "id": tool.id,
        "interception_id": start.id,
        "provider_response_id": "msg",
        "server_url": "https://mcp",
        "tool": "ls",
        "input": "{}",
        "injected": True,
        "invocation_error": "no such tool",
        "provider_tool_call_id": "call",
        "provider_item_id": "item",
        "metadata": {"partial": True},
        "created_at": AT,
    }
    assert database.row(schema.model_thoughts) == {
        "id": thought.id,
        "interception_id": start.id,
        "content": "hm",
        "metadata": {"source": "thinking"},
        "created_at": AT,
    }


def test_writing_a_batch_again_changes_nothing(database, store, new_start, new_facts):
    start = new_start()
    facts = new_facts(start.id)
    store.write([start], [])
    store.write([], facts)
    before = [database.rows(table) for table in schema.metadata.sorted_tables]
    store.write([start], facts)
    assert [database.rows(table) for table in schema.metadata.sorted_tables] == before
    assert all(len(rows) <= 1 for rows in before)


def test_an_end_in_the_batch_of_its_start_is_not_lost(database, store, new_start, new_facts):
    start = new_start()
    store.write([start], [new_facts(start.id)[-1]])
    assert database.open_count() == 0


def test_what_databases_cannot_hold_is_made_storable(database, store, new_start, clock):
    start = new_start(
        model="m" * 300,
        username="ann\0\ud800",
        user_agent="a\0b\udcff" + "c" * 5000,
        client_session_id="é" * 5000,
        metadata={"name": "x\0y"},
    )
    prompt = UserPromptRecord(
        id=uuid7(AT), interception_id=start.id, created_at=AT, prompt="null \0 and half \ud800."
    )
    store.write([start], [])
    store.write([], [prompt])
    row = database.row(schema.interceptions)
    assert row["model"] == "m" * 256
    assert row["username"] == "ann\ufffd?"
    assert row["user_agent"] == "a\ufffdb?" + "c" * 1020
    assert row["client_session_id"] == row["session_id"] == "é" * 256
    assert row["metadata"] == {"name": "x\ufffdy"}
    assert database.row(schema.user_prompts)["prompt"] == "null \ufffd and half ?."


def test_a_request_that_answers_a_tool_call_continues_its_thread(
    database, store, new_start, new_facts
):
    first = new_start()
    store.write([first], [])
    store.write([], new_facts(first.id, "call_1"))
    second = new_start(tool_result_ids=("call_0", "call_1"))
    # The fact may come in the very batch of the start that continues it.
    third = new_start(tool_result_ids=("call_2",))
    store.write([second], [])
    store.write([third], [new_facts(second.id, "call_2")[2]])
    rows = {row["id"]: row for row in database.rows(schema.interceptions)}
    assert rows[first.id]["thread_parent_id"] is rows[first.id]["thread_root_id"] is None
    assert rows[second.id]["correlating_tool_call_id"] == "call_1"
    assert rows[second.id]["thread_parent_id"] == rows[second.id]["thread_root_id"] == first.id
    assert rows[third.id]["thread_parent_id"] == second.id
    assert rows[third.id]["thread_root_id"] == first.id
    assert {row["session_id"] for row in rows.values()} == {first.id}


def test_nobody_continues_a_thread_of_somebody_else(database, store, new_start, new_facts):
    theirs, unknown = new_start(initiator_id="them"), new_start(tool_result_ids=("nobody's",))
    store.write([theirs], [])
    store.write([], new_facts(theirs.id, "call"))
    mine = new_start(tool_result_ids=("call",))
    store.write([mine, unknown], [])
    for start in (mine, unknown):
        row = database.row(schema.interceptions, id=start.id)
        assert row["thread_parent_id"] is None
        assert row["session_id"] == start.id


def test_of_calls_with_the_same_id_the_newest_is_meant(
    database, store, new_start, new_facts, clock
):
    starts = [new_start(), new_start()]
    for start in starts:
        store.write([start], [])
        store.write([], new_facts(start.id, "call_0"))
        clock.advance(1)
    last = new_start(tool_result_ids=("call_0",))
    store.write([last], [])
    assert database.row(schema.interceptions, id=last.id)["thread_parent_id"] == starts[1].id


def test_a_dead_recorders_open_rows_are_closed(database, store, new_start, new_facts, clock):
    open_one, ended = new_start(), new_start()
    store.write([open_one, ended], [])
    store.write([], [new_facts(ended.id)[-1]])
    future = new_start(started_at=clock.wall() + timedelta(hours=1))
    store.write([future], [])
    store.close()
    clock.advance(10)
    successor = Store(database.engine)
    successor.connect()
    mine = new_start()
    successor.write([mine], [])
    assert successor.close_left_open(clock.wall()) == 2
    successor.close()
    row = database.row(schema.interceptions, id=open_one.id)
    assert (row["outcome"], row["ended_at"]) == ("interrupted", clock.wall())
    assert row["usage_partial"] is True
    assert database.row(schema.interceptions, id=ended.id)["outcome"] == "completed"
    assert database.row(schema.interceptions, id=mine.id)["ended_at"] is None
    row = database.row(schema.interceptions, id=future.id)
    assert row["ended_at"] == row["started_at"], "never before the start"


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_living_recorders_open_rows_stay_open(database, store, new_start, clock):
    """Two daemons share a PostgreSQL database."""
    store.write([new_start()], [])
    other = Store(database.engine)
    other.connect()
    assert other.close_left_open(clock.wall()) == 0
    assert database.open_count() == 1
    store.close()
    while other.close_left_open(clock.wall()) == 0:  # soon: the server has to notice
        pass
    assert database.open_count() == 0
    other.close()


def test_pruning_takes_old_ended_interceptions_with_all_that_belongs_to_them(
    database, store, new_start, new_facts, clock
):
    old = [new_start() for _ in range(5)]
    old_but_open = new_start()
    today = clock.wall().date()
    days = [today - timedelta(days=number) for number in range(4)]
    refusals.add(database.engine, {(day, "ann", "rate_limited"): 1 for day in days})
    clock.advance(100)
    boundary = clock.wall()
    young = new_start()
    store.write([*old, old_but_open, young], [])
    thought = ModelThoughtRecord(
        id=uuid7(AT), interception_id=old[0].id, created_at=AT, content="hm"
    )
    store.write([], [thought, *(fact for start in [*old, young] for fact in new_facts(start.id))])
    assert [store.prune(boundary, 3) for _ in range(3)] == [3, 2, 0]
    left = {row["id"] for row in database.rows(schema.interceptions)}
    assert left == {old_but_open.id, young.id}
    assert database.counts() == {
        "aibridge_interceptions": 2,
        "aibridge_token_usages": 1,
        "aibridge_user_prompts": 1,
        "aibridge_tool_usages": 1,
        "aibridge_model_thoughts": 0,
        "aibridged_stored_objects": 0,
        "aibridged_refusals": 1,
        "aibridged_cost_revisions": 0,
        "aibridged_spend": 0,
        "aibridged_budget_alerts": 0,
        "aibridged_usage_hours": 0,
        "aibridged_usage_days": 0,
        "aibridged_usage_months": 0,
        **{
            f"aibridged_usage_{span}_by_{by}": 0
            for span in ("days", "months")
            for by in ("client", "model", "user", "user_model")
        },
        "aibridged_summarised_spans": 11,
        "aibridged_prompt_fingerprints": 0,
        "aibridged_usual_costs": 0,
    }
    assert database.row(schema.refusals)["day"] == today


def test_a_row_without_its_interception_is_refused_with_its_batch(
    database, store, new_start, new_facts
):
    start = new_start()
    with pytest.raises(RowRefusedError) as caught:
        store.write([start], new_facts(uuid7(AT)))
    assert "Hello?" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert database.rows(schema.interceptions) == []
    store.write([start], [])
    assert len(database.rows(schema.interceptions)) == 1


def test_what_writes_no_rows_refuses_none(sqlite_database, monkeypatch):
    """The writer takes a refusal for a row's, and nothing else than one for the database's."""
    store = Store(sqlite_database.engine)
    store.connect()

    def fail(sql, row=()):
        raise OverflowError

    monkeypatch.setattr(store._backend, "changed", fail)
    monkeypatch.setattr(store._backend, "truncate_log", lambda: fail(""))
    for work in (lambda: store.prune(AT, 1), store.truncate_log):
        with pytest.raises(DatabaseAwayError):
            work()
        store.connect()
    store.close()


def test_a_store_that_lost_its_connection_connects_anew(database, store, new_start):
    store.close()
    with pytest.raises(DatabaseAwayError):
        store.write([new_start()], [])
    store.connect()
    store.write([new_start()], [])
    assert len(database.rows(schema.interceptions)) == 1


def test_a_checkpoint_copies_the_log_of_sqlite_into_the_database(sqlite_database, new_start):
    store = Store(sqlite_database.engine)
    store.connect()
    store.write([new_start()], [])
    path = sqlite_database.state_dir / "aibridged.db"
    before = path.stat().st_size, path.stat().st_mtime_ns
    store.checkpoint_aside()
    assert (path.stat().st_size, path.stat().st_mtime_ns) != before
    store.close_aside()
    store.close()


@pytest.mark.parametrize("late", ["queued", "in_progress", "failed"])
def test_a_last_status_is_never_followed(database, store, new_start, late):
    start = new_start()
    store.write([start], [])
    told = [
        BackgroundRecord(interception_id=start.id, status="queued"),
        BackgroundRecord(
            interception_id=start.id,
            status="completed",
            outcome=Outcome.COMPLETED,
            usage_partial=False,
        ),
        BackgroundRecord(
            interception_id=start.id, status=late, outcome=Outcome.FAILED, usage_partial=True
        ),
    ]
    end = InterceptionEnd(
        interception_id=start.id, ended_at=AT, outcome=Outcome.INTERRUPTED, usage_partial=True
    )
    for fact in told[:2]:
        store.write([], [fact, end])
    store.write([], told)
    row = database.row(schema.interceptions)
    assert (row["background_status"], row["outcome"], row["usage_partial"]) == (
        "completed",
        "completed",
        False,
    )
