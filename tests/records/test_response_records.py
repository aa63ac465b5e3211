"""A response's facts become rows."""

from datetime import UTC, datetime

import pytest

from aibridged.core.prices import Cost, Label, Priced, Reason
from aibridged.records.facts import (
    ModelThoughtRecord,
    TokenUsageRecord,
    ToolRun,
    ToolUsageRecord,
)
from aibridged.records.response_records import response_records, told_once
from aibridged.records.schema import MAX_ID, MAX_NAME
from aibridged.wire.facts import ResponseFacts, Thought, TokenUsage, ToolCall

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_response_leaves_a_row_for_usage_and_each_thought_and_call():
    response = ResponseFacts(
        response_id="msg_1",
        usage=TokenUsage(1, 2, 3, 4, extra={"web_search_requests": 1}),
        thoughts=(Thought("hm", "thinking", True), Thought("", "redacted_thinking", False)),
        tool_calls=(
            ToolCall("call_1", "item_1", "ls", "{}", server_side=False, complete=True),
            ToolCall("call_2", None, "cat", '{"pa', server_side=True, complete=False),
        ),
    )
    usage, first, second, ls, cat = response_records("i", response, AT)
    assert usage == TokenUsageRecord(
        id=usage.id,
        interception_id="i",
        created_at=AT,
        provider_response_id="msg_1",
        input_tokens=1,
        output_tokens=2,
        cache_read_input_tokens=3,
        cache_write_input_tokens=4,
        metadata={"web_search_requests": 1, "cache_read_input": 3, "cache_creation_input": 4},
    )
    assert first == ModelThoughtRecord(
        id=first.id,
        interception_id="i",
        created_at=AT,
        content="hm",
        metadata={"source": "thinking"},
    )
    assert second.metadata == {"source": "redacted_thinking", "partial": True}
    assert ls == ToolUsageRecord(
        id=ls.id,
        interception_id="i",
        created_at=AT,
        tool="ls",
        input="{}",
        provider_response_id="msg_1",
        provider_tool_call_id="call_1",
        provider_item_id="item_1",
    )
    assert (cat.input, cat.metadata) == ('{"pa', {"partial": True, "server_side": True})
    assert first.id < second.id
    assert ls.id < cat.id


def test_what_was_used_beside_the_response_has_rows_of_its_own():
    beside = (
        TokenUsage(5, 6, model="b" * 1000, iteration="advisor_message"),
        TokenUsage(7, 8, extra={"cache_ephemeral_1h_input": 1}, iteration="compaction"),
    )
    response = ResponseFacts(response_id="msg_1", usage=TokenUsage(1, 2, additional=beside))
    rows = response_records("i", response, AT)
    told = [(row.provider_model, row.input_tokens, row.output_tokens, row.metadata) for row in rows]
    assert told == [
        (None, 1, 2, {}),
        ("b" * MAX_NAME, 5, 6, {"iteration": "advisor_message"}),
        (None, 7, 8, {"cache_ephemeral_1h_input": 1, "iteration": "compaction"}),
    ]
    assert {row.provider_response_id for row in rows} == {"msg_1"}
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    (served,) = response_records("i", ResponseFacts(usage=TokenUsage(model="opus")), AT)
    assert (served.provider_model, served.metadata) == ("opus", {})


@pytest.mark.parametrize(
    "kept",
    [
        {"usage": TokenUsage(1, 2)},
        {"thoughts": (Thought("hm", "thinking", True),) * 2},
        {
            "thoughts": (Thought("hm", "thinking", True),),
            "tool_calls": (ToolCall("c", None, "ls", "{}", server_side=False, complete=True),) * 2,
        },
    ],
)
def test_the_last_row_says_how_many_are_omitted(kept):
    rows = response_records("i", ResponseFacts(**kept, anomalies={"item_dropped": 7}), AT)
    assert [row.metadata.get("omitted") for row in rows[-2:]] in ([None, 7], [7])
    assert response_records("i", ResponseFacts(anomalies={"item_dropped": 7}), AT) == []


