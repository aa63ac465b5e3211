"""Budgets in a browser without a screen: administrators change them, people see their own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from aibridged.identity.groups import GroupStore
from aibridged.identity.tokens import TokenStore
from tests.e2e.ui.browser import Browser, csrf
from tests.e2e.ui.test_overview import shown

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
async def browsers(start_gateway, database, clock) -> AsyncIterator[dict[str, Browser]]:
    """Those of root, who is an administrator, and of ann; both are signed in."""
    store = TokenStore(database.engine, clock)
    GroupStore(database.engine, clock).create("dev")
    gateway = await start_gateway(auth="token", state_dir=database.state_dir)
    found = {}
    async with AsyncExitStack() as stack:
        for name in ("root", "ann"):
            store.create_user(name, is_admin=name == "root")
            token = store.create_token(name, name="", lifetime=None)[1].reveal()
            session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
            found[name] = Browser(await stack.enter_async_context(session), f"{gateway.url}/ui")
            await found[name].sign_in(token)
        yield found


async def test_limits_are_set_changed_and_removed(browsers, database, clock):
    root = browsers["root"]
    page = await root.get("/budgets")
    assert "There are no spend limits yet" in shown(page)
    secret = csrf(page)

    async def post(**form):
        clock.advance(1)  # a visitor may ask ten queries a second
        return await root.post("/budgets", csrf=secret, **form)

    limit = {"do": "set", "scope": "user", "name": "ann", "period": "daily"}
    page = await post(**limit, amount="$1,250.50")
    assert (page.status, page.path) == (200, "/budgets")
    assert "The daily limit of ann is $1,250.50 now." in shown(page)
    for scope, name, amount in (
        ("organization", "", "20"),
        ("rbac_group", "dev", "5"),
        ("group_pool", "dev", "0"),
    ):
        page = await post(do="set", scope=scope, name=name, period="weekly", amount=amount)
        assert page.status == 200, shown(page)
    assert "each in dev" in shown(page)
    assert "pool of dev" in shown(page)
    assert "by root" in shown(page)
    page = await post(**limit, unlimited="yes", whose="Ann A.")
    assert "The daily limit of Ann A. is unlimited now." in shown(page)

    own = await browsers["ann"].get("/budgets")
    assert "unlimited" in shown(own)
    assert "Set a limit" not in shown(own)
    assert "dev" not in shown(own)

    (id,) = [each for each in page.text.split("remove=") if each.startswith("spl_")][:1]
    id = id.split('"')[0]
    asked = await root.get(f"/budgets?remove={id}")
    assert "Remove the" in shown(asked)
    page = await post(do="remove", id=id)
    assert "The limit is removed." in shown(page)
    assert id not in page.text
    with database.engine.connect() as connection:
        actions = connection.exec_driver_sql(
            "SELECT action, actor FROM aibridged_audit WHERE action LIKE 'spend_limit%' ORDER BY id"
        ).all()
    assert actions == [("spend_limit.upsert", "root")] * 5 + [("spend_limit.delete", "root")]


async def test_what_is_wrong_is_said_and_what_was_typed_stays(browsers, clock):
    root = browsers["root"]
    secret = csrf(await root.get("/budgets"))
    whole = {"do": "set", "scope": "user", "name": "ann", "period": "daily", "amount": "1"}
    for change, said in (
        ({"name": "anna"}, "There is no user"),
        ({"amount": "a lot"}, "in dollars and whole cents"),
        ({"amount": "0.001"}, "in dollars and whole cents"),
        ({"amount": "-1"}, "in dollars and whole cents"),
        ({"amount": "1e999999"}, "in dollars and whole cents"),
        ({"amount": "9" * 15}, "A spend limit is from"),
        ({"period": "hourly"}, "period is one of"),
        ({"scope": "planet"}, "scope.type is one of"),
        ({"do": "remove", "id": "spl_none"}, "no spend limit"),
        ({"do": "dance"}, "Nothing was to be done"),
    ):
        clock.advance(1)
        page = await root.post("/budgets", csrf=secret, **{**whole, **change})
        assert (page.status, said in shown(page)) == (400, True), (change, shown(page)[:300])
        assert f'value="{change.get("name", "ann")}"' in page.text


async def test_others_than_administrators_change_nothing(browsers):
    ann = browsers["ann"]
    secret = csrf(await ann.get("/"))
    form = {"do": "set", "scope": "organization", "period": "daily", "amount": "1"}
    page = await ann.post("/budgets", csrf=secret, **form)
    assert page.status == 403
    assert "No spend limit counts for you" not in shown(page)
    assert "There are no" in shown(await browsers["root"].get("/budgets"))
