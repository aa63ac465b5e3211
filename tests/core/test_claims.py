"""Who somebody is by an identity provider's claims, and whether they may sign in."""

import re
from typing import Any

import pytest

from aibridged.core import claims as subject
from aibridged.core.claims import ClaimRules, Person, SignInRefusedError, listed, merged, person

ISSUER = "https://id.example.com"
ALICE: dict[str, Any] = {
    "sub": "s-1",
    "preferred_username": "alice",
    "name": "Alice Liddell",
    "email": "alice@example.com",
    "email_verified": True,
    "groups": ["devs", "ops"],
}


def of(rules: ClaimRules | None = None, /, **changed: Any) -> Person:
    return person({**ALICE, **changed}, ISSUER, rules or ClaimRules())


def refused(rules: ClaimRules | None = None, /, **changed: Any) -> str:
    with pytest.raises(SignInRefusedError) as caught:
        of(rules, **changed)
    return caught.value.sentence


def test_the_standard_claims() -> None:
    expected = Person(ISSUER, "s-1", "alice", "Alice Liddell", "alice@example.com", None, None)
    assert of() == expected


@pytest.mark.parametrize(
    ("changed", "username"),
    [
        ({"preferred_username": "alice@corp.example"}, "alice"),
        ({"preferred_username": None}, "alice"),
        ({"preferred_username": ["a"], "email": None}, "s-1"),
        ({"preferred_username": "a\0b", "email": "@"}, "s-1"),
    ],
)
def test_what_stands_in_for_a_username(changed: dict[str, Any], username: str) -> None:
    assert of(**changed).username == username


def test_other_fields() -> None:
    rules = ClaimRules(username_field="nick", name_field="full", email_field="mail")
    found = of(rules, nick="al", full="A. L.", mail="al@example.org")
    assert (found.username, found.name, found.email) == ("al", "A. L.", "al@example.org")


@pytest.mark.parametrize("sub", [None, "", 7, "x" * 256, "a\0", "a\ud800"])
def test_nobody_is_without_a_subject(sub: object) -> None:
    assert "claim sub" in refused(sub=sub)


@pytest.mark.parametrize(
    "email", ["none", "a@b@c", "a b@example.com", f"{'a' * 250}@example.com", 7]
)
def test_what_is_no_address_is_none(email: object) -> None:
    assert of(email=email).email is None


# Verified addresses.


@pytest.mark.parametrize("verified", [False, "false", 0, "yes"])
def test_an_address_that_is_not_verified_is_refused(verified: object) -> None:
    assert "not verified" in refused(email_verified=verified)
    assert of(ClaimRules(ignore_email_verified=True), email_verified=verified).email is not None


@pytest.mark.parametrize("verified", [True, "true", None])
def test_one_that_is_verified_or_of_which_nothing_is_said_passes(verified: object) -> None:
    assert of(email_verified=verified).email == "alice@example.com"


def test_a_domain_needs_a_verified_address_of_it() -> None:
    rules = ClaimRules(email_domains=frozenset({"example.com", "example.org"}))
    assert of(rules).email == "alice@example.com"
    assert of(rules, email="alice@EXAMPLE.org").email == "alice@EXAMPLE.org"
    for email in ("alice@evil.com", "alice@evilexample.com", "a@sub.example.com", None):
        assert "Only email addresses of example.com, example.org" in refused(rules, email=email)
    # Where nothing is said of it, anybody may have entered it.
    assert "does not say that your email address is verified" in refused(rules, email_verified=None)
    lax = ClaimRules(email_domains=frozenset({"example.com"}), ignore_email_verified=True)
    assert of(lax, email_verified=None).email == "alice@example.com"


def test_an_address_alone_makes_nobody_a_member_of_a_hosted_domain() -> None:
    domains = frozenset({"example.com", "gmail.com"})
    rules = ClaimRules(email_domains=domains, hosted_domain=True)
    assert of(rules, hd="example.com").email == "alice@example.com"
    assert of(rules, email="a@gmail.com").email == "a@gmail.com"
    for hosted in (None, "gmail.com", "evil.com", ["example.com"]):
        assert "does not belong to the organization" in refused(rules, hd=hosted)


# Groups and roles.


