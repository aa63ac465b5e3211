"""A record's values are in the order of its table's columns, and of a length that fits."""

from datetime import UTC, datetime

import pytest

from aibridged.records import schema
from aibridged.records.facts import (
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.rows import (
    END_COLUMNS,
    ROWS,
    START_COLUMNS,
    Parent,
    answered_row,
    end_row,
    start_row,
    storable,
)
from aibridged.records.schema import MAX_ERROR_MESSAGE, MAX_NAME

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("grün 🙂", "grün 🙂"),
        ("a\0b", "a\ufffdb"),
        ("ü\0", "ü\ufffd"),
        ("half \ud83d.", "half ?."),
        ("", ""),
        (f"key: aib_0123456789_{'s' * 43}.", "key: aib_0123456789_***."),
        (f"cut: aib_0123456789_{'s' * 20}", "cut: aib_0123456789_***"),
    ],
)
def test_text_is_kept_as_far_as_both_databases_can(text, kept):
    assert storable(text) == kept
    kept.encode()


def test_a_start_has_a_value_for_each_column_that_is_known_by_then(new_start):
    start = new_start(tool_result_ids=("a", "b"))
    row = dict(zip(START_COLUMNS, start_row(start, Parent("p", "r"), 7, str), strict=True))
    unknown = {"session_id", "background_status", *END_COLUMNS}
    assert [*row] == [
        column.name for column in schema.interceptions.c if column.name not in unknown
    ]
    assert (row["thread_parent_id"], row["thread_root_id"], row["recorder_id"]) == ("p", "r", 7)
    assert row["correlating_tool_call_id"] == "b"
    assert row["started_at"] == str(start.started_at)
    assert row["metadata"] is None


def test_an_end_has_its_columns_then_the_id():
    end = InterceptionEnd(
        interception_id="i",
        ended_at=AT,
        outcome=Outcome.FAILED,
        status_code=500,
        error_type="server_error",
        error_source="provider",
        error_code="a\0b" * 256,
        error_message="m" * MAX_ERROR_MESSAGE + "more",
        cost_nanos=12_500,
        cost_label="exact",
    )
    *values, id = end_row(end, str)
    assert dict(zip(END_COLUMNS, values, strict=True)) == {
        "ended_at": str(AT),
        "status_code": 500,
        "outcome": "failed",
        "usage_partial": False,
        "time_to_first_byte_ms": None,
        "error_type": "server_error",
        "error_source": "provider",
        "error_code": ("a\ufffdb" * 256)[:MAX_NAME],
        "error_message": "m" * MAX_ERROR_MESSAGE,
        "cost_nanos": 12_500,
        "cost_label": "exact",
    }
    assert id == "i"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (
            TokenUsageRecord,
            {"provider_model": "m", "input_tokens": 1, "cache_write_input_tokens": 4},
        ),
        (UserPromptRecord, {"prompt": "p"}),
        (ToolUsageRecord, {"tool": "t", "input": "{}", "provider_item_id": "item"}),
        (ModelThoughtRecord, {"content": "c"}),
    ],
)
def test_a_fact_has_a_value_for_each_column(kind, fields):
    fact = kind(id="id", interception_id="i", created_at=AT, metadata={"k": 1}, **fields)
    table, make = ROWS[kind]
    row = dict(zip(table.c.keys(), make(fact, str), strict=True))
    known = {name: getattr(fact, name) for name in row}
    assert row == known | {"metadata": '{"k":1}', "created_at": str(AT)}


def test_no_name_or_id_is_longer_than_its_bound(new_start):
    long = "ü" * 100_000
    start = new_start(
        username=long,
        api_key_id=long,
        provider=long,
        provider_name=long,
        model=long,
        client=long,
        user_agent=long,
        client_session_id=long,
        credential_hint=long,
        tool_result_ids=(long,),
    )
    rows = [start_row(start, Parent(), 7, str)]
    names = {"provider_response_id": long}
    for kind, fields in (
        (TokenUsageRecord, {"provider_model": long, **names}),
        (UserPromptRecord, {"prompt": "", **names}),
        (
            ToolUsageRecord,
            {
                "tool": long,
                "input": "",
                "server_url": long,
                "provider_tool_call_id": long,
                "provider_item_id": long,
                **names,
            },
        ),
    ):
        fact = kind(id="id", interception_id="i", created_at=AT, **fields)
        rows.append(ROWS[kind][1](fact, str))
    end = InterceptionEnd(
        interception_id="i", ended_at=AT, outcome=Outcome.FAILED, prompt_response_id=long
    )
    rows.append(answered_row(end))
    texts = [value for row in rows for value in row if isinstance(value, str)]
    assert sum("ü" in text for text in texts) == 19
    assert max(map(len, texts)) <= schema.MAX_URL
