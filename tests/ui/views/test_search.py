"""Filters of lists, in the address."""

import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from aibridged.api.filters import TERMS, read_filter
from aibridged.ui.views.search import Search

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def search(known=TERMS, **query):
    return Search(SimpleNamespace(query=query, now=NOW), known)


def test_nothing_is_filtered_at_first():
    assert (search().q, search().is_any, search().link("/sessions")) == ("", False, "/sessions")


def test_filters_become_terms_of_the_api():
    found = search(initiator=" ann ", client="Claude Code", status="failed", since="7d")
    assert found.q == (
        'initiator:"ann" client:"Claude Code" status:"failed" started_after:"2026-01-24T12:00:00Z"'
    )
    assert found.is_any
    wanted = read_filter({"q": found.q}, "me", None)
    assert (wanted.initiator, wanted.client, wanted.status) == ("ann", "Claude Code", "failed")


def test_a_day_is_from_its_beginning():
    found = search(started_after="2026-01-01", started_before="2026-01-02T03:00:00Z")
    assert found.q == ('started_after:"2026-01-01T00:00:00Z" started_before:"2026-01-02T03:00:00Z"')


@pytest.mark.parametrize(
    ("since", "day", "next"), [("today", 31, "02-01"), ("yesterday", 30, "01-31")]
)
def test_a_day_is_chosen_by_its_name(since, day, next):
    found = search(since=since)
    assert found.q == (
        f'started_after:"2026-01-{day}T00:00:00Z" started_before:"2026-{next}T00:00:00Z"'
    )


@pytest.mark.parametrize("value", ['a"b', '" initiator:"bob', "x" * 5000])
def test_no_value_becomes_another_term(value):
    found = search(model=value)
    wanted = read_filter({"q": found.q}, "me", None)
    assert wanted.initiator is None
    assert len(wanted.model) <= 256


def test_terms_that_the_list_has_not_are_left_out():
    found = search(known={"model": ""}, model="m", initiator="ann", status="failed")
    assert found.q == 'model:"m"'
    assert [field.name for field in found.fields] == ["model"]


def test_a_link_keeps_the_search():
    found = search(client="Claude Code", since="24h", other="x")
    assert found.link("/sessions", after="s 1") == (
        "/sessions?client=Claude+Code&since=24h&after=s+1"
    )
    assert found.link("/sessions", client="Codex") == "/sessions?client=Codex&since=24h"


def test_filters_that_are_set_are_shown():
    assert [field.name for field in search().first] == ["initiator", "model"]
    assert not search(initiator="ann", since="7d").has_more
    assert search(client="Codex").has_more
    assert search(started_after="2026-01-01").has_more


def test_links_to_the_lists_filter_by_what_the_lists_know():
    templates = Path(str(files("aibridged.ui"))) / "templates"
    texts = [path.read_text() for path in templates.rglob("*.html")]
    named = {
        name for text in texts for name in re.findall(r"/(?:sessions|interceptions)\?(\w+)=", text)
    }
    assert named
    for name in named:
        assert search(**{name: "ann"}).is_any, name
