"""`GET /overview` and `/budgets` as the pages ask for them, on both databases."""

import pytest

from aibridged.api import Api
from aibridged.errors import GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.looks import Looks
from aibridged.identity.user_store import UserStore
from aibridged.records import refusals
from aibridged.records.facts import InterceptionEnd, InterceptionStart, Outcome, TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.store import Store
from aibridged.records.viewer import NO_TEXTS

ADMIN = Actor("00000000-0000-4000-8000-000000000001", "admin", is_admin=True)
BOB = Actor("00000000-0000-4000-8000-00000000000b", "bob")
CID = Actor("00000000-0000-4000-8000-00000000000c", "cid")
DAY = 86_400
NOTHING = {
    "interceptions": 0,
    "failed": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_write_input_tokens": 0,
    "cached_share": None,
    "cost": None,
    "cost_label": None,
}


@pytest.fixture
def ask(database, clock):
    api = Api(Query(database.engine, clock, NO_TEXTS), clock, Looks(database.engine, clock))

    async def ask(actor=ADMIN, path="/overview", **parameters):
        clock.advance(1)
        return await api.ask(actor, "GET", path, parameters)

    yield ask
    api.close()


@pytest.fixture
def ann(database, clock):
    user = UserStore(database.engine, clock).create_user("ann")
    return Actor(user.id, "ann")


@pytest.fixture
def add(database, clock):
    store = Store(database.engine)
    store.connect()

    def add(actor, model="claude", cost=5 * 10**8, outcome=Outcome.COMPLETED):
        now = clock.wall()
        priced = {"cost_nanos": cost, "cost_label": "unpriced" if cost is None else "exact"}
        start = InterceptionStart(
            id=uuid7(now),
            initiator_id=actor.id,
            username=actor.username,
            provider="anthropic",
            provider_name="anthropic",
            model=model,
            started_at=now,
        )
        own = {"interception_id": start.id}
        used = TokenUsageRecord(
            id=uuid7(now),
            created_at=now,
            input_tokens=3,
            cache_read_input_tokens=1,
            **own,
            **priced,
        )
        store.write([start], [])
        store.write([], [used, InterceptionEnd(ended_at=now, outcome=outcome, **own, **priced)])

    yield add
    store.close()


async def test_a_fresh_record_has_an_overview(ask):
    found = await ask()
    assert (found["period"], found["step"], found["by"]) == ("day", "hour", "model")
    assert len(found["times"]) == 24
    assert found["total"] == found["today"]["figures"] == NOTHING
    assert found["points"]["cost"] == ["0"] * 24
    assert found["series"] == found["unpriced"] == []
    assert found["before"] is found["first_at"] is found["today"]["usual"] is None
    assert found["refusals"]["count"] == 0


async def test_an_overview_tells_what_was_used_and_how_that_compares(ask, add, ann, clock):
    add(ann)
    clock.advance(8 * DAY)
    add(ann, outcome=Outcome.FAILED)
    add(BOB, "new", None)
    clock.advance(DAY)
    add(ann, "opus", 10**9)
    found = await ask(period="week")
    assert found["started_after"] == "2026-01-04T00:00:00Z"
    assert found["times"][0] == "2026-01-04T00:00:00Z"
    assert len(found["times"]) == len(found["points"]["failed"]) == 7
    assert found["total"] | {"cost": 0} == {
        **NOTHING,
        "interceptions": 3,
        "failed": 1,
        "input_tokens": 9,
        "cache_read_input_tokens": 3,
        "cached_share": 0.25,
        "cost": 0,
        "cost_label": "unpriced",
    }
    assert found["total"]["cost"] == "1.5"
    assert found["points"]["failed"] == [0, 0, 0, 0, 0, 1, 0]
    assert found["points"]["cost"][-2:] == ["0.5", "1"]
    assert [each["name"] for each in found["series"]] == ["opus", "claude", "new"]
    assert found["series"][0]["points"]["interceptions"][-2:] == [0, 1]
    assert found["before"] is None, "the record is younger"
    assert found["first_at"] == "2026-01-01T00:00:00Z"
    assert found["unpriced"] == [{"provider": "anthropic", "model": "new", "count": 1}]
    assert found["today"]["since"] == "2026-01-10T00:00:00Z"
    assert found["today"]["figures"]["cost"] == "1"
    assert found["today"]["usual"]["days"] == 9
    hours = await ask(q="started_after:2026-01-09T00:00:00Z started_before:2026-01-10T00:00:00Z")
    assert (hours["period"], hours["step"], hours["today"]) == ("own", "hour", None)
    assert hours["points"]["interceptions"] == [2, *[0] * 23]
    assert hours["before"] == NOTHING


async def test_others_than_admins_see_their_own(ask, add, ann, clock, database):
    add(ann)
    add(BOB, "secret", None)
    today = clock.wall().date()
    counts = {(today, ann.id, "rate_limited"): 2, (today, BOB.id, "budget_exceeded"): 3}
    refusals.add(database.engine, counts)
    everything = await ask(by="user")
    assert [each["name"] for each in everything["series"]] == ["ann", "bob"]
    assert everything["refusals"] == {
        "first_day": "2026-01-01",
        "last_day": "2026-01-01",
        "count": 5,
        "count_before": 0,
        "most": [
            {"reason": "budget_exceeded", "user": "bob", "count": 3},
            {"reason": "rate_limited", "user": "ann", "count": 2},
        ],
    }
    own = await ask(ann, by="user")
    assert [each["name"] for each in own["series"]] == ["ann"]
    assert own["total"]["interceptions"] == 1
    assert [each["user"] for each in own["refusals"]["most"]] == ["ann"]
    assert own["refusals"]["count"] == 2
    assert own["unpriced"] == []
    assert (await ask(CID))["first_at"] is None, "nothing of theirs is on record"
    others = await ask(ann, q="initiator:bob")
    assert others["total"]["interceptions"] == 0
    assert (await ask(q="model:claude"))["refusals"] is None, "these have no model"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"by": "day"}, "'day' is not a dimension"),
        ({"period": "year"}, "'year' is not a period"),
        ({"q": "session_id:x"}, "'session_id' is not a filter"),
        ({"period": "day", "q": "started_after:2026-01-01"}, "mutually exclusive"),
    ],
)
async def test_what_is_no_overview(ask, parameters, said):
    with pytest.raises(GatewayError, match=said):
        await ask(**parameters)
