"""The overview in a browser without a screen, of a gateway that has served requests."""

import re
from collections.abc import AsyncIterator
from html import unescape
from urllib.parse import urlencode
from xml.etree import ElementTree

import aiohttp
import pytest

from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore
from aibridged.records import refusals, schema
from tests.e2e.ui.browser import Browser
from tests.waiting import until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

MESSAGES = "/anthropic/v1/messages"
HOSTILE = '<img src=x onerror="alert(1)">\u202e'


@pytest.fixture
def tokens(database, clock):
    """A token each of root, who is an administrator, and of ann."""
    store = TokenStore(database.engine, clock)
    found = {}
    for name in ("root", "ann"):
        store.create_user(name, is_admin=name == "root")
        found[name] = store.create_token(name, name="", lifetime=None)[1].reveal()
    return found


@pytest.fixture
async def gateway(start_gateway, database):
    return await start_gateway(
        auth="token",
        state_dir=database.state_dir,
        circuit_breaker_enabled=True,
        circuit_breaker_failure_threshold=2,
        shutdown_timeout=5.0,
    )


@pytest.fixture
async def visit(gateway, tokens, clock) -> AsyncIterator[object]:
    """Visits a page in the name of a person."""
    open_browsers = {}

    async def visit(who, path="/"):
        if who not in open_browsers:
            jar = aiohttp.CookieJar(unsafe=True)
            session = aiohttp.ClientSession(cookie_jar=jar)
            open_browsers[who] = Browser(session, f"{gateway.url}/ui")
            await open_browsers[who].sign_in(tokens[who])
        clock.advance(1)  # a visitor may ask ten queries a second
        return await open_browsers[who].get(path)

    yield visit
    for browser in open_browsers.values():
        await browser.session.close()


@pytest.fixture
def ask(gateway, client, tokens):
    """Sends a request to the provider; returns its status."""

    async def ask(who="ann", model="claude-haiku-4-5"):
        body = {
            "model": model,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
        }
        headers = {"X-Coder-Token": tokens[who]}
        async with client.post(gateway.url + MESSAGES, json=body, headers=headers) as response:
            await response.read()
            return response.status

    return ask


def shown(page):
    """The text of a page, as it is read."""
    main = page.text[page.text.index("<main") :]
    text = re.sub(r"<(title|desc)[^>]*>.*?</\1>|<[^>]+>", " ", main, flags=re.DOTALL)
    return " ".join(unescape(text).split())


def pictures(page):
    found = re.findall(r'<svg class="chart".*?</svg>', page.text, re.DOTALL)
    return [ElementTree.fromstring(each) for each in found]


async def test_a_fresh_gateway_says_what_to_do_next(visit):
    page = await visit("root")
    assert page.status == 200
    assert "No request is on record yet. Connect an agent" in shown(page)
    assert 'href="/ui/me"' in page.text
    assert pictures(page) == []


async def test_what_was_used_is_shown_to_admins_and_to_those_who_used_it(visit, ask, database):
    for who, model in (("ann", "claude-haiku-4-5"), ("ann", HOSTILE), ("root", "claude-haiku-4-5")):
        assert await ask(who, model) == 200
    await until(lambda: len(database.rows(schema.token_usages)) == 3)
    page = await visit("root", "/?period=week&by=user")
    text = shown(page)
    assert page.status == 200
    assert "Requests 3" in text
    assert len(pictures(page)) == 5
    assert 'href="/ui/sessions?initiator=ann&amp;started_after=2025-12-26' in page.text
    assert "style=" not in page.text
    own = await visit("ann", "/?by=user")
    assert "Requests 2" in shown(own)
    assert "root" not in shown(own)
    split = await visit("root", "/?by=model&person=ann")
    assert "person: ann" in shown(split)
    assert "<img src=x" not in split.text
    assert "\u202e" not in split.text
    assert "has no price" in shown(split)


async def test_what_was_asked_for_wrongly_is_said_beside_the_form(visit, ask):
    await ask()
    for path, said in (
        ("/?period=year", "'year' is not a period"),
        ("/?by=token", "'token' is not a dimension"),
        ("/?from=2026-01-01&to=2025-01-01", "The range is empty"),
        ("/?to=2026-01-01", "period and a time range are mutually exclusive"),
    ):
        page = await visit("root", path)
        assert (page.status, said in shown(page)) == (400, True), (path, shown(page))
        assert "Apply" in shown(page)


async def test_no_value_becomes_another_term(visit, ask):
    await ask()
    for value in ('a"b', 'a" period:"x'):
        assert (await visit("root", f"/?{urlencode({'model': value})}")).status == 200, value


async def test_what_is_wrong_is_on_top_for_admins(visit, ask, fake, database, clock):
    await ask()
    fake.play(Script(status=401))
    assert await ask() == 401
    fake.play(*[Script(status=529)] * 2)
    for _ in range(2):
        assert await ask() == 529
    with database.engine.connect() as connection:
        (ann,) = connection.exec_driver_sql(
            "SELECT id FROM aibridged_users WHERE username = 'ann'"
        ).one()
    refusals.add(database.engine, {(clock.wall().date(), ann, "rate_limited"): 3})
    page = await visit("root")
    text = shown(page)
    assert "Needs attention" in text
    assert "The provider anthropic refuses the gateway's key" in text
    assert "circuit of anthropic" in text
    assert "3 requests were refused on 2026-01-01: ann rate limited ×3" in text
    own = shown(await visit("ann"))
    assert "refuses the gateway's key" not in own
    assert "3 requests were refused" in own


async def test_problems_are_for_admins(gateway, client, tokens):
    url = f"{gateway.url}/api/v2/aibridge/overview/problems"
    for who, status in (("root", 200), ("ann", 403)):
        async with client.get(url, headers={"X-Coder-Token": tokens[who]}) as response:
            assert response.status == status
            found = await response.json()
    assert found["error"]["code"] == "admin_required"
