"""Settings of signing in that keep people out, or would let in anybody."""

from collections.abc import Callable
from typing import Any

import pytest

from aibridged.config import report
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]
GOOD = {
    "CODER_OIDC_ISSUER_URL": "https://id.example.com",
    "CODER_OIDC_CLIENT_ID": "gateway",
    "CODER_ACCESS_URL": "https://gateway.example.com",
}


def changed(**variables: str) -> dict[str, str]:
    return {**GOOD, **{f"CODER_{name}": value for name, value in variables.items()}}


def test_good_settings(resolve: Resolve) -> None:
    for more in ({}, {"ACCESS_URL": "http://localhost:4001/"}, {"OIDC_CLIENT_SECRET": "s3cr3t"}):
        resolution = resolve(environ=changed(**more))
        assert resolution.mistakes == []
        assert not [each for each in resolution.warnings if "oidc" in each.lower()]
        assert resolution.settings is not None
        assert "https://id.example.com" in next(report.ways(resolution.settings))


@pytest.mark.parametrize(
    ("variables", "what", "remedy"),
    [
        ({"OIDC_CLIENT_ID": ""}, "--oidc-client-id is missing", "client ID"),
        ({"ACCESS_URL": ""}, "--access-url is missing", "/oauth/callback"),
        ({"ACCESS_URL": "http://gw.example.com"}, "over http://", "https:// URL"),
        ({"ACCESS_URL": "https://x.example.com/gw"}, "has the path /gw", "a host of its own"),
        ({"AIBRIDGE_AUTH": "none"}, "which none does not know", "--aibridge-auth to token"),
        ({"OIDC_SCOPES": "profile,email"}, "openid is missing", "Add openid"),
        ({"OIDC_SCOPES": "openid profile email"}, "no blanks", "by commas"),
        ({"ACCESS_URL": "gw.example.com"}, "no https:// or http://", ""),
        ({"OIDC_ISSUER_URL": "id.example.com"}, "no https:// or http://", ""),
        ({"OIDC_EMAIL_DOMAIN": "@example.com"}, "is not a domain", "follows the @"),
        ({"OIDC_EMAIL_DOMAIN": "*.example.com"}, "is not a domain", "follows the @"),
        (
            {"OIDC_ALLOWED_GROUPS": "devs"},
            "not known which claim has the groups",
            "--oidc-group-field",
        ),
        (
            {"OIDC_ISSUER_URL": "https://accounts.google.com"},
            "anybody can have an account at Google",
            "--oidc-email-domain",
        ),
        (
            {"OIDC_ISSUER_URL": "https://login.microsoftonline.com/consumers/v2.0"},
            "anybody can have an account at Microsoft",
            "--oidc-email-domain",
        ),
        (
            {
                "OIDC_ISSUER_URL": "https://login.microsoftonline.com/common/v2.0",
                "OIDC_EMAIL_DOMAIN": "example.com",
            },
            "stands for all tenants",
            "TENANT-ID",
        ),
    ],
)
def test_what_keeps_it_from_starting(
    variables: dict[str, str], what: str, remedy: str, resolve: Resolve
) -> None:
    resolution = resolve(environ=changed(**variables))
    [mistake] = resolution.mistakes
    assert what in mistake.what
    assert remedy in mistake.remedy
    assert not [each for each in resolution.warnings if "no effect" in each]


def test_a_file_with_mistakes_is_not_said_to_lack_what_is_in_it(resolve: Resolve) -> None:
    for text in ("oidc: [", "oidc:\n  issuerUrl: https://id.example.com\n  clientID: gateway\n"):
        resolution = resolve(environ={"CODER_OIDC_CLIENT_SECRET": "s3cr3t"}, yaml=text)
        assert len(resolution.mistakes) == 1
        assert not [each for each in resolution.warnings if "no effect" in each]


@pytest.mark.parametrize(
    "more",
    [
        {"OIDC_EMAIL_DOMAIN": "example.com"},
        {"OIDC_ALLOWED_GROUPS": "devs", "OIDC_GROUP_FIELD": "groups"},
    ],
)
def test_a_public_issuer_with_a_rule(more: dict[str, str], resolve: Resolve) -> None:
    environ = changed(OIDC_ISSUER_URL="https://accounts.google.com", **more)
    assert resolve(environ=environ).mistakes == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"CODER_OIDC_CLIENT_ID": "x", "CODER_OIDC_NAME_FIELD": "y"},
            "CODER_OIDC_CLIENT_ID, CODER_OIDC_NAME_FIELD have no effect without --oidc-issuer-url",
        ),
        (
            changed(OIDC_GROUP_AUTO_CREATE="true"),
            "--oidc-group-auto-create has no effect without --oidc-group-field.",
        ),
        (
            changed(OIDC_USER_ROLE_MAPPING='{"a": "owner"}'),
            "--oidc-user-role-mapping has no effect without --oidc-user-role-field.",
        ),
    ],
)
def test_what_has_no_effect(environ: dict[str, str], said: str, resolve: Resolve) -> None:
    assert [each for each in resolve(environ=environ).warnings if said in each]


def test_defaults_that_a_file_repeats_are_no_news(resolve: Resolve) -> None:
    text = "oidc:\n  scopes: [openid, profile, email]\n  allowSignups: true\n  groupMapping: {}\n"
    assert not [each for each in resolve(yaml=text).warnings if "oidc" in each]


def test_its_libraries_are_needed(resolve: Resolve, monkeypatch: Any) -> None:
    monkeypatch.setattr("aibridged.config.extras._is_installed", lambda name: name != "authlib")
    [mistake] = resolve(environ=GOOD).mistakes
    assert "Authlib" in mistake.what
    assert mistake.where == "CODER_OIDC_ISSUER_URL"
