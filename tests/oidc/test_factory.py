"""What the settings say of an identity provider."""

from dataclasses import replace

import pytest

from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.oidc.factory import claim_rules, make_provider
from tests.conftest import ManualClock

SETTINGS = replace(
    Settings(),
    oidc_issuer_url="https://id.example.com",
    oidc_client_id="gateway",
    oidc_client_secret=Secret("s"),
    oidc_email_domain=("Example.COM",),
    oidc_group_mapping=(("id-1", "devs"),),
    oidc_user_role_mapping=(("boss", ("owner",)),),
    oidc_ignore_userinfo=True,
)


def test_a_provider_of_the_settings(clock: ManualClock) -> None:
    client = make_provider(SETTINGS, clock).client
    assert (client.issuer, client.client_id) == ("https://id.example.com", "gateway")
    assert client.scopes == ("openid", "profile", "email")
    assert client.url_parameters == (("access_type", "offline"),)
    assert client.ignore_userinfo
    assert client.rules.email_domains == {"example.com"}
    assert client.rules.group_mapping == {"id-1": "devs"}
    assert client.rules.role_mapping == {"boss": ("owner",)}
    assert not client.rules.hosted_domain


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "https://accounts.google.com/"])
def test_at_google_an_address_of_a_domain_is_not_enough(issuer: str) -> None:
    assert claim_rules(replace(SETTINGS, oidc_issuer_url=issuer)).hosted_domain


def test_groups_are_in_the_claim_that_is_named_or_asked_for() -> None:
    for changed, name in (
        (SETTINGS, ""),
        (replace(SETTINGS, oidc_scopes=("openid", "groups")), "groups"),
        (replace(SETTINGS, oidc_group_field="memberOf"), "memberOf"),
    ):
        assert claim_rules(changed).group_field == name
