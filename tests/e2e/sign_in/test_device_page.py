"""The page on which a device is confirmed, and the attacks on it."""

import re
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from yarl import URL

from aibridged.config.options import PolicySettings
from aibridged.config.secret import Secret
from aibridged.identity.memberships import Memberships
from aibridged.sign_in import components
from aibridged.sign_in.components import GUESS_PERIOD_S
from tests.e2e.sign_in.conftest import SAME_ORIGIN, SigningIn, free_port

GUESSES = 5
QUESTION = "Does this match your device?"


@pytest.fixture(autouse=True)
def _few_guesses(monkeypatch):
    monkeypatch.setattr(components, "GUESSES", GUESSES)


async def is_pending(gateway, codes, clock):
    clock.advance(60)
    return (await gateway.poll(codes)).json["error"] == "authorization_pending"


async def test_a_code_in_a_link_is_shown_and_never_submitted(gateway, browser, provider, clock):
    codes = await gateway.start()
    page = await browser.get(codes["verification_uri_complete"])
    assert page.status == 200
    assert QUESTION in page.shown
    assert codes["user_code"] in page.shown
    assert "Claude Code 2.1.332" in page.shown
    assert "127.0.0.1" in page.shown
    assert "authorize" not in provider.counts()
    assert await is_pending(gateway, codes, clock)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"form-action 'self' {provider.issuer}" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_code_that_is_typed_gets_the_same_question(gateway, browser, provider):
    codes = await gateway.start()
    page = await browser.get("/device")
    assert "Code that your device shows" in page.shown
    page = await browser.post({"user_code": codes["user_code"].lower().replace("-", " ")})
    assert QUESTION in page.shown
    assert codes["user_code"] in page.shown
    assert "authorize" not in provider.counts()


async def test_whoever_is_signed_in_is_asked_all_the_same_and_needs_no_more(
    gateway, browser, sign_in, provider, clock
):
    await sign_in()
    before = provider.counts()
    codes = await gateway.start()
    page = await browser.get(codes["verification_uri_complete"])
    assert QUESTION in page.shown
    assert "ann@example.com" in page.shown
    assert await is_pending(gateway, codes, clock)
    page = await browser.answer(codes["user_code"])
    assert "You're signed in" in page.shown
    assert provider.counts()["authorize"] == before["authorize"]
    # But the provider is asked whether she may still.
    assert provider.counts()["token"] == before["token"] + 1
    tokens = (await gateway.poll(codes)).json
    assert tokens["email"] == "ann@example.com"


async def test_a_browser_of_somebody_who_was_disabled_is_no_longer_signed_in(
    gateway, browser, sign_in, provider
):
    await sign_in()
    provider.disable("ann")
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    assert left.status == 303
    assert left.headers["Location"].startswith(provider.issuer)


async def test_a_browsers_session_has_an_end(signing_in, new_browser, provider, clock):
    gateway = await signing_in(session_duration=3600.0)
    browser = new_browser(gateway)
    codes = await gateway.start()
    await browser.confirm(codes["user_code"], "ann")
    clock.advance(3600)
    codes = await gateway.start()
    page = await browser.get(codes["verification_uri_complete"])
    assert "ann@example.com" not in page.shown
    assert (await browser.answer(codes["user_code"])).status == 303


async def test_another_account_can_be_chosen(gateway, browser, sign_in, provider):
    await sign_in("ann")
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"], "other")
    assert parse_qs(urlsplit(left.headers["Location"]).query)["prompt"] == ["login"]
    assert "aibridged-session" not in browser.cookies
    await browser.get(await browser.at_provider(left.headers["Location"], "bob"))
    assert (await gateway.poll(codes)).json["email"] == "bob@example.com"


