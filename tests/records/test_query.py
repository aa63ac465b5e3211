"""QueryRunner: on SQLite and on PostgreSQL."""

import pytest
import sqlalchemy as sa

from aibridged.records.cancel_scope import QueryFailedError
from aibridged.records.cursors import NoSuchPageError
from aibridged.records.facts import (
    InterceptionEnd,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, Names
from tests.viewers import EVERYTHING

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def ids(found):
    return [each.id for each in found]


def session(query, *args, **options):
    """A page of a session, with all that belongs to it."""
    return [each.collected() for each in query.session(*args, **options)]


def test_the_newest_come_first_with_all_that_belongs_to_them(query, add, clock):
    first = add(model="one", call="call_1")
    clock.advance(1)
    second = add(model="two", ended=False)
    newest, oldest = query.interceptions(Filter())
    assert [newest.id, oldest.id] == [second, first]
    assert (newest.outcome, newest.ended_at) == (None, None)
    assert (oldest.outcome, oldest.status_code) == ("completed", 200)
    assert oldest.user_prompts[0]["prompt"] == "prompt of one"
    assert oldest.tool_usages[0]["provider_tool_call_id"] == "call_1"
    assert oldest.tokens("input_tokens") == 10
    assert oldest.started_at.tzinfo is not None
    assert query.interception(first) == oldest


def test_one_is_found_by_its_id_and_owner_only(query, add):
    id = add(initiator_id=ANN)
    assert query.interception(id, ANN).id == id
    assert query.interception(id, BOB) is None
    assert query.interception("00000000-0000-4000-8000-000000000000") is None
    assert query.interception("nonsense") is None


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_neither_repeat_nor_skip_while_rows_arrive(query, add, clock, oldest_first):
    expected = []
    for number in range(20):
        expected.append(add(ended=number % 3 > 0))
        if number % 4 == 0:  # several at one instant
            clock.advance(1)
    expected = ids(query.interceptions(Filter(oldest_first=oldest_first)))
    assert len(expected) == 20
    arrived, seen, after = [], [], None
    while page := list(
        query.interceptions(Filter(after_id=after, limit=3, oldest_first=oldest_first))
    ):
        seen += ids(page)
        after = seen[-1]
        if len(arrived) < 7:
            clock.advance(1)
            arrived.append(add())
    assert seen == expected + (arrived if oldest_first else [])


def test_pages_by_offset(query, add, clock):
    for number in range(10):
        add(ended=number % 3 > 0, client_session_id=f"s-{number % 4}")
        clock.advance(number % 2)
    expected = ids(query.interceptions(Filter()))
    pages = [query.interceptions(Filter(offset=start, limit=3)) for start in range(0, 12, 3)]
    assert [id for page in pages for id in ids(page)] == expected
    sessions = list(query.sessions(Filter()))
    assert len(sessions) == 4
    assert [next(query.sessions(Filter(offset=n, limit=1))) for n in range(4)] == sessions


def test_a_page_after_nobody_is_refused(query, add):
    for id in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        with pytest.raises(QueryFailedError, match="no interception"):
            list(query.interceptions(Filter(after_id=id)))


def test_a_page_is_of_one_moment(query, add, store, database, clock):
    """What is written while the page is read is in it neither as a whole nor in part."""
    id = add(ended=False)

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def go_on(_connection, _cursor, statement, *_):
        if "ended_at IS NOT NULL" in statement:
            own = {"interception_id": id}
            usage = TokenUsageRecord(id=uuid7(clock.wall()), created_at=clock.wall(), **own)
            store.write(
                [], [usage, InterceptionEnd(ended_at=clock.wall(), outcome=Outcome.FAILED, **own)]
            )

    (found,) = query.interceptions(Filter())
    assert (found.ended_at, len(found.token_usages)) == (None, 1)
    assert len(query.interception(id).token_usages) == 2


def test_a_page_begins_after_ones_own_only(query, add):
    of_bob = add(initiator_id=BOB)
    add(initiator_id=ANN)
    with pytest.raises(NoSuchPageError):
        list(query.interceptions(Filter(owner=ANN, after_id=of_bob)))


def test_a_session_keeps_its_threads_together(query, add, clock):
    def later(**fields):
        clock.advance(1)
        return add(client_session_id="s", **fields)

    one = later(call="call_1")
    two = later(call="call_2")
    one_goes_on = later(tool_result_ids=("call_1",))
    two_goes_on = later(tool_result_ids=("call_2",))
    assert ids(session(query, "s")) == [one, one_goes_on, two, two_goes_on]


def test_pages_of_a_session_follow_on_each_other(query, add, store, new_start, clock):
    def later(**fields):
        clock.advance(1)
        return add(client_session_id="s", **fields)

    later(call="call_1")
    later(call="call_2")
    for number in range(1, 4):
        later(tool_result_ids=(f"call_{number}",), call=f"call_{number + 2}")
    expected = ids(session(query, "s"))
    assert len(expected) == 5
    seen, after = [], None
    while page := session(query, "s", after_id=after, limit=2):
        assert len(page) <= 2
        seen += ids(page)
        after = seen[-1]
    assert seen == expected
    with pytest.raises(NoSuchPageError):
        session(query, "s", after_id=add())


def test_a_session_of_any_length_is_whole(query, store, new_start, clock):
    starts = [new_start(client_session_id="s") for _ in range(1001)]
    store.write(starts, [])
    store.write(
        [],
        [
            UserPromptRecord(
                id=uuid7(clock.wall()),
                interception_id=each.id,
                created_at=clock.wall(),
                prompt=each.id,
            )
            for each in starts
        ],
    )
    found = session(query, "s")
    assert sorted(ids(found)) == sorted(each.id for each in starts)
    assert all(each.user_prompts[0]["prompt"] == each.id for each in found)


def test_models_and_clients_are_told_once(query, add):
    add(model="b", client="Codex", initiator_id=ANN)
    add(model="a", client="Codex", initiator_id=BOB)
    add(model="b", client="Zed", initiator_id=BOB)
    all_of_them = Names("", 9)
    assert query.models(all_of_them) == ["a", "b"]
    assert query.models(all_of_them, ANN) == ["b"]
    assert query.clients(all_of_them) == ["Codex", "Zed"]
    assert query.providers(all_of_them) == ["anthropic"]
    assert query.clients(Names("Co", 9)) == ["Codex"]
    assert query.clients(Names("%", 9)) == query.clients(Names("co", 9)) == []
    assert [query.models(Names("", 1, at)) for at in range(3)] == [["a"], ["b"], []]


def test_it_changes_nothing(query, add, database):
    add()
    with query._connect() as connection, pytest.raises(Exception, match=r"(?i)read.?only"):
        connection.exec_driver_sql("DELETE FROM aibridge_interceptions")


def test_a_question_that_takes_too_long_is_given_up(database, clock):
    class Running(type(clock)):
        def monotonic(self):
            self.advance(10)
            return super().monotonic()

    limited = Query(database.engine, Running(), EVERYTHING, time_limit=0.05)
    forever = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000)"
        " SELECT count(*) FROM n"
    )
    with pytest.raises(QueryFailedError, match="narrow it down"), limited._connect() as connection:
        connection.exec_driver_sql(forever)
