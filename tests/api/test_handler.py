"""Queries as `pipeline.local_routes` makes them, on both databases."""

import json
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import make_mocked_request

from aibridged.api import Api
from aibridged.api.query_runner import A_SECOND
from aibridged.errors import GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.looks import Looks
from aibridged.identity.user_store import UserStore
from aibridged.records.database import database_url, make_engine
from aibridged.records.facts import InterceptionStart, UserPromptRecord
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.store import Store
from aibridged.records.viewer import NO_TEXTS

ADMIN = Actor("00000000-0000-4000-8000-000000000001", "admin", is_admin=True)
ANN = Actor("00000000-0000-4000-8000-00000000000a", "ann")
BOB = Actor("00000000-0000-4000-8000-00000000000b", "bob")


@pytest.fixture
def api(database, clock):
    made = Api(Query(database.engine, clock, NO_TEXTS), clock, Looks(database.engine, clock))
    yield made
    made.close()


@pytest.fixture
def add(database, clock):
    store = Store(database.engine)
    store.connect()

    def add(actor, session="s"):
        clock.advance(1)
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id=actor.id,
            username=actor.username,
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            client_session_id=session,
            started_at=clock.wall(),
        )
        store.write([start], [])
        return start.id

    yield add
    store.close()


@pytest.fixture
def say(database, clock):
    """Adds a prompt to an interception."""
    store = Store(database.engine)
    store.connect()

    def say(id, prompt):
        own = {"interception_id": id, "created_at": clock.wall()}
        store.write([], [UserPromptRecord(id=uuid7(clock.wall()), prompt=prompt, **own)])

    yield say
    store.close()


def asked(method, path):
    return make_mocked_request(method, path, writer=SimpleNamespace(output_size=0))


async def get(api, actor, path, method="GET", **query):
    request = asked(method, path)
    response = await api(request, actor, path, urlencode(query))
    return json.loads(response.body)


async def refused(api, actor, path, raw_query="", method="GET"):
    with pytest.raises(GatewayError) as raised:
        await api(asked(method, path), actor, path, raw_query)
    return raised.value


async def test_a_cursor_of_somebody_elses_is_nobodys(api, add):
    of_bob = add(BOB)
    add(ANN)
    assert (await get(api, ADMIN, "/interceptions", after_id=of_bob))["results"] == []
    error = await refused(api, ANN, "/interceptions", f"after_id={of_bob}")
    nobodys = await refused(api, ANN, "/interceptions", f"after_id={uuid7_of_nobody()}")
    assert error.kind.status == nobodys.kind.status == 400


def uuid7_of_nobody():
    return "01890a5d-ac96-774b-bcce-b302099a8058"


async def test_the_beginning_of_an_id_is_enough_where_it_is_ones_own(api, add, clock):
    mine = add(ANN, session="session-1")
    add(BOB, session="session-2")
    assert (await get(api, ANN, f"/interceptions/{mine[:8]}"))["id"] == mine
    assert (await get(api, ANN, "/sessions/session-"))["id"] == "session-1"
    for path in (f"/interceptions/{mine[:8]}", "/sessions/session-"):
        error = await refused(api, ADMIN, path)
        assert error.kind.status == 400
        assert "is the beginning of several ids: " in error.message


@pytest.fixture
def changed(database, clock):
    """Five users are made, a second apart."""
    users = UserStore(database.engine, clock, actor="root")
    for number in range(5):
        clock.advance(1)
        users.create_user(f"user-{number}")


async def test_the_audit_log_comes_in_pages_and_for_admins_alone(api, changed):
    pages, after = [], {}
    for _ in range(3):
        page = await get(api, ADMIN, "/audit", limit=2, **after)
        after = {"after_id": page["results"][-1]["id"]}
        pages.append((page["count"], page["more"], [row["username"] for row in page["results"]]))
    assert pages == [
        (5, True, ["user-4", "user-3"]),
        (5, True, ["user-2", "user-1"]),
        (5, False, ["user-0"]),
    ]
    query = 'action:user.create target:user-3 actor:root started_after:"2026-01-01T00:00:04Z"'
    [row] = (await get(api, ADMIN, "/audit", q=query))["results"]
    assert (row["at"], row["before"]) == ("2026-01-01T00:00:04Z", None)
    assert row["after"]["username"] == "user-3"
    error = await refused(api, ANN, "/audit")
    assert (error.kind.code, error.kind.status) == ("admin_required", 403)


