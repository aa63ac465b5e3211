"""Sessions in a list: on SQLite and on PostgreSQL."""

import random
from datetime import timedelta
from itertools import groupby

import pytest
import sqlalchemy as sa

from aibridged.core.looks import View
from aibridged.records import cancel_scope, session_rows, sessions
from aibridged.records.child_rows import SHOWN_ROWS
from aibridged.records.cursors import NoSuchPageError
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.schema import TOKEN_COUNTS, interceptions
from aibridged.records.sessions import find_sessions
from aibridged.records.viewer import Sight
from tests.viewers import EVERYTHING

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def test_sessions_are_told_apart_by_their_owner(query, add, clock):
    add(client_session_id="same", initiator_id=ANN, username="ann")
    clock.advance(5)
    add(client_session_id="same", initiator_id=BOB, username="bob")
    clock.advance(5)
    add(client_session_id="same", initiator_id=ANN, username="ann")
    latest, other = query.sessions(Filter())
    assert (latest.session_id, latest.username, latest.interceptions) == ("same", "ann", 2)
    assert latest.last_at - latest.started_at == timedelta(seconds=10)
    assert (other.username, other.interceptions) == ("bob", 1)
    assert len(list(query.session("same"))) == 3
    assert len(list(query.session("same", BOB))) == 1


def test_a_session_tells_what_its_interceptions_come_to(query, add, clock):
    add(client_session_id="s", model="small", input=1, output=2, read=3, call="call_1")
    clock.advance(10)
    add(client_session_id="s", model="big", provider_name="azure", tool_result_ids=("call_1",))
    clock.advance(10)
    last = clock.wall()
    add(client_session_id="s", model="big", input=0, output=0)
    add(client_session_id="other")
    session = next(each for each in query.sessions(Filter()) if each.session_id == "s")
    assert (session.interceptions, session.threads) == (3, 2)
    assert session.providers == ["anthropic", "azure"]
    assert session.models == ["big", "small"]
    assert (session.first_prompt, session.last_prompt) == ("prompt of small", "prompt of big")
    assert (session.input_tokens, session.output_tokens) == (11, 7)
    assert (session.cache_read_input_tokens, session.cache_write_input_tokens) == (3, 0)
    assert session.ended_at == session.last_at == last
    assert query.count_sessions(Filter()).number == 2


def test_models_are_shown_up_to_a_bound(query, add, monkeypatch):
    for number in range(SHOWN_ROWS):
        add(client_session_id="s", model=f"m{number:03}")
    (session,) = query.sessions(Filter())
    assert (len(session.models), session.truncated) == (SHOWN_ROWS, False)
    add(client_session_id="s", model="m999")
    (session,) = query.sessions(Filter())
    assert (len(session.models), session.models[-1], session.truncated) == (
        SHOWN_ROWS,
        f"m{SHOWN_ROWS - 1:03}",
        True,
    )
    monkeypatch.setattr(session_rows, "_PAIRS", 3)
    (session,) = query.sessions(Filter())
    assert (session.models, session.truncated) == (["m000", "m001", "m002"], True)


def test_a_session_goes_on_while_one_of_its_interceptions_is_open(query, add):
    add(client_session_id="s")
    add(client_session_id="s", ended=False)
    assert next(query.sessions(Filter())).ended_at is None


@pytest.mark.parametrize("ended", [(True, False, True), (False, True, False)])
def test_the_first_and_the_last_prompt_may_be_those_of_open_ones(query, add, clock, ended):
    for number, each in enumerate(ended):
        add(client_session_id="s", model=str(number), ended=each)
        clock.advance(1)
    (session,) = query.sessions(Filter())
    assert (session.first_prompt, session.last_prompt) == ("prompt of 0", "prompt of 2")


def test_a_session_without_tokens_or_prompts(query, store, new_start):
    store.write([new_start(client_session_id="s")], [])
    (session,) = query.sessions(Filter())
    assert (session.first_prompt, session.last_prompt) == (None, None)
    assert (session.input_tokens, session.threads) == (0, 1)


def test_what_does_not_match_does_not_count(query, add):
    add(client_session_id="s", model="a", input=1)
    add(client_session_id="s", model="b", input=10)
    add(client_session_id="t", model="b")
    (session,) = query.sessions(Filter(model="a"))
    assert (session.interceptions, session.models, session.input_tokens) == (1, ["a"], 1)
    assert query.count_sessions(Filter(model="a")).number == 1
    assert list(query.sessions(Filter(model="a", owner=BOB))) == []


@pytest.fixture
def many(database, store, new_start, new_facts, clock):
    """Interceptions of some sessions, all mixed up, several at a time and some of them open."""
    chance = random.Random(1)
    starts = []
    for _ in range(150):
        clock.advance(chance.choice((0, 0, 1)))
        start = new_start(
            started_at=clock.wall(),
            initiator_id=chance.choice((ANN, BOB)),
            client_session_id=f"s{chance.randrange(40)}",
            model=chance.choice("abc"),
        )
        starts.append(start)
        store.write([start], [])
        if chance.random() < 0.8:
            store.write([], new_facts(start.id))
    return starts


@pytest.mark.parametrize("fields", [{}, {"owner": BOB}, {"model": "a"}, {"model": "none"}])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_are_those_of_all_sessions_in_their_order(query, many, monkeypatch, limit, fields):
    """However little of it is looked at first."""
    monkeypatch.setattr(sessions, "_WINDOW", 2)
    matching = [
        start
        for start in many
        if fields.get("owner", start.initiator_id) == start.initiator_id
        and fields.get("model", start.model) == start.model
    ]

    def key(start):
        return start.client_session_id, start.initiator_id

    expected = [
        (-max(each.started_at for each in group).timestamp(), *found)
        for found, each_of in groupby(sorted(matching, key=key), key=key)
        if (group := list(each_of))
    ]
    expected.sort()
    for offset in range(0, len(expected) + 1, limit):
        page = list(query.sessions(Filter(limit=limit, offset=offset, **fields)))
        assert [(each.session_id, each.initiator_id) for each in page] == [
            found[1:] for found in expected[offset : offset + limit]
        ]
    assert query.count_sessions(Filter(**fields)).number == len(expected)


