"""The HTTP API of spend limits over a socket, on both databases."""

import aiohttp
import pytest

from aibridged.api.spend_limits import MAX_BODY, ROOT, SpendLimitApi
from aibridged.core.budgets import CENT
from aibridged.errors import GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.groups import GroupStore
from aibridged.identity.spend_limits import SpendLimitStore
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema, spend
from aibridged.records.query import Query
from aibridged.transport.refusal import refusal
from tests.socket_fixtures import listening
from tests.viewers import EVERYTHING

ADMIN = Actor("00000000-0000-4000-8000-000000000001", "root", is_admin=True)
ANN = Actor("00000000-0000-4000-8000-00000000000a", "ann")
NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
async def api(database, clock):
    """Asks, and counts the changes; `api.actor` is who does."""

    class Asking:
        actor = ADMIN
        changes = 0

        def changed(self):
            self.changes += 1

        async def __call__(self, method, path="", json=None, status=200, **more):
            async with client.request(method, url + ROOT + path, json=json, **more) as response:
                assert response.status == status, await response.text()
                return await response.json() if method != "HEAD" else None

        async def failure(self, method, path="", json=None, status=400, **more):
            said = await self(method, path, json, status, **more)
            return said["error"]["message"]

    asking = Asking()

    async def serve(request):
        try:
            return await made(request, asking.actor, request.rel_url.raw_query_string, b"")
        except GatewayError as error:
            return refusal(error)

    def store(actor):
        return SpendLimitStore(database.engine, clock, spend, actor)

    made = SpendLimitApi(Query(database.engine, clock, EVERYTHING), clock, store, asking.changed)
    async with listening(serve) as url, aiohttp.ClientSession() as client:
        yield asking
    made.close()


@pytest.fixture
def people(database, clock):
    """Ann and bob are in the group dev; their ids and the group's, by name."""
    tokens = TokenStore(database.engine, clock)
    made = {
        name: tokens.create_user(name, email=f"{name}@example.com").id for name in ("ann", "bob")
    }
    groups = GroupStore(database.engine, clock)
    made["dev"] = groups.create("dev").id
    groups.add("dev", ["ann", "bob"])
    made["token"] = tokens.create_token("ann", name="ci", lifetime=None)[0].id
    return made


def user(id):
    return {"type": "user", "user_id": id}


async def test_a_limit_is_made_replaced_read_and_deleted(api, people, clock):
    scope = user(people["ann"])
    made = await api("POST", json={"scope": scope, "amount": "5000", "period": "monthly", "new": 1})
    id = made["id"]
    assert made == {
        "type": "spend_limit",
        "id": id,
        "created_at": NOW,
        "updated_at": NOW,
        "scope": scope,
        "amount": "5000",
        "currency": "USD",
        "period": "monthly",
    }
    clock.advance(60)
    replaced = await api("POST", json={"scope": scope, "amount": None, "period": "monthly"})
    later = {"amount": None, "updated_at": "2026-01-01T00:01:00Z"}
    assert replaced == made | later == await api("GET", f"/{id}?beta=true")
    await api("HEAD", f"/{id}")
    gone = await api("DELETE", f"/{id}")
    assert gone == {"type": "spend_limit_deleted", "id": id}
    assert api.changes == 3
    for method in ("GET", "DELETE"):
        said = await api(method, f"/{id}", status=404)
        assert (said["type"], said["error"]["type"]) == ("error", "not_found_error")


async def test_every_scope_has_its_id(api, people):
    scopes = [
        {"type": "organization"},
        {"type": "rbac_group", "rbac_group_id": people["dev"]},
        {"type": "group_pool", "group_id": people["dev"]},
        user(people["ann"]),
        {"type": "token", "token_id": people["token"]},
    ]
    for scope in scopes:
        made = await api("POST", json={"scope": scope, "amount": "0", "period": "daily"})
        assert made["scope"] == scope
    listed = await api("GET", "?scope_type=group_pool")
    assert [each["scope"] for each in listed["data"]] == [scopes[2]]
    assert "users list" in await api.failure(
        "POST", json={"scope": user("nobody"), "amount": "1", "period": "daily"}
    )
    assert "$1,000,000,000.00" in await api.failure(
        "POST", json={"scope": scopes[0], "amount": "9" * 18, "period": "daily"}
    )


async def test_lists_come_in_pages(api, people, clock):
    ids = []
    for period in ("daily", "weekly", "monthly"):
        clock.advance(1)
        scope = {"type": "organization"}
        made = await api("POST", json={"scope": scope, "amount": "1", "period": period})
        ids.insert(0, made["id"])

    async def page(query):
        found = await api("GET", query)
        shown = [each["id"] for each in found["data"]]
        assert (found["first_id"], found["last_id"]) == (
            (shown[0], shown[-1]) if shown else (None, None)
        )
        return shown, found["has_more"]

    assert await page("") == (ids, False)
    assert await page("?limit=2") == (ids[:2], True)
    assert await page(f"?limit=2&after_id={ids[1]}") == (ids[2:], False)
    assert await page(f"?limit=1&before_id={ids[2]}") == ([ids[1]], True)
    assert await page(f"?limit=2&before_id={ids[2]}") == (ids[:2], False)
    assert "first page" in await api.failure("GET", "?after_id=spl_gone")
    assert "exclusive" in await api.failure("GET", f"?after_id={ids[0]}&before_id={ids[1]}")
    assert "from 1 to 1000" in await api.failure("GET", "?limit=0")