def test_groups_are_mapped_then_allowed_then_filtered() -> None:
    rules = ClaimRules(
        group_field="groups",
        group_mapping={"id-1": "ai-devs", "id-2": ""},
        allowed_groups=frozenset({"staff"}),
        group_filter=re.compile("^ai-"),
    )
    assert of(rules, groups=["id-1", "id-2", "staff", "ai-x", "ai-x"]).groups == ("ai-devs", "ai-x")
    assert "none of the groups" in refused(rules, groups=["id-1"])
    assert "none of the groups" in refused(rules, groups=None)
    assert "none of the groups" in refused(ClaimRules(allowed_groups=frozenset({"devs"})))
    renamed = ClaimRules(
        group_field="groups", group_mapping={"staff": "x"}, allowed_groups=frozenset({"staff"})
    )
    assert "none of the groups" in refused(renamed, groups=["staff"])


@pytest.mark.parametrize(("claim", "groups"), [("devs", ("devs",)), ([], ()), (None, ()), ("", ())])
def test_one_group_or_none(claim: object, groups: tuple[str, ...]) -> None:
    assert of(ClaimRules(group_field="groups"), groups=claim).groups == groups


@pytest.mark.parametrize("claim", [7, {"a": 1}, ["a", 1], [["a"]], True])
def test_groups_of_another_kind_are_refused(claim: object) -> None:
    assert "claim groups is not a list" in refused(ClaimRules(group_field="groups"), groups=claim)


def test_groups_have_bounds() -> None:
    rules = ClaimRules(group_field="groups")
    most = [f"g{number}" for number in range(subject.MAX_GROUPS)]
    assert len(of(rules, groups=most).groups or ()) == subject.MAX_GROUPS
    assert "more than 1000 groups" in refused(rules, groups=[*most, "one-more"])
    assert "more than 10000 names" in refused(rules, groups=["g"] * 10_001)
    for name in ("g" * 129, "a\nb", "a\ud800"):
        assert "longer than 128 characters or not printable" in refused(rules, groups=[name])
        filtered = ClaimRules(group_field="groups", group_filter=re.compile("^devs$"))
        assert of(filtered, groups=[name, "devs"]).groups == ("devs",)


def test_groups_that_are_elsewhere_are_not_taken_for_none() -> None:
    claims = {**ALICE, "_claim_names": {"groups": "src1"}}
    del claims["groups"]
    with pytest.raises(SignInRefusedError, match="more groups than the identity provider sends"):
        person(claims, ISSUER, ClaimRules(group_field="groups"))


def test_roles_say_who_is_an_admin() -> None:
    rules = ClaimRules(role_field="roles", role_mapping={"boss": ("auditor", "owner"), "owner": ()})
    assert of(rules, roles=["boss"]).is_admin is True
    assert of(rules, roles=["owner"]).is_admin is False  # mapped to nothing
    assert of(ClaimRules(role_field="roles"), roles=["owner"]).is_admin is True
    assert of(rules).is_admin is False
    assert of(roles=["owner"]).is_admin is None


# Two sources of claims.


def test_the_userinfo_endpoint_counts_more_but_not_for_who_it_is() -> None:
    claims = merged(
        {"sub": "s-1", "name": "Old", "email": "a@x", "email_verified": True},
        {"sub": "s-1", "name": "New", "groups": ["devs"]},
        "email",
    )
    assert claims == {
        "sub": "s-1",
        "name": "New",
        "groups": ["devs"],
        "email": "a@x",
        "email_verified": True,
    }
    for userinfo in ({"sub": "s-2"}, {}):
        with pytest.raises(SignInRefusedError, match="another person"):
            merged({"sub": "s-1"}, userinfo, "email")


def test_a_verified_address_does_not_vouch_for_another() -> None:
    id_token = {"sub": "s-1", "email": "mine@evil.com", "email_verified": True}
    assert "email_verified" not in merged(id_token, {"sub": "s-1", "email": "boss@x"}, "email")
    both = merged(id_token, {"sub": "s-1", "email": "b@x", "email_verified": False}, "email")
    assert both["email_verified"] is False


# What the log says.


def test_who_is_refused_is_named_as_the_provider_does() -> None:
    rules = ClaimRules(group_field="groups", allowed_groups=frozenset({"staff"}))
    for changed, who in (
        ({}, "alice@example.com"),
        ({"email": None}, "alice"),
        ({"email": "a\nb", "preferred_username": None}, "s-1"),
        ({"email": "a" * 500}, "a" * 254),
    ):
        with pytest.raises(SignInRefusedError) as caught:
            of(rules, **changed)
        assert caught.value.who == who
        assert caught.value.claimed == "groups: devs, ops"


def test_names_for_the_log_are_few_short_and_printable() -> None:
    assert listed(["b", "a", "x\ny"]) == "a, b"
    assert listed(f"g-{number:02}" for number in range(12)).endswith("g-09 and 2 more")
    assert listed(["g" * 500]) == "g" * 128