async def test_a_form_of_another_site_does_nothing(gateway, browser, sign_in, clock):
    """Cross-site request forgery, with a browser that is signed in."""
    await sign_in()
    codes = await gateway.start()
    for headers in (
        {},
        {"Origin": "https://evil.example.com"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example.com"},
    ):
        for answer in ("yes", "no", "other"):
            page = await browser.post({"user_code": codes["user_code"], "answer": answer}, headers)
            assert page.status == 403
            assert "Set-Cookie" not in page.headers
    assert await is_pending(gateway, codes, clock)


async def test_a_form_of_a_browser_that_says_its_origin_only(gateway, browser):
    codes = await gateway.start()
    form = {"user_code": codes["user_code"], "answer": "yes"}
    assert (await browser.post(form, {"Origin": gateway.url})).status == 303


async def test_wrong_codes_are_limited_for_an_address(browser, gateway, clock):
    codes = await gateway.start()
    for number in range(GUESSES):
        # A right one doesn't count.
        assert (await browser.get(codes["verification_uri_complete"])).status == 200
        wrong = "BBBB-BBBB" if number % 2 else "nonsense"
        assert (await browser.post({"user_code": wrong})).status == 400
    refused = await browser.answer(codes["user_code"])
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) == GUESS_PERIOD_S
    assert await is_pending(gateway, codes, clock)
    clock.advance(GUESS_PERIOD_S)
    codes = await gateway.start()
    assert (await browser.answer(codes["user_code"])).status == 303


async def test_somebody_who_is_signed_in_has_guesses_of_their_own(
    gateway, browser, sign_in, new_browser
):
    await sign_in()
    stranger = new_browser(gateway)
    for _ in range(GUESSES + 1):
        refused = await stranger.post({"user_code": "BBBB-BBBB"})
    assert refused.status == 429
    codes = await gateway.start()
    assert "You're signed in" in (await browser.answer(codes["user_code"])).shown
    for _ in range(GUESSES + 1):
        refused = await browser.post({"user_code": "BBBB-BBBB"})
    assert refused.status == 429


async def test_another_browser_gives_nobody_more_guesses(gateway, new_browser):
    """Neither does signing in again: a program can do that as often as it likes."""
    first, second = new_browser(gateway), new_browser(gateway)
    for browser in (first, second):
        page = await browser.confirm((await gateway.start())["user_code"], "ann")
        assert page.status == 200
    for _ in range(GUESSES):
        assert (await first.post({"user_code": "BBBB-BBBB"})).status == 400
    assert (await second.post({"user_code": "BBBB-BBBB"})).status == 429


async def test_a_code_is_accepted_ten_times(gateway, browser, clock):
    codes = await gateway.start()
    for _ in range(10):
        assert (await browser.get(codes["verification_uri_complete"])).status == 200
    assert (await browser.answer(codes["user_code"])).status == 400
    assert await is_pending(gateway, codes, clock)


async def test_codes_that_are_unknown_expired_or_used_look_the_same(gateway, browser, clock):
    """Nothing tells a guesser which codes there were."""
    expired, denied = await gateway.start(), await gateway.start()
    await browser.answer(denied["user_code"], "no")
    clock.advance(600)
    used = await gateway.start()
    await browser.confirm(used["user_code"], "ann")
    pages = {
        (reply.status, re.sub(code, "", reply.text))
        for code in (expired["user_code"], denied["user_code"], used["user_code"], "BBBB-BBBB")
        for reply in [await browser.post({"user_code": code})]
    }
    assert len(pages) == 1


async def test_pages_of_others_make_no_guesses(gateway, browser):
    """An image or a frame in another page would use up what its visitors may guess."""
    codes = await gateway.start()
    for number in range(GUESSES + 1):
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        headers["Sec-Fetch-Dest"] = "image" if number % 2 else "iframe"
        page = await browser.get("/device?user_code=BBBB-BBBB", headers=headers)
        assert QUESTION not in page.shown
    assert (await browser.get(codes["verification_uri_complete"])).status == 200


async def test_a_callback_is_for_the_browser_that_left(gateway, browser, new_browser, clock):
    """An attacker can't have somebody else finish, or begin, the attacker's sign-in."""
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann")
    victim = new_browser(gateway)
    page = await victim.get(back)
    assert page.status == 400
    assert "not started here" in page.shown
    others = await gateway.start()
    await victim.answer(others["user_code"])
    assert (await victim.get(back)).status == 400
    assert not any("session" in name for name in victim.cookies)
    assert await is_pending(gateway, codes, clock)
    assert "You're signed in" in (await browser.get(back)).shown


async def test_a_callback_counts_once(gateway, browser):
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    trip = browser.cookies
    back = await browser.at_provider(left.headers["Location"], "ann")
    assert (await browser.get(back)).status == 200
    assert not set(trip) & set(browser.cookies)
    assert (await browser.get(back)).status == 400
    # Nor with a copy of the cookie: the provider takes its code once.
    cookie = "; ".join(f"{name}={value}" for name, value in trip.items())
    replayed = await gateway.get(back.removeprefix(gateway.url), headers={"Cookie": cookie})
    assert replayed.status == 403
    assert "Set-Cookie" not in replayed.headers or "session" not in replayed.headers["Set-Cookie"]


