"""Lists of models without those that aren't granted."""

import json

import pytest

from aibridged.wire.model_lists import MAX_MODELS, NoListError, Page, granted_only, split_query

WHOLE = Page()


def filtered(body, *granted, page=WHOLE):
    steps = granted_only(body, granted.__contains__, page)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def anthropic(*names, has_more=False):
    entries = b",".join(b'{"type": "model",  "id": "%b", "n": 1.50}' % name for name in names)
    return b'{"data": [%b], "has_more": %b, "first_id": "a", "last_id": "z"}' % (
        entries,
        b"true" if has_more else b"false",
    )


def test_entries_that_stay_are_the_providers_bytes():
    body = anthropic(b"a", b"c")
    entries = body[: body.index(b"]")].removeprefix(b'{"data": ')
    assert filtered(anthropic(b"a", b"b", b"c"), "a", "c") == (
        b'{"data":%b],"has_more":false,"first_id":"a","last_id":"c"}' % entries
    )


def test_nothing_may_be_left():
    assert json.loads(filtered(anthropic(b"a", has_more=True))) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (
            b'{"object":"list","data":[{"id":"a"},{"id":"b"}]}',
            {"object": "list", "data": [{"id": "a"}]},
        ),
        (b'[{"id":"a"},{"id":"b"}]', [{"id": "a"}]),
        (b'{"models":[{"slug":"a"},{"slug":"b"}]}', {"models": [{"slug": "a"}]}),
        (
            b'{"models":[{"name":"b"},{"name":"a"}],"data":[{"id":"b"},{"id":"a"}]}',
            {"models": [{"name": "a"}], "data": [{"id": "a"}]},
        ),
        (b'{"data":["a","b"]}', {"data": ["a"]}),
        (b'{"data":[{"id":"b","name":"a"},{"id":7},{},5,null,[]]}', {"data": []}),
    ],
)
def test_every_shape(body, kept):
    assert json.loads(filtered(body, "a")) == kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"error":{}}',
        b'{"data":{}}',
        b'{"data":[',
        b'"text"',
        b"[" * 5000,
        b'{"data":[%b1]}' % (b"1," * MAX_MODELS),
    ],
)
def test_what_is_no_list_is_shown_not_at_all(body):
    with pytest.raises(NoListError):
        filtered(body, "a")


@pytest.mark.parametrize(
    ("query", "page", "asked"),
    [
        ("", Page(20), "limit=1000"),
        ("limit=2", Page(2), "limit=1000"),
        ("limit=5000&beta=true", Page(1000), "beta=true&limit=1000"),
        ("limit=x", Page(20), "limit=1000"),
        ("limit=0", Page(1), "limit=1000"),
        ("after_id=b&limit=1", Page(1, "b"), "limit=1000"),
        ("before_id=b", Page(20, None, "b"), "limit=1000"),
    ],
)
def test_the_whole_list_is_asked_for(query, page, asked):
    assert split_query(query, "limit=1000") == (page, asked)


@pytest.mark.parametrize(
    ("page", "names", "more"),
    [
        (Page(20), "acdf", False),
        (Page(2), "ac", True),
        (Page(2, after_id="c"), "df", False),
        (Page(1, after_id="c"), "d", True),
        (Page(2, after_id="f"), "", False),
        (Page(2, after_id="unknown"), "", False),
        (Page(2, before_id="f"), "cd", True),
        (Page(9, before_id="f"), "acd", False),
        (Page(2, before_id="unknown"), "", False),
    ],
)
def test_pages_are_those_of_the_granted_models(page, names, more):
    body = anthropic(b"a", b"b", b"c", b"d", b"e", b"f")
    found = json.loads(filtered(body, *"acdf", page=page))
    assert "".join(each["id"] for each in found["data"]) == names
    assert found["has_more"] is more
    ends = (names[0], names[-1]) if names else (None, None)
    assert (found["first_id"], found["last_id"]) == ends
