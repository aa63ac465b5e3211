"""What check-config finds in the database about policies."""

from dataclasses import replace
from uuid import uuid4

import pytest

from aibridged.config.options import PolicySettings, Settings, SoftBudgetSettings
from aibridged.config.resolution import Resolution
from aibridged.daemon.policy_findings import with_policy_findings
from aibridged.identity import tables
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema
from aibridged.records.open_database import open_database

POLICIES = (
    PolicySettings(("staff", "contractors"), ("claude-haiku-*", "claude-haiku-4", "*-small")),
    PolicySettings(models=("*", "gtp-*")),
)


@pytest.fixture
def found(tmp_path):
    """The hints about policies, of settings that are changed."""

    def found(**changes):
        settings = replace(Settings(), **{"state_dir": tmp_path, "policies": POLICIES, **changes})
        return with_policy_findings(Resolution(settings, (), (), ("before",))).warnings

    return found


@pytest.fixture
def engine(tmp_path):
    engine = open_database(replace(Settings(), state_dir=tmp_path))
    yield engine
    engine.dispose()


def member(engine, clock, group):
    id, user = str(uuid4()), TokenStore(engine, clock).create_user("ann").id
    row = {"group_id": id, "user_id": user, "by_sign_in": False, "created_at": clock.wall()}
    with engine.begin() as connection:
        connection.execute(
            tables.groups.insert().values(id=id, name=group, created_at=clock.wall())
        )
        connection.execute(tables.group_members.insert().values(row))


def record(engine, clock, model):
    row = {
        "id": str(uuid4()),
        "initiator_id": "u",
        "provider": "anthropic",
        "provider_name": "anthropic",
        "model": model,
        "started_at": clock.wall(),
        "client": "c",
        "credential_kind": "centralized",
        "credential_hint": "",
        "recorder_id": "r",
    }
    with engine.begin() as connection:
        connection.execute(schema.interceptions.insert().values(row))


def test_without_a_database_nothing_is_said_and_none_is_made(found, tmp_path):
    assert found() == ("before",)
    assert [*tmp_path.iterdir()] == []


def test_groups_that_nobody_is_in(found, engine, clock):
    member(engine, clock, "staff")
    with engine.begin() as connection:
        new = {"id": str(uuid4()), "name": "contractors", "created_at": clock.wall()}
        connection.execute(tables.groups.insert().values(new))
    assert found() == ["before", "Policy 1: nobody is in the group contractors."]
    assert found(auth="coder") == ["before"]
    assert found(policies=()) == ("before",)


def test_groups_that_do_not_exist(found, engine, clock):
    member(engine, clock, "staff")
    missing = (
        "Policy 1: there is no group contractors, so nobody is in it: "
        "`aibridged groups create contractors`."
    )
    assert found() == ["before", missing]
    made = {"oidc_issuer_url": "https://id.example.com"}
    assert found(**made) == ["before", "Policy 1: nobody is in the group contractors."]


def test_globs_that_match_no_model_on_record(found, engine, clock):
    """A record that is empty says nothing."""
    assert not [each for each in found(auth="none") if "matches" in each]
    record(engine, clock, "claude-haiku-4-5")
    assert found(auth="none")[1:] == [
        "Policy 1: claude-haiku-4 matches no model on record so far; check its spelling.",
        "Policy 2: gtp-* matches no model on record so far; check its spelling.",
    ]


def test_a_model_that_is_switched_to_and_is_not_on_record(found, engine, clock):
    models = (("a", "claude-haiku-4-5"), ("b", "claude-haiku-4"), ("c", "claude-haiku-4"))
    policies = (PolicySettings(budget=SoftBudgetSettings(switch_at=90, models=models)),)
    assert found(policies=policies) == ["before"]
    record(engine, clock, "claude-haiku-4-5")
    assert found(policies=policies)[1:] == [
        "Policy 1: its budget switches to claude-haiku-4, which is no model on record so far; "
        "check its spelling."
    ]
