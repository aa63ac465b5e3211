"""Tokens by the HTTP API: all of them for admins, and everybody's own."""

import pytest

from aibridged.api import token_routes
from aibridged.config.options import Settings
from aibridged.identity.base import TokenRejectedError
from aibridged.identity.tables import tokens

DAY = 86400


async def test_an_admin_creates_renews_and_revokes_a_users_token(ask, clock):
    ann = ask.person("ann")
    made = await ask("POST", "/users/ann/tokens", {"name": "ci", "lifetime_seconds": DAY})
    assert (await ask.cache.authenticate(made["token"])).username == "ann"
    assert (made["username"], made["name"], made["status"]) == ("ann", "ci", "active")
    clock.advance(2 * DAY)
    (listed,) = (await ask("GET", f"/users/{ann.id}/tokens"))["results"]
    assert (listed["status"], "token" in listed) == ("expired", False)
    with pytest.raises(TokenRejectedError):
        await ask.cache.authenticate(made["token"])
    renewed = await ask("POST", f"/tokens/{made['id']}/renew", {"lifetime_seconds": 0})
    assert (renewed["status"], renewed["expires_at"]) == ("active", None)
    assert await ask.cache.authenticate(made["token"]) is not None, "the refusal was cached"
    revoked = await ask("DELETE", f"/tokens/{made['id']}")
    assert revoked["status"] == "revoked"
    with pytest.raises(TokenRejectedError):
        await ask.cache.authenticate(made["token"])
    assert (await ask("GET", "/users/ann/tokens"))["results"] == []
    assert len((await ask("GET", "/users/ann/tokens", include="revoked"))["results"]) == 1
    assert await ask.audit("token") == [
        ("root", f"token.{what}", made["id"]) for what in ("revoke", "renew", "create")
    ]


async def test_people_have_their_own_tokens_in_hand_and_no_others(ask):
    ann, _ = ask.person("ann"), ask.person("bob")
    _, bobs = await ask.token("bob")
    ask.actor = ann
    made = await ask("POST", "/me/tokens", {"name": "laptop"})
    assert (await ask.cache.authenticate(made["token"])).id == ann.id
    found = await ask("GET", "/me/tokens")
    assert [each["id"] for each in found["results"]] == [made["id"]]
    for method, path, body in (
        ("DELETE", f"/me/tokens/{bobs}", None),
        ("DELETE", f"/me/tokens/{bobs[:8]}", None),
        ("POST", f"/me/tokens/{bobs}/renew", {}),
    ):
        assert (await ask.refusal(method, path, body))[0] == 404
    assert (await ask("DELETE", f"/me/tokens/{made['id'][:8]}"))["status"] == "revoked"
    assert [each[:2] for each in (await ask.audit("token"))[:2]] == [
        ("ann", "token.revoke"),
        ("ann", "token.create"),
    ]


async def test_a_token_lasts_no_longer_than_the_settings_allow(ask, clock):
    ask.person("ann")
    limited = Settings(auth="token", default_token_lifetime=7 * DAY, max_token_lifetime=2 * DAY)
    ask.configured.settings = limited
    for path in ("/users/ann/tokens", "/me/tokens"):
        made = await ask("POST", path, {})
        assert made["expires_at"][:10] == "2026-01-03", "the default is no longer than that"
        for seconds in (0, 2 * DAY + 1):
            status, said = await ask.refusal("POST", path, {"lifetime_seconds": seconds})
            assert (status, "at most" in said) == (400, True)
        found = await ask("GET", path)
        assert found["longest_lifetime_seconds"] == found["default_lifetime_seconds"] == 2 * DAY
    renewal = {"lifetime_seconds": 3 * DAY}
    for path in (f"/tokens/{made['id']}/renew", f"/me/tokens/{made['id']}/renew"):
        assert (await ask.refusal("POST", path, renewal))[0] == 400


async def test_where_nothing_limits_tokens_those_of_ones_own_still_end(ask):
    ask.configured.settings = Settings(auth="token", default_token_lifetime=7 * DAY)
    assert (await ask("POST", "/users/root/tokens", {"lifetime_seconds": 0}))["expires_at"] is None
    assert (await ask("GET", "/users/root/tokens"))["longest_lifetime_seconds"] is None
    assert (await ask("GET", "/me/tokens"))["longest_lifetime_seconds"] == 7 * DAY
    for seconds in (0, 8 * DAY):
        assert (await ask.refusal("POST", "/me/tokens", {"lifetime_seconds": seconds}))[0] == 400


async def test_nobody_gives_themselves_ever_more_tokens(ask, clock, monkeypatch):
    monkeypatch.setattr(token_routes, "MAX_OWN", 3)
    ask.actor = ask.person("ann")
    for _ in range(3):
        made = await ask("POST", "/me/tokens", {})
        clock.advance(1)
    await ask("DELETE", f"/me/tokens/{made['id']}")
    status, said = await ask.refusal("POST", "/me/tokens", {})
    assert (status, "maximum of 3" in said) == (400, True)
    assert len((await ask("GET", "/me/tokens", include="all"))["results"]) == 3
    clock.advance(DAY)
    await ask("POST", "/me/tokens", {})
    ask.actor = ask.root
    await ask("POST", "/users/ann/tokens", {})


async def test_tokens_of_sign_ins_are_shown_only_on_request(ask, database, clock):
    _, id = await ask.token("root")
    with database.engine.begin() as connection:
        connection.execute(tokens.update().values(sign_in_id="abcdefghij"))
    for parameters, count in (({}, 0), ({"include": "revoked"}, 0), ({"include": "all"}, 1)):
        assert len((await ask("GET", "/me/tokens", **parameters))["results"]) == count
    assert (await ask.refusal("GET", "/me/tokens", include="x"))[0] == 400
    status, said = await ask.refusal("POST", f"/me/tokens/{id}/renew", {})
    assert (status, "sign-in" in said) == (400, True)


async def test_what_is_wrong_is_told(ask):
    for body in ({"lifetime": 5}, {"lifetime_seconds": -1}, {"name": "two\nlines"}):
        assert (await ask.refusal("POST", "/me/tokens", body))[0] == 400
    assert (await ask.refusal("POST", "/users/nobody/tokens", {}))[0] == 404
    assert (await ask.refusal("GET", "/users/nobody/tokens"))[0] == 404
    assert (await ask.refusal("DELETE", "/tokens/nothing"))[0] == 404
    assert (await ask.refusal("DELETE", "/tokens/%00%00%00%00%00%00%00%00"))[0] == 404
