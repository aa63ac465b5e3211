"""The page of running requests, as a browser without scripts has it, and its events."""

import asyncio
import json

import aiohttp
import pytest

from aibridged.api.live_feed import MAX_WATCHERS_EACH
from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import UserEdit
from tests.e2e.ui.browser import Browser, csrf

BODY = {
    "model": "<b>m-1\u202e</b>",
    "max_tokens": 9,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def database(sqlite_database):
    """One will do: the page has nothing of a database's own."""
    return sqlite_database


@pytest.fixture
def tokens(database, clock):
    """The tokens of an administrator and of two people."""
    store = TokenStore(database.engine, clock)
    found = {}
    for name in ("root", "ann", "bob"):
        store.create_user(name, is_admin=name == "root")
        found[name] = store.create_token(name, name="laptop", lifetime=None)[1].reveal()
    return found


@pytest.fixture
async def gateway(recording):
    return await recording.start(auth="token")


@pytest.fixture
async def sign_in(gateway, tokens):
    sessions = []

    async def sign_in(name):
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        sessions.append(session)
        browser = Browser(session, f"{gateway.url}/ui")
        await browser.sign_in(tokens[name])
        return browser

    yield sign_in
    for session in sessions:
        await session.close()


@pytest.fixture
async def running(gateway, fake, client, tokens):
    """A stream of ann's that doesn't go on."""
    fake.play(Script(stall_after=4))
    headers = {"X-Api-Key": tokens["ann"]}
    async with client.post(
        gateway.url + "/anthropic/v1/messages", json=BODY, headers=headers
    ) as response:
        await response.content.readany()
        yield response


async def test_a_person_sees_and_ends_their_own(sign_in, running):
    browser = await sign_in("ann")
    page = await browser.get("/live")
    assert "1 running request" in page.text
    assert "gets its response" in page.text
    assert "&lt;b&gt;m-1" in page.text
    assert "<b>m-1" not in page.text
    assert "\u202e" not in page.text
    id = page.text.partition('data-id="')[2].partition('"')[0]
    page = await browser.post("/live", csrf=csrf(page), id=id)
    assert (page.status, page.path) == (200, "/live")
    assert f"The request {id} is ended." in page.text
    assert b"You have ended this request" in await asyncio.wait_for(running.read(), 10)
    page = await browser.post("/live", csrf=csrf(page), id=id)
    assert page.status == 400
    assert "No request with this id" in page.text


async def test_others_do_not(sign_in, running):
    browser = await sign_in("bob")
    page = await browser.get("/live")
    assert "Nothing runs now" in page.text
    admin = await (await sign_in("root")).get("/live")
    id = admin.text.partition('data-id="')[2].partition('"')[0]
    page = await browser.post("/live", csrf=csrf(page), id=id)
    assert page.status == 400
    assert not running.content.at_eof()


async def test_an_administrator_ends_anybodys(sign_in, running):
    browser = await sign_in("root")
    page = await browser.get("/live?user=ann")
    assert "1 running request" in page.text
    assert "Show all" in (await browser.get("/live?user=bob")).text
    id = page.text.partition('data-id="')[2].partition('"')[0]
    await browser.post("/live", csrf=csrf(page), id=id)
    assert b"An administrator of the gateway has ended" in await asyncio.wait_for(
        running.read(), 10
    )
    audit = await browser.get("/audit?action=request")
    assert "ended the request" in audit.text


async def test_a_form_without_its_token_ends_nothing(sign_in, running):
    browser = await sign_in("ann")
    page = await browser.get("/live")
    id = page.text.partition('data-id="')[2].partition('"')[0]
    assert (await browser.post("/live", id=id)).status == 403
    assert not running.content.at_eof()


@pytest.mark.parametrize(("name", "count"), [("root", 1), ("ann", 1), ("bob", 0)])
async def test_the_page_follows_what_its_visitor_may_see(sign_in, running, name, count):
    browser = await sign_in(name)
    async with browser.session.get(f"{browser.root}/live/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        async with asyncio.timeout(10):
            assert (await response.content.readline()).strip() == b"event: snapshot"
            line = await response.content.readline()
    told = json.loads(line.removeprefix(b"data: "))
    assert (told["count"], len(told["requests"])) == (count, count)


def demote(store):
    store.edit_user("root", UserEdit(is_admin=False))


def suspend(store):
    store.suspend_user("root")


@pytest.mark.parametrize("change", [demote, suspend])
@pytest.mark.parametrize("root", ["/ui", "/api/v2/aibridge"])
async def test_who_loses_rights_is_told_no_more(
    sign_in, gateway, tokens, running, database, clock, root, change
):
    browser = await sign_in("root")
    headers = {"X-Coder-Token": tokens["root"]} if root != "/ui" else {}
    url = f"{gateway.url}{root}/live/events"
    async with browser.session.get(url, headers=headers) as response:
        await response.content.readline()
        change(TokenStore(database.engine, clock))
        clock.advance(90)  # the cache of tokens forgets it
        async with asyncio.timeout(5):
            await response.content.read()


async def test_asking_for_the_head_alone_is_no_watch(gateway, client, tokens):
    headers = {"Authorization": f"Bearer {tokens['ann']}"}
    url = f"{gateway.url}/api/v2/aibridge/live/events"
    for _ in range(MAX_WATCHERS_EACH + 1):
        async with client.head(url, headers=headers) as response:
            assert response.status == 200


async def test_strangers_are_asked_to_sign_in(gateway, running, client):
    for path in ("/live", "/live/events"):
        async with client.get(f"{gateway.url}/ui{path}") as response:
            assert response.url.path.endswith("/sign-in")
