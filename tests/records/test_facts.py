"""An end is never before its start; what a request answers is bounded."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records.facts import (
    InterceptionStart,
    ended_at,
    last_results,
    refused_end,
)
from aibridged.records.schema import MAX_NAME

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("elapsed", "seconds"), [(1.5, 1.5), (0.0, 0.0), (-3.0, 0.0)])
def test_an_end_is_never_before_its_start(elapsed, seconds):
    assert ended_at(AT, elapsed) == AT + timedelta(seconds=seconds)


@pytest.mark.parametrize(("ids", "last"), [((), None), (("a", "b"), "b")])
def test_the_last_tool_result_correlates(ids, last):
    start = InterceptionStart(
        id="i",
        initiator_id="u",
        provider="anthropic",
        provider_name="anthropic",
        model="m",
        started_at=AT,
        tool_result_ids=ids,
    )
    assert start.correlating_tool_call_id == last


def test_of_many_results_the_last_ones_are_recorded():
    assert last_results(()) == ()
    assert last_results(("a", "b" * 9999)) == ("a", "b" * MAX_NAME)
    many = last_results([str(number) for number in range(100_000)])
    assert len(many) < 100
    assert many[-1] == "99999"


def test_what_never_went_upstream_is_free():
    start = InterceptionStart(
        id="i", initiator_id="u", provider="p", provider_name="p", model="m", started_at=AT
    )
    end = refused_end(start)
    assert (end.cost_nanos, end.cost_label) == (0, "exact")
