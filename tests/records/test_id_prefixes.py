"""Ids by how they begin: on SQLite and on PostgreSQL."""

import pytest

from aibridged.records.id_prefixes import AmbiguousIdError
from aibridged.records.query_results import Filter

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def test_an_interception_is_found_by_how_its_id_begins(query, add, clock):
    id = add(initiator_id=ANN)
    clock.advance(3600)
    other = add(ended=False)
    for begins in (id[:8], id[:13], id[:9], id[:35], id[:13].replace("-", ""), id[:13].upper()):
        assert query.interception(begins).id == id
        assert query.interception(begins, ANN).id == id
        assert query.interception(begins, BOB) is None
    assert query.interception(other[:13]).id == other


@pytest.mark.parametrize("text", ["", "0", "0188", "0188-888", "ffffffff", "zzzzzzzz", "%" * 8])
def test_what_is_too_short_or_no_beginning_finds_nothing(query, add, text):
    add()
    assert query.interception(text) is None
    assert query.session_id(text) is None


def test_a_page_goes_on_after_how_an_id_begins(query, add, clock):
    first = add()
    clock.advance(3600)
    second = add()
    assert [each.id for each in query.interceptions(Filter(after_id=second[:13]))] == [first]


def test_what_several_begin_with_names_some(query, add, clock):
    added = [add(initiator_id=ANN if number == 0 else BOB) for number in range(7)]
    with pytest.raises(AmbiguousIdError) as caught:
        query.interception(added[0][:13])
    said = str(caught.value)
    assert said.startswith(f"'{added[0][:13]}' is the beginning of several ids: ")
    assert said.count(", ") == 5
    assert all(id in said for id in sorted(added)[:5])
    assert "and others" in said
    # Of others' interceptions a caller learns nothing.
    assert query.interception(added[0][:13], ANN).id == added[0]


@pytest.mark.parametrize("ended", [True, False])
def test_a_session_is_found_by_how_its_id_begins(query, add, ended):
    add(client_session_id="conversation_1%-and-more", initiator_id=ANN, ended=ended)
    add(client_session_id="conversation-2", initiator_id=ANN, ended=not ended)
    for begins in ("conversation_1%-and-more", "conversation_1%", "conversation_"):
        assert query.session_id(begins) == "conversation_1%-and-more"
        assert query.session_id(begins, BOB) is None
    assert query.session_id("CONVERSATION_") is None  # as it is written
    with pytest.raises(AmbiguousIdError, match="conversation-2, conversation_1%-and-more"):
        query.session_id("conversation")


def test_a_whole_id_is_not_a_beginning(query, add):
    for session in ("s", "session-1", "session-12"):
        add(client_session_id=session)
    assert query.session_id("s") == "s"
    assert query.session_id("session-1") == "session-1"


def test_many_interceptions_of_one_session_are_one(query, add):
    for number in range(9):
        add(client_session_id="one-session", ended=number > 0)
    assert query.session_id("one-sess") == "one-session"
