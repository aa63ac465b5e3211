"""Lists of names, on both databases."""

from aibridged.records.query_results import Names

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


def test_there_may_be_none(query):
    for names in (query.models, query.clients, query.providers, query.initiators):
        assert names(Names("", 9)) == []