async def test_what_counts_for_each_person_and_what_they_have_spent(api, people, database, clock):
    for scope, amount in (
        ({"type": "organization"}, "100"),
        ({"type": "rbac_group", "rbac_group_id": people["dev"]}, "200"),
        (user(people["ann"]), None),
    ):
        await api("POST", json={"scope": scope, "amount": amount, "period": "monthly"})
    stranger = "00000000-0000-4000-8000-0000000000ff"
    with database.engine.begin() as connection:
        for id, nanos in ((people["bob"], 12 * CENT + CENT // 4), (stranger, 3 * CENT)):
            row = {"subject": f"user:{id}", "day": clock.wall().date(), "spent_nanos": nanos}
            connection.execute(schema.spend.insert().values(**row, reserved_nanos=7))
    found = await api("GET", "/effective?period[]=monthly&sort=spend_desc")
    assert found["next_page"] is None
    bob, strange, ann = found["data"]
    assert bob["spend_limit_id"].startswith("spl_")
    assert bob == {
        "scope": user(people["bob"]),
        "groups": [{"rbac_group_id": people["dev"], "name": "dev"}],
        "actor": {
            "type": "user_actor",
            "user_id": people["bob"],
            "name": "bob",
            "email_address": "bob@example.com",
            "deleted": False,
        },
        "amount": "200",
        "currency": "USD",
        "period": "monthly",
        "source": {"type": "rbac_group", "rbac_group_id": people["dev"]},
        "spend_limit_id": bob["spend_limit_id"],
        "period_to_date_spend": "12.25",
    }
    assert (ann["amount"], ann["source"], ann["period_to_date_spend"]) == (
        None,
        {"type": "user"},
        "0",
    )
    assert (strange["actor"]["user_id"], strange["amount"]) == (stranger, "100")
    assert strange["actor"]["name"] is None
    everything = await api("GET", "/effective")
    assert len(everything["data"]) == 9
    daily = [each for each in everything["data"] if each["period"] == "daily"]
    assert {(each["source"], each["spend_limit_id"]) for each in daily} == {(None, None)}


async def test_people_are_filtered_and_come_in_pages(api, people):
    found, page = [], "0"
    while page is not None:
        each = await api("GET", f"/effective?limit=4&page={page}")
        found += [(row["actor"]["name"], row["period"]) for row in each["data"]]
        page = each["next_page"]
    periods = ("daily", "weekly", "monthly")
    assert found == [(name, period) for name in ("ann", "bob") for period in periods]

    async def names(query):
        rows = (await api("GET", f"/effective?period[]=daily&{query}"))["data"]
        return [row["actor"]["name"] for row in rows]

    assert await names("q=BOB@ex") == ["bob"]
    assert await names(f"user_ids[]={people['ann']}") == ["ann"]
    assert len(await names(f"user_ids[]={people['ann']}&user_ids[]={people['bob']}")) == 2
    assert "sort is spend_desc" in await api.failure("GET", "/effective?sort=name")
    assert "period is one of" in await api.failure("GET", "/effective?period[]=yearly")


async def test_who_changed_what(api, people, clock):
    scope = {"type": "rbac_group", "rbac_group_id": people["dev"]}
    made = await api("POST", json={"scope": scope, "amount": "5", "period": "daily"})
    await api("POST", json={"scope": scope, "amount": None, "period": "daily"})
    await api("DELETE", f"/{made['id']}")
    newest = await api("GET", "/audit?limit=2")
    state = {"scope": scope, "amount": "5", "period": "daily", "currency": "USD"}
    gone, replaced = newest["data"]
    assert replaced == {
        "type": "audit_event",
        "id": replaced["id"],
        "created_at": NOW,
        "actor": {"name": "root"},
        "action": "spend_limit.upsert",
        "target_id": made["id"],
        "before": state,
        "after": state | {"amount": None},
        "reason": None,
    }
    assert (gone["action"], gone["after"]) == ("spend_limit.delete", None)
    assert newest["has_more"]
    rest = await api("GET", f"/audit?after_id={newest['last_id']}")
    assert [(each["before"], each["after"]) for each in rest["data"]] == [(None, state)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_is_refused(api, people):
    assert "Use DELETE, GET, HEAD" in await api.failure("PUT", "/spl_x", status=405)
    assert await api.failure("GET", "/nothing", status=404)
    assert await api.failure("GET", "/spl_x/more", status=404)
    large = b'{"scope": "' + b"x" * MAX_BODY + b'"}'
    assert "larger than" in await api.failure("POST", status=413, data=large)
    api.actor = ANN
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/effective"), ("DELETE", "/spl_x")):
        said = await api(method, path, status=403)
        assert said["error"]["type"] == "permission_error"
