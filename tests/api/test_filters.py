import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.api.filters import (
    INTERCEPTION_TERMS,
    USAGE_TERMS,
    BadFilterError,
    read_filter,
    read_names,
    read_usage,
)
from aibridged.records.names import MAX_NAMES
from aibridged.records.query_results import Filter, Names, UsageBy


def read(q="", me="me-id", owner=None, **more):
    return read_filter({"q": q, **more}, me, owner)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", Filter()),
        ("  ", Filter()),
        ("model:claude-x", Filter(model="claude-x")),
        ("model:ft:gpt-4o:org", Filter(model="ft:gpt-4o:org")),
        ('client:"Claude Code" provider:p', Filter(client="Claude Code", provider="p")),
        ("provider_name:p", Filter(provider_name="p")),
        ("initiator:me", Filter(initiator="me-id")),
        ("initiator:ann session_id:s-1", Filter(initiator="ann", session="s-1")),
        ("status:open", Filter(status="open")),
        ('model:""', Filter(model="")),
        (
            "started_after:2026-01-31T12:00:00Z",
            Filter(started_after=datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ),
        (
            'started_before:"2026-01-31T12:00:00+02:00"',
            Filter(started_before=datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ),
    ],
)
def test_the_language(q, expected):
    assert read(q) == expected


def test_interceptions_are_filtered_by_cost_and_sessions_are_not():
    def read_by_cost(text):
        return read_filter({"q": f"min_cost:{text}"}, "me", None, INTERCEPTION_TERMS)

    assert read_by_cost("0.5") == Filter(min_cost=500_000_000)
    with pytest.raises(BadFilterError, match="min_cost: 'much' is not an amount in dollars"):
        read_by_cost("much")
    with pytest.raises(BadFilterError, match="'min_cost' is not a filter"):
        read("min_cost:0.5")


def test_limit_page_and_owner():
    assert read(limit="7", after_id="x", owner="o") == Filter(limit=7, after_id="x", owner="o")


@pytest.mark.parametrize(
    ("q", "said"),
    [
        ("colour:red", "'colour' is not a filter"),
        ("claude", "'claude' is not a filter term"),
        ("model:", "'model:' is not a filter term"),
        ('model:"a', "not a filter term"),
        ('model:"a"b', "not a filter term"),
        ("model:a model:b", "twice"),
        ("status:odd", "none of"),
        ("started_after:soon", "takes a time"),
        ("started_after:0001-01-01T00:00:00+14:00", "takes a time"),
    ],
)
def test_mistakes_name_the_term(q, said):
    with pytest.raises(BadFilterError, match=said):
        read(q)


@pytest.mark.parametrize("limit", ["1001", "-1", "1.5", "", "many", "٣", "9" * 20])
def test_limits(limit):
    with pytest.raises(BadFilterError, match="limit"):
        read(limit=limit)


def test_no_limit_is_the_default_as_in_coders_api():
    assert read(limit="0").limit == read().limit == 100


@pytest.mark.parametrize(
    ("q", "beginning"),
    [
        ("", ""),
        ("claude", "claude"),
        ("model:claude", "claude"),
        (' model:"a b" ', "a b"),
        ('"', '"'),
        ("client:x", "client:x"),
    ],
)
def test_the_beginning_of_names(q, beginning):
    assert read_names({"q": q, "limit": "0", "offset": "3"}, "model") == Names(
        beginning, MAX_NAMES, 3
    )


def test_cursors_exclude_an_offset():
    assert read(after_session_id="s").after_session == "s"
    assert read(after_session_id="", offset="3").after_session is None
    assert read(after_id="x", offset="0").after_id == "x"
    for cursor in ("after_id", "after_session_id"):
        with pytest.raises(BadFilterError, match=f"{cursor} and offset"):
            read(**{cursor: "x", "offset": "3"})


@given(st.text())
def test_any_text_is_a_filter_or_a_mistake(text):
    with contextlib.suppress(BadFilterError):
        assert isinstance(read(text), Filter)


def test_usage_is_asked_for_by_dimensions_and_a_column():
    assert read_usage({}) == ([UsageBy.USER], None)
    assert read_usage({"by": "user,model", "sort": "cost"}) == (
        [UsageBy.USER, UsageBy.MODEL],
        "cost",
    )
    assert read_usage({"by": "hour", "sort": "hour"})[1] == "hour"
    wanted = read_filter({"q": "group:g key:sk-a...b"}, "me", None, USAGE_TERMS)
    assert (wanted.group, wanted.key) == ("g", "sk-a...b")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"by": "user,team"}, "'team' is not a dimension. There are user, model,"),
        ({"by": "user,user"}, "'user' is named twice in by"),
        ({"by": ","}, "'' is not a dimension"),
        ({"sort": "model"}, "'model' can't be sorted by. There are user, interceptions,"),
    ],
)
def test_what_usage_has_not_is_refused(query, said):
    with pytest.raises(BadFilterError, match=said):
        read_usage(query)