async def test_a_changed_state_is_refused(gateway, browser):
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann")
    state = parse_qs(urlsplit(back).query)["state"][0]
    for changed in (state[:-1] + ("a" if state[-1] != "a" else "b"), "", state[:12]):
        assert (await browser.get(back.replace(state, changed))).status == 400


async def test_a_browser_that_takes_too_long_begins_again(gateway, browser, clock):
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann")
    clock.advance(600)
    assert (await browser.get(back)).status == 400


async def test_a_session_is_new_with_each_sign_in(gateway, browser, sign_in):
    """Session fixation: what the browser had before isn't what it has afterwards."""
    browser.session.cookie_jar.update_cookies({"aibridged-session": "fixed"}, URL(gateway.url))
    await sign_in()
    first = browser.cookies["aibridged-session"]
    assert first != "fixed"
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"], "other")
    await browser.get(await browser.at_provider(left.headers["Location"], "ann"))
    second = browser.cookies["aibridged-session"]
    assert second != first
    codes = await gateway.start()
    cookie = {"Cookie": f"aibridged-session={first}"}
    page = await gateway.get(f"/device?user_code={codes['user_code']}", headers=cookie)
    assert "ann@example.com" not in page.shown


async def test_a_session_signs_in_its_own_user_alone(gateway, browser, sign_in):
    """Whatever else the form says."""
    await sign_in("bob")
    codes = await gateway.start()
    form = {"user_code": codes["user_code"], "answer": "yes", "user": "ann", "user_id": "1"}
    await browser.post({**form, "email": "ann@example.com", "sign_in_id": "x", "subject": "x"})
    assert (await gateway.poll(codes)).json["email"] == "bob@example.com"


async def test_a_session_that_was_made_up_is_none(gateway, sign_in, clock):
    await sign_in()
    codes = await gateway.start()
    headers = {**SAME_ORIGIN, "Cookie": "aibridged-session=" + "A" * 80}
    form = {"user_code": codes["user_code"], "answer": "yes"}
    assert (await gateway.post("/device", form, headers=headers)).status == 303
    assert await is_pending(gateway, codes, clock)


async def test_no_page_leads_elsewhere(gateway, browser, provider):
    """No parameter makes an open redirect."""
    codes = await gateway.start()
    elsewhere = "https://evil.example.com/"
    names = ("next", "redirect_uri", "return_to", "url", "continue")
    query = "&".join(f"{name}={elsewhere}" for name in names)
    page = await browser.get(f"/device?user_code={codes['user_code']}&{query}")
    assert "evil" not in page.text
    form = {"user_code": codes["user_code"], "answer": "yes", **dict.fromkeys(names, elsewhere)}
    left = await browser.post(form)
    assert left.headers["Location"].startswith(f"{provider.issuer}/authorize?")
    assert "evil" not in left.headers["Location"]
    redirect_uri = parse_qs(urlsplit(left.headers["Location"]).query)["redirect_uri"]
    assert redirect_uri == [f"{gateway.url}/oauth/callback"]
    back = await browser.at_provider(left.headers["Location"], "ann")
    page = await browser.get(f"{back}&{query}")
    assert page.status == 200
    assert "evil" not in page.text
    assert "Location" not in page.headers


async def test_who_cancels_at_the_provider_refuses_the_device(gateway, browser):
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann", cancel=True)
    page = await browser.get(back + "&error_description=call-0800-evil")
    assert page.status == 403
    assert "cancelled" in page.shown
    assert "evil" not in page.text
    assert (await gateway.poll(codes)).json["error"] == "access_denied"


async def test_another_error_of_the_provider_leaves_the_device_waiting(gateway, browser, clock):
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    state = parse_qs(urlsplit(left.headers["Location"]).query)["state"][0]
    page = await browser.get(f"/oauth/callback?error=server_error&state={state}")
    assert page.status == 502
    assert await is_pending(gateway, codes, clock)


async def test_who_may_not_sign_in_is_told_why(signing_in, new_browser):
    gateway = await signing_in(oidc_email_domain=("example.org",))
    codes = await gateway.start()
    page = await new_browser(gateway).confirm(codes["user_code"], "ann")
    assert page.status == 403
    assert "Not signed in" in page.shown
    assert (await gateway.poll(codes)).json["error"] == "access_denied"


