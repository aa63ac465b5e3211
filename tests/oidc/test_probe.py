"""What a check of an identity provider finds."""

from dataclasses import replace

from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.oidc.probe import probe_issuer
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider


def settings(idp: IdentityProvider) -> Settings:
    return replace(
        Settings(),
        access_url="http://127.0.0.1:4001",
        oidc_issuer_url=idp.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=Secret(CLIENT_SECRET),
    )


async def test_a_provider_that_can_be_used(idp: IdentityProvider) -> None:
    check = await probe_issuer(settings(idp))
    assert (check.error, check.keys, check.notes) == (None, 1, ())


async def test_what_is_wrong_with_one(idp: IdentityProvider) -> None:
    for faults, said in (
        ({"discovery": {"issuer": "https://other.example.com"}}, "https://other.example.com"),
        ({"answers": {"discovery": {"status": 404}}}, "responded with status 404"),
        ({"answers": {"jwks": {"body": "{}"}}}, "not a JWK set"),
        ({"huge": ["discovery"]}, "larger than 1 MiB"),
    ):
        idp.fail(**faults)
        assert said in ((await probe_issuer(settings(idp))).error or "")
    await idp.away()
    assert "connection refused" in ((await probe_issuer(settings(idp))).error or "")


async def test_a_client_that_is_not_accepted(idp: IdentityProvider) -> None:
    for wrong in ({"oidc_client_secret": Secret("wrong")}, {"oidc_client_id": "another"}):
        check = await probe_issuer(replace(settings(idp), **wrong))
        assert "check --oidc-client-id and --oidc-client-secret" in (check.error or "")
        assert "wrong" not in (check.error or "")


async def test_other_answers_tell_nothing_about_the_client(idp: IdentityProvider) -> None:
    for status, body in ((400, '{"error": "invalid_request"}'), (500, ""), (200, "{}")):
        idp.fail(answers={"token": {"status": status, "body": body}})
        assert (await probe_issuer(settings(idp))).error is None


async def test_what_an_operator_should_know_of_one(idp: IdentityProvider) -> None:
    document = {
        "scopes_supported": ["openid", "profile", "offline_access"],
        "userinfo_endpoint": None,
        "code_challenge_methods_supported": ["plain"],
    }
    idp.fail(discovery=document)
    scope, offline, userinfo, pkce = (await probe_issuer(settings(idp))).notes
    assert "does not list email of --oidc-scopes" in scope
    assert "offline_access, which is not among --oidc-scopes" in offline
    assert "no userinfo endpoint" in userinfo
    assert "PKCE" in pkce
