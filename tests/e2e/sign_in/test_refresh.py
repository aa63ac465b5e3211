"""Refreshes: rotation, and what the identity provider says about the person meanwhile."""

import asyncio
import shutil
from functools import partial

import pytest

from aibridged.config.secret import Secret
from aibridged.daemon.gateway import CannotStartError
from aibridged.daemon.sign_in import keep_purging
from aibridged.identity.base import Rejection, TokenRejectedError
from aibridged.identity.credential_key import KEY_FILE
from aibridged.identity.grants import Grants
from aibridged.identity.sign_in_purge import SignInPurge
from aibridged.identity.sign_ins import SignInStore
from aibridged.identity.tables import StoreUnavailableError, audit, sign_ins, tokens
from aibridged.sign_in import components
from aibridged.tasks import Tasks
from tests.e2e.sign_in.conftest import SigningIn, free_port
from tests.waiting import until


def is_revoked(store, tokens):
    with pytest.raises(TokenRejectedError) as caught:
        store.authenticate(tokens["access_token"])
    return caught.value.rejection is Rejection.REVOKED


def is_refused(reply, status, error):
    assert (reply.status, reply.json["error"]) == (status, error), reply.text


async def test_each_refresh_asks_the_provider_and_gives_a_new_pair(gateway, sign_in, provider):
    first = await sign_in()
    before = provider.counts()["token"]
    reply = await gateway.refresh(first)
    assert reply.status == 200
    second = reply.json
    assert second["token_type"] == "Bearer"
    assert second["email"] == "ann@example.com"
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    for each in (first, second):
        assert (await gateway.models(each)).status == 200
    assert (await gateway.refresh(second)).status == 200
    assert provider.counts()["token"] == before + 2


async def test_groups_and_names_follow_the_provider(gateway, sign_in, provider, store):
    first = await sign_in()
    assert store.authenticate(first["access_token"]).groups == ("engineers",)
    provider.change_user("ann", groups=["leads", "ops"], email="ann.lee@example.com")
    second = (await gateway.refresh(first)).json
    assert store.authenticate(second["access_token"]).groups == ("leads", "ops")
    assert second["email"] == "ann.lee@example.com"


async def test_the_role_follows_the_provider(signing_in, new_browser, provider, store):
    gateway = await signing_in(oidc_user_role_field="roles")
    provider.change_user("ann", roles=["owner"])
    codes = await gateway.start()
    await new_browser(gateway).confirm(codes["user_code"], "ann")
    first = (await gateway.poll(codes)).json
    assert store.authenticate(first["access_token"]).is_admin
    provider.change_user("ann", roles=[])
    second = (await gateway.refresh(first)).json
    assert not store.authenticate(second["access_token"]).is_admin


async def test_somebody_who_was_disabled_is_out(gateway, sign_in, provider, store, sqlite_database):
    laptop, desktop = await sign_in(), await sign_in()
    assert (await gateway.models(desktop)).status == 200
    provider.disable("ann")
    is_refused(refused := await gateway.refresh(laptop), 401, "invalid_grant")
    assert refused.headers["X-Should-Retry"] == "false"
    for each in (laptop, desktop):
        assert (await gateway.models(each)).status == 401
        assert is_revoked(store, each)
        is_refused(await gateway.refresh(each), 401, "invalid_grant")
    ends = [row for row in sqlite_database.rows(audit) if row["action"] == "sign_in.end"]
    [ann] = store.list_users()
    assert {(row["actor"], row["target"]) for row in ends} == {("gateway", ann.id)}
    provider.enable("ann")
    assert (await gateway.refresh(await sign_in())).status == 200


async def test_who_no_longer_may_is_out(signing_in, new_browser, provider, store):
    gateway = await signing_in(oidc_allowed_groups=("engineers",))
    codes = await gateway.start()
    await new_browser(gateway).confirm(codes["user_code"], "ann")
    first = (await gateway.poll(codes)).json
    provider.change_user("ann", groups=["guests"])
    is_refused(await gateway.refresh(first), 401, "invalid_grant")
    assert is_revoked(store, first)


async def test_somebody_who_is_suspended_or_deleted_is_out(gateway, sign_in, store):
    first = await sign_in()
    store.suspend_user("ann")
    is_refused(await gateway.refresh(first), 401, "invalid_grant")
    store.resume_user("ann")
    second = (await gateway.refresh(first)).json
    store.delete_user("ann")
    is_refused(await gateway.refresh(second), 401, "invalid_grant")