async def test_pages_by_offset(api, add):
    added = [add(ANN, session=f"s-{number}") for number in range(5)]
    pages = [await get(api, ANN, "/interceptions", offset=n, limit=2) for n in (0, 2, 4)]
    assert [each["id"] for page in pages for each in page["results"]] == added[::-1]
    assert [page["count"] for page in pages] == [5, 5, 5]
    pages = [await get(api, ANN, "/sessions", offset=n, limit=2) for n in (0, 2, 4)]
    found = [each["id"] for page in pages for each in page["sessions"]]
    assert found == ["s-4", "s-3", "s-2", "s-1", "s-0"]
    assert [page["count"] for page in pages] == [5, 5, 5]


async def test_a_session_comes_in_pages(api, add):
    added = [add(ANN) for _ in range(5)]
    add(BOB)

    async def page(**query):
        session = await get(api, ANN, "/sessions/s/interceptions", limit=2, **query)
        return [each["id"] for thread in session["threads"] for each in thread["interceptions"]]

    assert await page() == added[:2]
    assert await page(after_id=added[1]) == added[2:4]
    assert await page(after_id=added[3]) == added[4:]
    assert await page(after_id=added[4]) == []


async def test_a_sessions_threads_come_in_pages_either_way(api, add, clock):
    added = [add(ANN) for _ in range(5)]
    add(BOB)

    async def page(**query):
        session = await get(api, ANN, "/sessions/s", limit=2, **query)
        return [thread["id"] for thread in session["threads"]], session["more"]

    assert await page() == (added[:2], True)
    assert await page(after_id=added[1]) == (added[2:4], True)
    assert await page(after_id=added[3]) == (added[4:], False)
    assert await page(after_id=added[4]) == ([], False)
    assert await page(before_id=added[4]) == (added[2:4], True)
    assert await page(before_id=added[2]) == (added[:2], False)
    assert await page(before_id=added[0]) == ([], False)
    both = f"before_id={added[0]}&after_id={added[1]}"
    error = await refused(api, ANN, "/sessions/s", both)
    assert "mutually exclusive" in str(error)
    clock.advance(1)
    for cursor in ("nothing", uuid7_of_nobody()):
        error = await refused(api, ANN, "/sessions/s", f"after_id={cursor}")
        assert "has no interception" in str(error)


async def test_who_asks_too_much_is_told_to_slow_down(api, add, clock):
    answers = [await get(api, ANN, "/models") for _ in range(A_SECOND)]
    assert answers == [[]] * A_SECOND
    error = await refused(api, ANN, "/models")
    assert (error.kind.code, error.retry_after) == ("rate_limited", 1)
    assert await api.ask(ANN, "GET", "/models", {}) == []  # pages have a rate limit of their own
    assert await get(api, BOB, "/models") == []
    assert (await get(api, ANN, "/openapi.json"))["openapi"]  # asks nothing of the database
    clock.advance(1)
    assert await get(api, ANN, "/models") == []


async def test_text_that_no_column_holds_matches_nothing(api, add):
    add(ANN)
    assert (await get(api, ADMIN, "/interceptions", q='model:"a\0b"'))["count"] == 0


async def test_why_the_database_is_away_is_the_operators_business(clock):
    url = database_url(Path(), "postgres://service:secret@127.0.0.1:1/internal")
    engine = make_engine(url)
    api = Api(Query(engine, clock, NO_TEXTS), clock, Looks(engine, clock))
    error = await refused(api, ANN, "/models")
    api.close()
    assert (error.kind.status, error.retry_after) == (503, 1)
    assert error.message == error.kind.sentence


async def test_an_admins_look_at_others_texts_is_on_record(api, add, say):
    mine, of_ann = add(ADMIN, session="mine"), add(ANN)
    say(mine, "hello from admin")
    say(of_ann, "hello from ann")
    assert "hello from admin" in str(await get(api, ADMIN, f"/interceptions/{mine}"))
    assert (await get(api, ADMIN, "/audit", q="action:texts"))["count"] == 0
    for path in ("/interceptions", "/sessions", f"/interceptions/{of_ann}", "/sessions/s"):
        assert "hello from ann" in str(await get(api, ADMIN, path)), path
    assert "hello from ann" in str(await api.ask(ADMIN, "GET", "/sessions", {}))
    found = await get(api, ADMIN, "/audit", q=f"action:texts target:{ANN.id}")
    assert [(row["actor"], row["action"], row["after"]) for row in found["results"]] == [
        ("admin", "texts.list", {"by": "page", "list": "sessions"}),
        ("admin", "texts.show", {"by": "api", "session": "s"}),
        ("admin", "texts.show", {"by": "api", "interception": of_ann}),
        ("admin", "texts.list", {"by": "api", "list": "sessions"}),
        ("admin", "texts.list", {"by": "api", "list": "interceptions"}),
    ]
    assert (await get(api, ADMIN, "/audit", q="action:texts"))["count"] == 5


