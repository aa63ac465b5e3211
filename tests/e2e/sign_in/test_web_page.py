"""Signing in to the web page at the identity provider, and how that ends."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from aibridged.identity.sign_ins import SignInStore

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


async def leave(browser, to=""):
    """The provider's URL to which the button leads."""
    query = f"?to={to}" if to else ""
    reply = await browser.get(f"/ui/sign-in/provider{query}", headers=SAME_SITE)
    assert reply.status == 303, reply.shown
    return reply.headers["Location"]


async def arrive(browser, location, username="ann"):
    """Sign in there; the last of the pages that follow."""
    reply = await browser.get(await browser.at_provider(location, username))
    while reply.status == 303:
        reply = await browser.get(reply.headers["Location"])
    return reply


@pytest.fixture
def sign_in_to_page(browser):
    async def sign_in_to_page(username="ann", to=""):
        return await arrive(browser, await leave(browser, to), username)

    return sign_in_to_page


async def test_the_button_leads_to_the_provider_and_back_to_what_was_asked_for(
    browser, sign_in_to_page
):
    asked = await browser.get("/ui/nothing?x=1")
    assert asked.status == 303
    form = await browser.get(asked.headers["Location"])
    assert "Sign in with OpenID Connect" in form.shown
    button = re.search(r'href="/ui(/sign-in/provider[^"]*)"', form.text)[1]
    to = parse_qs(urlsplit(button).query)["to"][0]
    assert to == "/nothing?x=1"
    page = await sign_in_to_page(to=to)
    assert (page.status, "ann" in page.shown) == (404, True)
    assert sorted(browser.cookies) == ["aibridged-page"]  # neither trip nor arrival is left
    assert (await browser.get("/ui/sign-in")).headers["Location"] == "/ui/"


@pytest.mark.parametrize("how", ["suspend", "sign out"])
async def test_it_ends_when_the_person_is_suspended_or_signed_out(
    browser, sign_in_to_page, store, sqlite_database, clock, how
):
    await sign_in_to_page()
    if how == "suspend":
        store.suspend_user("ann")
    else:
        SignInStore(sqlite_database.engine, clock, bearer_ttl=1).sign_out("ann", actor="root")
    assert (await browser.get("/ui/")).headers["Location"] == "/ui/sign-in"


async def test_it_ends_when_the_provider_no_longer_vouches(
    browser, sign_in_to_page, provider, clock
):
    await sign_in_to_page()
    clock.advance(1800)
    assert (await browser.get("/ui/")).status == 200
    provider.disable("ann")
    clock.advance(1801)  # bearers are refreshed as often
    assert (await browser.get("/ui/")).headers["Location"].startswith("/ui/sign-in")


async def test_a_provider_that_is_away_lets_nobody_in_and_signs_nobody_out(
    browser, sign_in_to_page, provider, clock
):
    await sign_in_to_page()
    clock.advance(1800)
    await browser.get("/ui/")
    clock.advance(1801)
    await provider.away()
    page = await browser.get("/ui/")
    assert (page.status, page.headers["Retry-After"]) == (503, "5")
    await provider.back()
    assert (await browser.get("/ui/")).status == 200


async def test_signing_out_ends_the_sign_in_for_copies_of_the_cookie_too(browser, sign_in_to_page):
    page = await sign_in_to_page()
    copied = dict(browser.cookies)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    url = f"{browser.url}/ui/sign-out"
    async with browser.session.post(url, data={"csrf": csrf}, headers=SAME_SITE) as response:
        assert response.status == 200
    assert browser.cookies == {}
    browser.session.cookie_jar.update_cookies(copied)
    assert (await browser.get("/ui/")).status == 303


async def test_another_browser_cannot_finish_it(browser, new_browser, gateway):
    back = await browser.at_provider(await leave(browser), "ann")
    stranger = new_browser(gateway)
    page = await stranger.get(back)
    assert (page.status, "not started here" in page.shown) == (400, True)
    assert stranger.cookies == {}


async def test_other_sites_cannot_start_it(browser):
    reply = await browser.get("/ui/sign-in/provider", headers={"Sec-Fetch-Site": "cross-site"})
    assert (reply.status, browser.cookies) == (200, {})


async def test_a_device_session_is_none_of_the_page(browser, sign_in):
    """Who has connected a device once isn't signed in to the page for a day."""
    await sign_in("ann")
    assert (await browser.get("/ui/")).status == 303


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
async def test_it_leads_to_no_other_site(browser, sign_in_to_page, to):
    page = await arrive(browser, await leave(browser, to))
    assert page.status == 200


async def test_what_goes_wrong_there_leads_back_to_the_page(browser, provider):
    location = await leave(browser)
    state = parse_qs(urlsplit(location).query)["state"][0]
    page = await browser.get(f"/oauth/callback?state={state}&error=access_denied")
    assert page.status == 403
    assert 'href="/ui/sign-in"' in page.text
    assert browser.cookies == {}