async def test_the_log_says_who_was_refused(signing_in, new_browser, log):
    gateway = await signing_in(oidc_allowed_groups=("staff",))
    await new_browser(gateway).confirm((await gateway.start())["user_code"], "ann")
    await new_browser(gateway).confirm((await gateway.start())["user_code"], "bob")
    refused = [line for line in log if "was refused" in line]
    assert "The sign-in of ann@example.com" in refused[0]
    assert "(groups: engineers)" in refused[0]
    assert "The sign-in of bob@example.com" in refused[1]
    assert "(groups: no groups)" in refused[1]


async def test_groups_of_the_claim_that_do_not_exist_are_logged(signing_in, new_browser, log):
    gateway = await signing_in(oidc_group_auto_create=False)
    await new_browser(gateway).confirm((await gateway.start())["user_code"], "ann")
    await new_browser(gateway).confirm((await gateway.start())["user_code"], "bob")
    text = "".join(log)
    assert "ann is not in engineers: no such group exists here" in text
    assert "The claim groups gives bob no groups" in text


async def test_a_group_that_a_policy_names_is_made_by_who_claims_it(
    start_gateway, settings_for, client, new_browser, sqlite_database
):
    """Or what the policy for everybody grants would be theirs."""
    changes = {"state_dir": sqlite_database.state_dir, "oidc_group_auto_create": False}
    daemon = await start_gateway(**settings_for(free_port(), **changes))
    policies = (PolicySettings(groups=("engineers",), models=("a-*",)), PolicySettings())
    daemon.reconfigure(replace(daemon.settings, policies=policies))
    gateway = SigningIn(daemon.settings.access_url, client)
    await new_browser(gateway).confirm((await gateway.start())["user_code"], "ann")
    assert Memberships(sqlite_database.engine).with_members() == {"engineers"}


async def test_a_gateway_that_the_provider_does_not_accept(signing_in, new_browser, clock, log):
    gateway = await signing_in(oidc_client_secret=Secret("wrong"))
    codes = await gateway.start()
    page = await new_browser(gateway).confirm(codes["user_code"], "ann")
    assert page.status == 503
    assert "does not accept this gateway" in page.shown
    assert "check --oidc-client-id and --oidc-client-secret" in "".join(log)
    assert await is_pending(gateway, codes, clock)


async def test_somebody_who_is_suspended_is_not_signed_in(gateway, browser, sign_in, store):
    await sign_in()
    store.suspend_user("ann")
    codes = await gateway.start()
    page = await browser.confirm(codes["user_code"], "ann")
    assert page.status == 403
    assert (await gateway.poll(codes)).json["error"] == "access_denied"


async def test_a_device_that_gave_up_meanwhile(gateway, browser, clock):
    codes = await gateway.start()
    clock.advance(300)
    left = await browser.answer(codes["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann")
    clock.advance(300)
    page = await browser.get(back)
    assert page.status == 400
    assert "no longer waits" in page.shown


async def test_a_provider_that_is_away(gateway, browser, sign_in, provider, clock):
    waiting = await gateway.start()
    left = await browser.answer(waiting["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann")
    await provider.away()
    page = await browser.get(back)
    assert page.status == 503
    assert "can't be reached" in page.shown
    assert await is_pending(gateway, waiting, clock)


async def test_a_provider_that_was_never_there(signing_in, new_browser, provider, clock, log):
    await provider.away()
    gateway = await signing_in()
    codes = await gateway.start()
    page = await new_browser(gateway).answer(codes["user_code"])
    assert page.status == 503
    assert "can't be reached" in page.shown
    assert f"Nobody can sign in at {provider.issuer}: its discovery document" in "".join(log)
    assert await is_pending(gateway, codes, clock)


async def test_the_form_carries_what_it_needs(gateway, browser):
    """As a browser without scripts reads it."""
    codes = await gateway.start()
    page = await browser.get(codes["verification_uri_complete"])
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert form == {"user_code": codes["user_code"]}
    buttons = re.findall(r'name="answer" value="(\w+)">\s*([^<]+)<', page.text)
    assert [(name, unescape(text)) for name, text in buttons] == [
        ("yes", "Yes, sign in with OpenID Connect"),
        ("no", "No, refuse it"),
    ]