@pytest.mark.parametrize(
    "path", ["/interceptions", "/sessions", "/sessions/s", "/sessions/s/interceptions"]
)
async def test_without_access_others_texts_are_withheld_with_the_reason(api, add, say, path):
    say(add(ANN), "hello from ann")
    api.prompt_access = "own"
    assert "hello from ann" in str(await get(api, ANN, path))
    for found in (await get(api, ADMIN, path), await api.ask(ADMIN, "GET", path, {})):
        assert "hello from ann" not in str(found)
        assert "(withheld)" in str(found)
        assert "--aibridge-prompt-access own" in str(found)
    assert (await get(api, ADMIN, "/audit", q="action:texts"))["count"] == 0


async def test_texts_that_no_row_can_be_written_for_arent_shown(api, add, say, database):
    say(add(ANN), "hello from ann")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE aibridged_audit RENAME TO away")
    error = await refused(api, ADMIN, "/interceptions")
    assert (error.kind.code, error.kind.status) == ("query_failed", 503)
    assert "the audit log can't be written" in error.message
    assert "hello from ann" in str(await get(api, ANN, "/interceptions"))


async def test_a_search_goes_on_with_its_cursor(api, add, say):
    for number in range(5):
        say(add(ANN, session=f"s-{number}"), "find me" if number != 2 else "other")
    pages, cursor = [], {}
    for _ in range(2):
        page = await get(api, ANN, "/sessions", q='text:"FIND ME"', limit=2, **cursor)
        cursor = {"search_cursor": page["search_cursor"]}
        pages.append(([each["id"] for each in page["sessions"]], page["more"]))
    assert pages == [(["s-4", "s-3"], True), (["s-1", "s-0"], False)]
    assert page["search_cursor"] is page["searched_until"] is None
    page = await get(api, ANN, "/interceptions", q='text:"find me"', limit=1)
    more = {"search_cursor": page["search_cursor"]}
    (found,) = (await get(api, ANN, "/interceptions", q="text:find", limit=1, **more))["results"]
    assert found["session_id"] == "s-3"
    assert (await get(api, BOB, "/sessions", q="text:find"))["sessions"] == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=text:a&offset=1", "use search_cursor"),
        ("q=min_cost:1&offset=1", "use search_cursor"),
        (f"q=text:{'x' * 257}", "1 to 256 characters"),
        ('q=text:""', "1 to 256 characters"),
        ("q=tool:a&search_cursor=nonsense", "no interception"),
    ],
)
async def test_what_cant_be_searched_for_is_refused(api, add, query, said):
    error = await refused(api, ANN, "/sessions", query)
    assert (error.kind.status, said in error.message) == (400, True)


async def test_a_search_that_ran_out_of_time_says_how_far_it_got(api, add, say, monkeypatch):
    for name in ("_FIRST", "_FEW", "_MOST"):
        monkeypatch.setattr("aibridged.records.search." + name, 2)
    monkeypatch.setattr(Query.search, "__defaults__", (0.0,))
    say(add(ANN), "find me")
    add(ANN)
    add(ANN)
    page = await get(api, ANN, "/interceptions", q="text:find")
    assert (page["results"], page["more"], page["count_is_exact"]) == ([], True, False)
    assert page["searched_until"] == "2026-01-01T00:00:02Z"
    page = await get(api, ANN, "/interceptions", q="text:find", search_cursor=page["search_cursor"])
    assert (len(page["results"]), page["more"]) == (1, False)


async def test_what_an_id_is(api, add):
    mine, of_bob = add(ANN, session="session-1"), add(BOB, session="session-2")
    assert await get(api, ANN, "/find", id=mine[:8]) == {
        "kind": "interception",
        "id": mine,
        "session_id": "session-1",
    }
    assert (await get(api, ANN, "/find", id="session-"))["kind"] == "session"
    assert (await get(api, ADMIN, "/find", id=of_bob))["session_id"] == "session-2"
    for id in (of_bob, "session-2", "nonsense", ""):
        assert (await refused(api, ANN, "/find", f"id={id}")).kind.status == 404
    assert "several ids" in (await refused(api, ADMIN, "/find", "id=session-")).message


async def test_users_are_offered_to_whom_they_may_be(api, add):
    add(ANN)
    add(BOB)
    assert await get(api, ADMIN, "/initiators") == ["ann", "bob"]
    assert await get(api, ADMIN, "/initiators", q="initiator:b") == ["bob"]
    assert await get(api, ANN, "/initiators") == ["ann"]
