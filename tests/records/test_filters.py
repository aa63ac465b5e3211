"""Filters: on SQLite and on PostgreSQL."""

import pytest
import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions, parts_of, row_id
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions

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
    ("wanted", "matches"),
    [
        ({"model": "a"}, {"1"}),
        ({"client": "Codex"}, {"2"}),
        ({"provider": "openai"}, {"3"}),
        ({"status": "completed"}, {"1", "3"}),
        ({"status": "open"}, {"2"}),
        ({"status": "open", "client": "Zed"}, set()),
    ],
)
@pytest.mark.parametrize("person", [{}, {"owner": ANN}, {"username": "ann"}])
def test_sessions_of_a_person_and_something_else(query, add, wanted, matches, person):
    of = {"initiator_id": ANN, "username": "ann"}
    add(model="a", client_session_id="1", **of)
    add(model="b", client_session_id="2", client="Codex", ended=False, **of)
    add(model="c", client_session_id="3", provider="openai", **of)
    for other in ("a", "b"):
        add(model=other, client_session_id="9", initiator_id=BOB, username="bob", client="pi")
    wanted = Filter(**wanted, **person)
    found = {each.session_id for each in query.sessions(wanted)}
    assert found - {"9"} == matches
    assert not person or "9" not in found
    assert query.count_sessions(wanted).number == len(found)


@pytest.mark.parametrize("name", ["model", "client", "provider_name", "status"])
def test_sqlite_finds_a_persons_by_the_index_of_people(sqlite_database, name):
    wanted = Filter(owner=ANN, **{name: "completed"})
    statement = sa.select(interceptions.c.id).where(PARTS[0], *conditions(wanted))
    statement = statement.order_by(interceptions.c.started_at.desc())
    with sqlite_database.engine.connect() as connection:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        [(*_, step)] = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    assert "idx_aibridge_interceptions_initiator_id (initiator_id=?)" in step


def test_no_ended_one_is_looked_at_for_open_ones():
    assert [*parts_of(Filter(status="open"))] == [PARTS[1]]
    assert parts_of(Filter(status="failed")) == parts_of(Filter()) == PARTS


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
