"""The threads of a session: their pages, and the counts in their metadata."""

import pytest

from aibridged.records.cursors import NoSuchPageError
from aibridged.records.facts import TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def threads(add, clock):
    """The ids of three threads of one session, of which the first goes on after the others began.

    Others have a session of the same name.
    """
    made = []
    for call in ("one", "two", "three"):
        clock.advance(1)
        made.append(add(client_session_id="s", initiator_id=ANN, call=call))
        add(client_session_id="s", initiator_id=BOB)
        add(client_session_id="t", initiator_id=ANN)
    add(client_session_id="s", initiator_id=ANN, tool_result_ids=("one",))
    return made


@pytest.fixture
def session(query, threads):
    return next(query.sessions(Filter(owner=ANN, session="s")))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_forwards_and_backwards(query, threads, session, limit):
    assert query.threads(session, limit=limit) == threads[:limit]
    for place, cursor in enumerate(threads):
        after = query.threads(session, after_id=cursor, limit=limit)
        assert after == threads[place + 1 : place + 1 + limit]
        before = query.threads(session, before_id=cursor, limit=limit)
        assert before == threads[max(0, place - limit) : place]


def test_a_cursor_is_of_the_same_session(query, threads, session, add):
    of_bob = add(client_session_id="s", initiator_id=BOB)
    for cursor in (of_bob, "nonsense"):
        with pytest.raises(NoSuchPageError):
            query.threads(session, after_id=cursor, limit=9)


def test_threads_of_a_session_can_be_asked_for(query, threads):
    found = query.session("s", ANN, threads=threads[:2])
    assert [each.found.thread_root_id or each.found.id for each in found] == [
        threads[0],
        threads[0],
        threads[1],
    ]


def test_whole_numbers_in_metadata_are_summed(query, threads, session, store, clock):
    assert query.usage_metadata(session) == {}
    for metadata in ({"a": 1, "b": "7"}, {"a": 2**40, "b": 3, "c": True}, {}):
        store.write(
            [],
            [
                TokenUsageRecord(
                    id=uuid7(clock.wall()),
                    interception_id=threads[1],
                    created_at=clock.wall(),
                    metadata=metadata,
                )
            ],
        )
    assert query.usage_metadata(session) == {"a": 2**40 + 1, "b": 3}