@pytest.mark.parametrize("fields", [{"owner": BOB}, {"owner": BOB, "model": "a"}])
@pytest.mark.parametrize("limit", [4, 100])
def test_pages_after_a_session_neither_repeat_nor_skip(query, many, monkeypatch, limit, fields):
    monkeypatch.setattr(sessions, "_WINDOW", 2)
    expected = [each.session_id for each in query.sessions(Filter(**fields))]
    seen, after = [], None
    while page := list(query.sessions(Filter(limit=limit, after_session=after, **fields))):
        seen += [each.session_id for each in page]
        assert len(seen) <= len(expected)
        after = seen[-1]
        assert query.count_sessions(Filter(after_session=after, **fields)).number == len(expected)
    assert seen == expected


def test_pages_after_a_session_end_where_users_share_ids(query, many):
    seen, after = [], None
    while page := list(query.sessions(Filter(limit=3, after_session=after))):
        seen += [(each.session_id, each.initiator_id) for each in page]
        assert len(set(seen)) == len(seen)
        after = page[-1].session_id
    assert {id for id, _ in seen} <= {each.client_session_id for each in many}


def test_a_session_to_page_after_is_ones_own(query, add):
    add(client_session_id="of bob", initiator_id=BOB)
    for id in ("of bob", "nobody's", "no\0body's"):
        with pytest.raises(NoSuchPageError, match="no session"):
            list(query.sessions(Filter(owner=ANN, after_session=id)))


def test_a_session_has_what_was_noted_of_its_first_interception(query, add, clock):
    add(client_session_id="s", ended=False, metadata={"purpose": "title"})
    clock.advance(1)
    add(client_session_id="s", user_agent="first", metadata={"purpose": "memory"})
    clock.advance(1)
    add(client_session_id="s", user_agent="second")
    (session,) = query.sessions(Filter())
    assert (session.user_agent, session.metadata) == ("first", {"purpose": "memory"})


def steps(database, wanted):
    """How many steps SQLite takes for a page, in hundreds."""
    taken = []
    with database.engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        driver.set_progress_handler(lambda: taken.append(1), 100)
        assert list(find_sessions(connection, wanted, Sight(EVERYTHING, View.LIST, {})))
    return len(taken)


@pytest.fixture
def grow(sqlite_database):
    """Adds interceptions of ANN's, with a prompt and a usage each, from a number on."""

    def grow(first, count):
        row = (
            "(id, initiator_id, provider, provider_name, model, client, client_session_id,"
            " credential_kind, credential_hint, recorder_id, started_at, ended_at)"
        )
        numbers = (
            f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n LIMIT {count})"
        )
        at = "strftime('%Y-%m-%d %H:%M:%f000', 1750000000 + i, 'unixepoch')"
        with sqlite_database.engine.begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO aibridge_interceptions {row} {numbers}"
                f" SELECT printf('%036d', i), '{ANN}', 'p', 'p', 'm' || (i % 3), 'c',"
                f" 's' || (i / 5), 'k', '', 1, {at}, {at} FROM n"
            )
            for table, columns, values in (
                ("user_prompts", "prompt", "'p'"),
                ("token_usages", ", ".join(TOKEN_COUNTS), "1, 1, 1, 1"),
            ):
                connection.exec_driver_sql(
                    f"INSERT INTO aibridge_{table}"
                    f" (id, interception_id, provider_response_id, created_at, {columns})"
                    f" {numbers} SELECT printf('%036d', i), printf('%036d', i), 'r', {at}, {values}"
                    " FROM n"
                )

    return grow


@pytest.mark.parametrize(
    "fields",
    [{}, {"model": "m1"}, {"owner": ANN}, {"offset": 50}, {"after_session": "s100"}],
)
def test_a_page_costs_no_more_in_a_large_record(sqlite_database, grow, fields):
    """The sessions used last are found by an index, and what belongs to them by others."""
    wanted = Filter(limit=20, **fields)
    grow(0, 1000)
    small = steps(sqlite_database, wanted)
    grow(1000, 20_000)
    with sqlite_database.engine.connect() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(interceptions))
    assert count == 21_000
    assert steps(sqlite_database, wanted) < 1.5 * small


@pytest.mark.parametrize(
    "fields",
    [
        {"initiator": "nobody"},
        {"status": "failed"},
        {"status": "interrupted", "initiator": "ann"},
        {"model": "none"},
        {"client": "none"},
        {"session": "none"},
    ],
)
def test_what_matches_nothing_costs_nothing(sqlite_database, clock, grow, monkeypatch, fields):
    """Not even a walk through the record: an index tells."""
    grow(0, 20_000)
    monkeypatch.setattr(cancel_scope, "_STEPS", 100)

    class Counting(type(clock)):
        readings = 0  # one every 100 steps of SQLite's, and one a statement

        def monotonic(self):
            self.readings += 1
            return super().monotonic()

    counting = Counting()
    query, wanted = Query(sqlite_database.engine, counting, EVERYTHING), Filter(**fields)
    for ask in (query.interceptions, query.sessions):
        assert list(ask(wanted)) == []
    if "model" not in fields:  # whose tokens may be those of interceptions with another one
        assert query.usage([UsageBy.USER], wanted) == []
    assert query.count(wanted) == query.count_sessions(wanted) == (0, True)
    assert counting.readings < 60
