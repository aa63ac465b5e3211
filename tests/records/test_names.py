"""Lists of names, on both databases."""

from aibridged.records import schema
from aibridged.records.facts import TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Names
from aibridged.records.usage_summaries import INTERVAL_S, Summaries

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def test_users_are_listed_by_name_and_to_others_as_themselves(query, add):
    add(initiator_id=ANN, username="ann")
    add(initiator_id=ANN, username="ann", ended=False)
    add(initiator_id=BOB, username="bob", ended=False)
    add(initiator_id=BOB, username=None)
    assert query.initiators(Names("", 9)) == ["ann", "bob"]
    assert query.initiators(Names("b", 9)) == ["bob"]
    assert query.initiators(Names("", 9), ANN) == ["ann"]
    assert query.initiators(Names("", 1, 1)) == ["bob"]


def test_each_name_is_read_once_however_many_rows_have_it(query, add, clock):
    for number in range(12):
        clock.advance(1)
        add(model=f"m{number % 3}", client="Zed" if number % 2 else "Codex", ended=number > 3)
    assert query.models(Names("", 9)) == ["m0", "m1", "m2"]
    assert query.clients(Names("", 9)) == ["Codex", "Zed"]
    assert query.models(Names("m1", 9)) == ["m1"]


def test_names_of_a_person_are_those_of_their_usage(database, query, add, store, clock):
    summaries = Summaries(database.engine, clock)
    for number in range(4):
        own = {"initiator_id": BOB if number == 3 else ANN, "provider_name": f"p{number % 3}"}
        id = add(model=f"m{number}", client=f"c{number}", ended=number != 2, **own)
        clock.advance(7200)
    used = {"interception_id": id, "created_at": clock.wall(), "provider_model": "advisor"}
    store.write([], [TokenUsageRecord(id=uuid7(clock.wall()), **used)])
    for _ in range(2):  # from the interceptions, and from the summaries
        assert query.models(Names("", 9), ANN) == ["m0", "m1", "m2"]
        assert query.models(Names("", 9), BOB) == ["advisor", "m3"]
        assert query.models(Names("m", 9, 1), ANN) == ["m1", "m2"]
        assert query.clients(Names("", 9), ANN) == ["c0", "c1", "c2"]
        assert query.providers(Names("", 9), ANN) == ["p0", "p1", "p2"]
        assert query.providers(Names("", 9), BOB) == ["p0"]
        while summaries.go_on() < INTERVAL_S:
            pass
    assert database.rows(schema.usage_hours)


def test_there_may_be_none(query):
    for names in (query.models, query.clients, query.providers, query.initiators):
        assert names(Names("", 9)) == []
