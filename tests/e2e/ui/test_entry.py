"""Signing in to the page: who is let in, how far, and for how long."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from aibridged.config.secret import Secret
from aibridged.identity.tokens import TokenStore
from aibridged.ui.session import IDLE_S
from tests.e2e.ui.browser import Browser, csrf


@pytest.fixture
def store(database, clock):
    return TokenStore(database.engine, clock)


@pytest.fixture
def token(store):
    store.create_user("ann", is_admin=True)
    return store.create_token("ann", name="laptop", lifetime=None)[1].reveal()


@pytest.fixture
async def gateway(start_gateway, database):
    url = database.url.render_as_string(hide_password=False)
    return await start_gateway(
        auth="token",
        state_dir=database.state_dir,
        postgres_url=None if database.is_sqlite else Secret(url),
    )


@pytest.fixture
async def browser(gateway) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, f"{gateway.url}/ui")


async def test_a_token_on_the_form_signs_in_and_leads_back(browser, token):
    page = await browser.get("/?by=day")
    assert page.path.startswith("/sign-in")
    page = await browser.sign_in("aib_wrong")
    assert (page.status, "not whole" in page.text) == (401, True)
    page = await browser.sign_in(token)
    assert (page.status, page.path) == (200, "/")
    assert "ann" in page.text
    assert token not in page.text


async def test_signing_out_ends_it_for_copies_of_the_cookie_too(browser, token):
    page = await browser.sign_in(token)
    copied = {name: morsel.value for name, morsel in _cookies(browser).items()}
    await browser.post("/sign-out", csrf=csrf(page))
    assert (await browser.get("/")).path.startswith("/sign-in")
    browser.session.cookie_jar.update_cookies(copied)
    assert (await browser.get("/")).path.startswith("/sign-in")


async def test_it_ends_with_its_token_and_when_it_is_idle(browser, store, token, clock):
    await browser.sign_in(token)
    clock.advance(IDLE_S + 1)
    assert (await browser.get("/")).path.startswith("/sign-in")
    await browser.sign_in(token)
    store.suspend_user("ann")
    clock.advance(61)  # the cache of tokens forgets it
    assert (await browser.get("/")).path.startswith("/sign-in")


async def test_forms_of_other_sites_and_without_their_token_are_refused(browser, token):
    page = await browser.sign_in(token)
    other = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    page = await browser.post("/sign-out", headers=other, csrf=csrf(page))
    assert page.status == 403
    await browser.post("/sign-out", csrf="x")
    assert (await browser.get("/")).path == "/"


async def test_paths_that_lead_elsewhere_are_forgotten(browser, token):
    page = await browser.post("/sign-in", token=token, to="//evil.example/")
    assert page.path == "/"


def _cookies(browser: Browser):
    return browser.session.cookie_jar.filter_cookies(URL(browser.root))