def test_calls_that_the_gateway_runs_say_what_came_of_them():
    calls = tuple(
        ToolCall(name, None, "bmcp_a_b", "{}", server_side=False, complete=True) for name in "wxyz"
    )
    own = {"tool": "b", "server_url": "http://a"}
    runs = {
        0: ToolRun(**own, call_id="w", seconds=1.2346),
        1: ToolRun(**own, call_id="made_up", error="no such file", seconds=0.0),
        2: ToolRun(**own, call_id="y", error="never run"),
    }
    rows = response_records("i", ResponseFacts(tool_calls=calls), AT, runs)
    assert [(row.injected, row.server_url, row.invocation_error, row.metadata) for row in rows] == [
        (True, "http://a", None, {"duration_ms": 1235}),
        (True, "http://a", "no such file", {"duration_ms": 0}),
        (True, "http://a", "never run", {}),
        (False, None, None, {}),
    ]
    assert [row.tool for row in rows] == ["b", "b", "b", "bmcp_a_b"]
    assert [row.provider_tool_call_id for row in rows] == ["w", "made_up", "y", "z"]


def test_a_response_without_facts_leaves_no_row():
    assert response_records("i", ResponseFacts(), AT) == []


def test_more_calls_than_ids_have_numbers_for_are_all_kept():
    call = ToolCall("c", None, "t", "{}", server_side=False, complete=True)
    records = response_records("i", ResponseFacts(tool_calls=(call,) * 5000), AT)
    assert len({record.id for record in records}) == 5000


def test_names_and_ids_are_bounded_before_each_record_repeats_them():
    call = ToolCall("c" * 9999, "i" * 9999, "n" * 9999, "{}", server_side=False, complete=True)
    response = ResponseFacts(response_id="r" * 9999, tool_calls=(call,))
    (record,) = response_records("i", response, AT)
    assert (record.tool, record.provider_tool_call_id) == ("n" * MAX_NAME, "c" * MAX_NAME)
    assert (record.provider_item_id, record.provider_response_id) == ("i" * MAX_ID, "r" * MAX_ID)


def priced(cost, **more):
    """The rows of two usages, the first of which costs that."""
    usage = TokenUsage(1, additional=(TokenUsage(2, model="other"),))
    found = {None: Priced(cost, **more), "other": Priced(Cost(5, Label.EXACT), "table 1")}
    response = ResponseFacts(response_id="resp_1", usage=usage)
    rows = response_records("i", response, AT, price=lambda used: found[used.model])
    again = told_once(rows[0].id, response, AT, lambda used: found[used.model])
    for row, same in zip(rows, again, strict=True):
        assert (row.cost_nanos, row.cost_label) == (same.cost_nanos, same.cost_label)
    return rows


def test_each_usage_has_its_cost_and_the_rates_by_which_it_is_computed():
    first, second = priced(Cost(7, Label.EXACT), source="x" * 99)
    assert (first.cost_nanos, first.cost_label, first.price_version) == (7, "exact", "x" * 64)
    assert (second.cost_nanos, second.cost_label, second.price_version) == (5, "exact", "table 1")
    assert first.metadata == second.metadata == {}
    assert type(first.cost_label) is str  # drivers know no enumerations


def test_an_estimate_says_why_and_by_which_name_it_was_priced():
    reasons = (Reason.PARTIAL, Reason.TIER)
    first, _ = priced(Cost(7, Label.ESTIMATED, reasons), source="t", notes={"priced_model": "m"})
    assert first.metadata == {"cost_reasons": "partial tier", "priced_model": "m"}


def test_what_has_no_price_is_told_from_what_was_not_computed():
    first, _ = priced(Cost(None, Label.UNPRICED, (Reason.MODEL,)))
    assert (first.cost_nanos, first.cost_label, first.price_version) == (None, "unpriced", None)
    assert first.metadata == {}
    first, _ = priced(None)
    assert (first.cost_nanos, first.cost_label, first.price_version) == (None, None, None)
