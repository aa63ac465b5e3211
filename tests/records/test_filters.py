"""Filters: on SQLite and on PostgreSQL."""

import pytest

from aibridged.records.filters import row_id
from aibridged.records.query_results import Filter

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def ids(found):
    return [each.id for each in found]


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({"initiator": ANN}, {"a"}),
        ({"initiator": "bob"}, {"b", "c"}),
        ({"provider": "azure"}, {"c"}),
        ({"provider": "openai"}, {"c"}),
        ({"provider_name": "azure"}, {"c"}),
        ({"provider_name": "openai"}, set()),
        ({"model": "a"}, {"a"}),
        ({"client": "Codex"}, {"b"}),
        ({"session": "s-1"}, {"a"}),
        ({"status": "open"}, {"b"}),
        ({"status": "completed"}, {"a", "c"}),
        ({"status": "failed"}, set()),
        ({"initiator": "bob", "status": "open"}, {"b"}),
        ({"min_cost": 0}, {"a", "c"}),
        ({"min_cost": 10**9}, {"c"}),
        ({"min_cost": 10**9 + 1}, set()),
    ],
)
def test_every_filter(query, add, wanted, matches):
    cheap, dear = (0, "exact"), (10**9, "unpriced")
    add(model="a", initiator_id=ANN, username="ann", client_session_id="s-1", cost=cheap)
    add(model="b", initiator_id=BOB, username="bob", client="Codex", ended=False)
    other = {"provider": "openai", "provider_name": "azure"}
    add(model="c", initiator_id=BOB, username="bob", cost=dear, **other)
    assert {each.model for each in query.interceptions(Filter(**wanted))} == matches


@pytest.mark.parametrize(
    ("initiator", "matches"),
    [(ANN, {"a"}), ("ann", {"a", "b"}), ("both", {"b", "c"}), ("no", set())],
)
def test_an_initiator_is_an_id_or_a_name(query, add, initiator, matches):
    add(model="a", initiator_id=ANN, username="ann")
    add(model="b", initiator_id="both", username="ann", ended=False)
    add(model="c", initiator_id=BOB, username="both")
    found = query.interceptions(Filter(initiator=initiator))
    assert {each.model for each in found} == matches
    assert query.count(Filter(initiator=initiator)).number == len(matches)


def test_times_include_the_first_and_exclude_the_last_moment(query, add, clock):
    added = []
    for _ in range(4):
        added.append((add(), clock.wall()))
        clock.advance(60)
    (_, _), (second, start), (third, _), (_, end) = added
    found = query.interceptions(Filter(started_after=start, started_before=end))
    assert ids(found) == [third, second]


def test_text_that_no_column_holds_is_asked_for_as_it_is_kept(query, add):
    id = add(model="a\0b\udcff", client_session_id="\0")
    assert ids(query.interceptions(Filter(model="a\0b\udcff"))) == [id]
    assert [each.found.id for each in query.session("\0")] == [id]
    assert list(query.interceptions(Filter(provider="\0", initiator="\udcff"))) == []


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("01890a5d-ac96-774b-bcce-b302099a8058", "01890a5d-ac96-774b-bcce-b302099a8058"),
        ("01890A5DAC96774BBCCEB302099A8058", "01890a5d-ac96-774b-bcce-b302099a8058"),
        ("01890a5d", None),
        ("", None),
    ],
)
def test_ids_are_taken_without_hyphens_and_in_capitals(text, id):
    assert row_id(text) == id
