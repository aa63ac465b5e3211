"""The caller by the HTTP API: who they are, what counts for them, and their latest request."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from aibridged.api.me_routes import gateway_url
from aibridged.config.kinds import Address
from aibridged.config.options import PolicySettings, Settings
from aibridged.core.budgets import Period, Scope, user_subject
from aibridged.identity.spend_limits import SpendLimitStore
from aibridged.identity.spend_scopes import ScopeKey
from aibridged.records import refusals, spend
from aibridged.records.ids import uuid7
from aibridged.records.schema import interceptions
from aibridged.records.schema import spend as spend_rows


async def test_a_person_is_told_who_they_are_and_what_counts_for_them(ask, database, clock):
    ann = ask.person("ann", email="ann@example.com")
    ask.actor = msgspec.structs.replace(ann, api_key_id="abc", expires_at=clock.wall())
    ask.policies(PolicySettings(models=("gpt-*",)))
    store = SpendLimitStore(database.engine, clock, spend, "root")
    store.set(ScopeKey(Scope.USER, ann.id), Period.DAILY, 1000)
    row = {"subject": user_subject(ann.id), "day": clock.wall().date(), "reserved_nanos": 0}
    with database.engine.begin() as connection:
        connection.execute(sa.insert(spend_rows).values(**row, spent_nanos=2_500_000_000))
    me = await ask("GET", "/me")
    assert (me["username"], me["is_admin"], me["token_id"]) == ("ann", False, "abc")
    assert (me["expires_at"], me["users_are"]) == ("2026-01-01T00:00:00Z", "here")
    assert (me["has_policies"], me["policy"]["models"]) == (True, ["gpt-*"])
    daily = next(each for each in me["budgets"] if each["period"] == "daily")
    assert daily == {
        "period": "daily",
        "scope": "user",
        "name": "ann",
        "limit": "10",
        "used": "2.5",
        "share": 0.25,
        "resets_at": "2026-01-02T00:00:00Z",
    }
    monthly = next(each for each in me["budgets"] if each["period"] == "monthly")
    assert (monthly["limit"], monthly["used"], monthly["share"]) == (None, "2.5", None)


async def test_it_is_there_without_users_of_its_own_and_without_policies(ask):
    for auth, where in (("coder", "coder"), ("none", "nowhere")):
        ask.configured.settings = Settings(auth=auth)
        me = await ask("GET", "/me")
        assert (me["users_are"], me["has_policies"], me["policy"]) == (where, False, None)


@pytest.fixture
def add(database, clock):
    def add(initiator_id, model):
        """A request that an actor began just now; returns its id."""
        clock.advance(1)
        row = {
            "id": uuid7(clock.wall()),
            "initiator_id": initiator_id,
            "provider": "openai",
            "provider_name": "main",
            "model": model,
            "client": "Codex",
            "client_session_id": "session-1",
            "credential_kind": "centralized",
            "credential_hint": "",
            "recorder_id": 1,
            "started_at": clock.wall(),
        }
        with database.engine.begin() as connection:
            connection.execute(sa.insert(interceptions).values(row))
        return row["id"]

    return add


async def test_the_latest_request_is_ones_own_even_for_an_admin(ask, add):
    ann = ask.person("ann")
    assert (await ask("GET", "/me/latest"))["request"] is None
    add(ask.root.id, "first")
    latest = add(ask.root.id, "second")
    add(ann.id, "theirs")
    found = (await ask("GET", "/me/latest", after="2026-01-01T00:00:00Z"))["request"]
    assert (found["id"], found["model"], found["provider"]) == (latest, "second", "main")
    assert (found["client"], found["outcome"]) == ("Codex", None)
    assert (await ask("GET", "/me/latest", after="2026-01-02T00:00:00Z"))["request"] is None
    assert (await ask.refusal("GET", "/me/latest", after="yesterday"))[0] == 400


async def test_what_was_refused_today_is_told_in_words(ask, database, clock):
    today = clock.wall().date()
    other = ask.person("ann").id
    counts = {(today, ask.root.id, "model_not_allowed"): 2, (today, other, "rate_limited"): 1}
    refusals.add(database.engine, counts)
    (refused,) = (await ask("GET", "/me/latest"))["refused"]
    assert (refused["reason"], refused["count"]) == ("model_not_allowed", 2)
    assert "not granted to you" in refused["message"]
    clock.advance(86400)
    assert (await ask("GET", "/me/latest"))["refused"] == []


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "http://127.0.0.1:4001"),
        ({"http_address": Address("::1", 80)}, "http://[::1]:80"),
        ({"http_address": Address("0.0.0.0", 80)}, None),
        (
            {"http_address": Address("", 80), "access_url": "https://ai.example/x/"},
            "https://ai.example/x",
        ),
        ({"tls_cert_file": Path("cert")}, "https://127.0.0.1:4001"),
    ],
)
def test_where_agents_reach_the_gateway(changes, url):
    settings = dataclasses.replace(Settings(http_address=Address("127.0.0.1", 4001)), **changes)
    assert gateway_url(settings) == url