async def test_a_provider_that_is_away_costs_no_refresh_token(gateway, sign_in, provider, clock):
    first = await sign_in()
    await provider.away()
    for _ in range(2):
        refused = await gateway.refresh(first)
        is_refused(refused, 503, "temporarily_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
    await provider.back()
    clock.advance(120)
    assert (await gateway.refresh(first)).status == 200


async def test_without_offline_access_a_sign_in_ends_after_its_time(
    signing_in, new_browser, provider, clock, sqlite_database
):
    gateway = await signing_in(
        oidc_scopes=("openid", "profile", "email"), session_duration=2 * 3600.0
    )
    codes = await gateway.start()
    await new_browser(gateway).confirm(codes["user_code"], "ann")
    first = (await gateway.poll(codes)).json
    asked = provider.counts()["token"]
    clock.advance(3600)
    second = (await gateway.refresh(first)).json
    assert second["expires_in"] == 3600
    assert provider.counts()["token"] == asked
    clock.advance(1800)
    third = (await gateway.refresh(second)).json
    assert third["expires_in"] == 1800
    clock.advance(1800)
    is_refused(await gateway.refresh(third), 401, "invalid_grant")


async def test_without_offline_access_a_browser_goes_to_the_provider_each_time(
    signing_in, new_browser, provider
):
    """Nobody would notice that somebody has been disabled."""
    gateway = await signing_in(oidc_scopes=("openid", "profile", "email"))
    browser = new_browser(gateway)
    await browser.confirm((await gateway.start())["user_code"], "ann")
    codes = await gateway.start()
    assert (await browser.answer(codes["user_code"])).status == 303


async def test_an_answer_that_was_lost_comes_again(gateway, sign_in, provider, clock):
    first = await sign_in()
    second = (await gateway.refresh(first)).json
    asked = provider.counts()["token"]
    clock.advance(30)
    again = (await gateway.refresh(first)).json
    assert again == {**second, "expires_in": second["expires_in"] - 30}
    assert provider.counts()["token"] == asked
    assert (await gateway.refresh(second)).status == 200


async def test_a_refresh_token_that_comes_again_later_ends_all(
    gateway, sign_in, store, clock, sqlite_database, log
):
    """Somebody has a copy: neither of them goes on."""
    first, other = await sign_in(), await sign_in()
    second = (await gateway.refresh(first)).json
    clock.advance(31)
    is_refused(await gateway.refresh(first), 401, "invalid_grant")
    is_refused(await gateway.refresh(second), 401, "invalid_grant")
    for each in (first, second):
        assert is_revoked(store, each)
    assert store.authenticate(other["access_token"]) is not None
    (row,) = [row for row in sqlite_database.rows(audit) if row["action"] == "sign_in.end"]
    assert row["after"] == {"reason": "a refresh token was used twice"}
    assert any("WARNING" in line and "was used before" in line for line in log)


async def test_unknown_tokens_and_wrong_secrets_are_refused_alike(gateway, sign_in):
    good = (await sign_in())["refresh_token"]
    wrong = good[:-1] + ("a" if good[-1] != "a" else "b")
    unknown = ("air_" + "0" * 10 + "_" + "0" * 43, "nonsense", good.replace("air", "aib"))
    replies = [await gateway.refresh({"refresh_token": token}) for token in (wrong, *unknown)]
    assert len({(reply.status, reply.text) for reply in replies}) == 1
    is_refused(replies[0], 401, "invalid_grant")
    assert (await gateway.refresh({"refresh_token": good})).status == 200


async def test_several_at_once_get_the_same_successor(gateway, sign_in, provider):
    first = await sign_in()
    asked = provider.counts()["token"]
    replies = await asyncio.gather(*(gateway.refresh(first) for _ in range(4)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["refresh_token"] for reply in replies}) == 1
    assert provider.counts()["token"] == asked + 1


async def test_devices_of_a_person_take_turns(gateway, sign_in, provider):
    """The provider accepts each of its refresh tokens once."""
    devices = [await sign_in() for _ in range(3)]
    replies = await asyncio.gather(*map(gateway.refresh, devices))
    assert {reply.status for reply in replies} == {200}


async def test_replicas_take_turns(
    start_gateway, settings_for, client, postgres_database, new_browser, provider, tmp_path
):
    url = Secret(postgres_database.url.render_as_string(hide_password=False))
    replicas = []
    for name in ("one", "two"):
        state_dir = tmp_path / name
        state_dir.mkdir(mode=0o700)
        if replicas:
            shutil.copy(tmp_path / "one" / KEY_FILE, state_dir / KEY_FILE)
        port = free_port()
        await start_gateway(**settings_for(port, postgres_url=url, state_dir=state_dir))
        replicas.append(SigningIn(f"http://127.0.0.1:{port}", client))
    one, two = replicas
    codes = await one.start()
    await new_browser(one).confirm(codes["user_code"], "ann")
    first = (await two.poll(codes)).json
    asked = provider.counts()["token"]
    replies = await asyncio.gather(*(each.refresh(first) for each in (one, two, one, two)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["refresh_token"] for reply in replies}) == 1
    assert provider.counts()["token"] == asked + 1
    assert (await two.models(replies[0].json)).status == 200


async def test_a_client_that_leaves_loses_nothing(gateway, sign_in, provider, client):
    """The provider's next refresh token is kept, and ours is found used."""
    first = await sign_in()
    asked = provider.counts()["token"]
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    asking = asyncio.get_running_loop().create_task(
        client.post(f"{gateway.url}/oauth/token", data=form)
    )
    await until(lambda: provider.counts()["token"] > asked)
    asking.cancel()
    reply = await gateway.refresh(first)
    assert reply.status == 200
    assert (await gateway.refresh(reply.json)).status == 200


async def test_a_browser_that_leaves_loses_nothing(gateway, sign_in, browser, provider):
    """The provider is asked about the person, and answers after the page was closed."""
    first = await sign_in()
    codes = await gateway.start()
    asked = provider.counts()["token"]
    asking = asyncio.get_running_loop().create_task(browser.answer(codes["user_code"]))
    await until(lambda: provider.counts()["token"] > asked)
    asking.cancel()
    assert (await gateway.refresh(first)).status == 200


@pytest.mark.parametrize("trouble", ["disabled", "away", "reused", "database"])
async def test_a_refresh_that_is_refused_is_no_failure_of_the_gateway(
    gateway, sign_in, provider, store, clock, log, trouble, monkeypatch
):
    first = await sign_in()
    match trouble:
        case "disabled":
            await sign_in()
            provider.disable("ann")
        case "away":
            await provider.away()
        case "reused":
            await gateway.refresh(first)
            clock.advance(31)
        case "database":
            fails = StoreUnavailableError("The database of users and tokens failed")
            monkeypatch.setattr(SignInStore, "rotate", lambda *_: raise_(fails))
    assert (await gateway.refresh(first)).status in (401, 503)
    assert not any("The task" in line or "Traceback" in line for line in log)
    if trouble == "disabled":
        assert any(", 3 sign-ins have ended: the identity" in line for line in log)


def raise_(error):
    raise error


async def test_refreshes_are_limited(signing_in, new_browser, clock, monkeypatch):
    monkeypatch.setattr(components, "REFRESHES", 3)
    gateway = await signing_in()
    codes = await gateway.start()
    await new_browser(gateway).confirm(codes["user_code"], "ann")
    tokens = (await gateway.poll(codes)).json
    for _ in range(3):
        reply = await gateway.refresh(tokens)
        assert reply.status == 200
        tokens = reply.json
    refused = await gateway.refresh(tokens)
    is_refused(refused, 503, "temporarily_unavailable")
    clock.advance(600)
    assert (await gateway.refresh(tokens)).status == 200


async def test_a_database_that_fails_is_no_reason_to_sign_out(gateway, sign_in, monkeypatch):
    first = await sign_in()

    def fail(*_):
        raise StoreUnavailableError("The database of users and tokens failed: it is locked")

    with monkeypatch.context() as broken:
        broken.setattr(SignInStore, "rotate", fail)
        is_refused(await gateway.refresh(first), 503, "temporarily_unavailable")
    assert (await gateway.refresh(first)).status == 200


async def test_the_providers_next_token_outlives_a_database_that_is_locked(
    gateway, sign_in, monkeypatch
):
    """The provider accepts each of its refresh tokens once: the next one must not get lost."""
    first = await sign_in()
    replace, failures = Grants.replace, iter((True,))

    def locked_at_first(*arguments):
        if next(failures, False):
            raise StoreUnavailableError("The database of users and tokens failed: it is locked")
        replace(*arguments)

    monkeypatch.setattr(Grants, "replace", locked_at_first)
    second = await gateway.refresh(first)
    assert second.status == 200
    assert (await gateway.refresh(second.json)).status == 200


async def test_rows_that_are_over_are_deleted(gateway, sign_in, clock, sqlite_database):
    tokens_now = await sign_in()
    await gateway.post("/oauth/revoke", {"token": tokens_now["refresh_token"]})
    clock.advance(60 * 24 * 3600.0)
    purge = SignInPurge(sqlite_database.engine, clock)
    async with asyncio.timeout(10):
        tasks = Tasks()
        tasks.start(keep_purging(partial(asyncio.to_thread, purge)), "purge")
        await until(lambda: not sqlite_database.rows(tokens))
        await until(lambda: not sqlite_database.rows(sign_ins))
        await tasks.cancel()


async def test_a_bearers_lifetime_is_a_setting(signing_in, new_browser):
    gateway = await signing_in(bearer_ttl=60.0)
    codes = await gateway.start()
    await new_browser(gateway).confirm(codes["user_code"], "ann")
    assert (await gateway.poll(codes)).json["expires_in"] == 60


async def test_the_start_is_refused_without_the_key_of_what_is_encrypted(
    start_gateway, settings_for, client, new_browser, sqlite_database
):
    port, state_dir = free_port(), sqlite_database.state_dir
    settings = settings_for(port, state_dir=state_dir)
    daemon = await start_gateway(**settings)
    gateway = SigningIn(settings["access_url"], client)
    await new_browser(gateway).confirm((await gateway.start())["user_code"], "ann")
    await daemon.stop()
    (state_dir / KEY_FILE).rename(state_dir / "elsewhere")
    with pytest.raises(CannotStartError, match=r"is missing.*users sign-out"):
        await start_gateway(**settings)
