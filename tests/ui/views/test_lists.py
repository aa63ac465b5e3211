"""Lists page by page: what the API is asked, and where the links lead."""

from types import SimpleNamespace

import pytest

from aibridged.ui.views.lists import cursor, in_path, pager, terms


def test_values_of_terms_have_no_quotation_marks():
    assert terms({"model": 'a"b', "user": "ann"}) == 'model:"ab" user:"ann"'
    assert terms({}) == ""


def test_an_id_is_one_segment():
    assert in_path("a/b?c") == "a%2Fb%3Fc"


@pytest.mark.parametrize(
    ("query", "more", "first", "following"),
    [
        ({}, False, None, ""),
        ({}, True, None, "q=x&after=2"),
        ({"after": "1"}, True, "q=x", "q=x&after=2"),
        ({"after": ""}, False, None, ""),
    ],
)
def test_links_keep_what_is_asked(query, more, first, following):
    visit, found = SimpleNamespace(query=query), {"results": [{"id": 1}, {"id": 2}], "more": more}
    assert pager(visit, found, {"q": "x"}) == {"first": first, "following": following}
    assert cursor(visit) == ({"after_id": "1"} if query.get("after") else {})
