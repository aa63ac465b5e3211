"""The code flow and refreshes, at a provider on real sockets that does what a test wants wrong."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aibridged.config.secret import Secret
from aibridged.core.claims import ClaimRules, Person, SignInRefusedError
from aibridged.oidc import keys
from aibridged.oidc.base import GrantEndedError, ProviderUnavailableError
from aibridged.oidc.provider import MAX_TOKEN, OpenIdProvider
from tests.conftest import ManualClock
from tests.identity_provider import CLIENT_SECRET, IdentityProvider
from tests.oidc.conftest import NONCE, REDIRECT_URI, VERIFIER, SignIn

Make = Callable[..., OpenIdProvider]


async def refused(entering: Awaitable[Any]) -> str:
    with pytest.raises(SignInRefusedError) as caught:
        await entering
    return caught.value.sentence


async def unavailable(asking: Awaitable[Any]) -> ProviderUnavailableError:
    with pytest.raises(ProviderUnavailableError) as caught:
        await asking
    assert CLIENT_SECRET not in str(caught.value)
    return caught.value


async def test_somebody_signs_in(
    idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    person, refresh_token = await enter(provider)
    expected = Person(
        idp.issuer, "subject-1", "alice", "Alice", "alice@example.com", ("devs",), None
    )
    assert person == expected
    assert refresh_token is not None
    assert idp.counts() == {"discovery": 1, "authorize": 2, "token": 1, "jwks": 1, "userinfo": 1}


async def test_the_browser_is_sent_with_all_that_protects_the_flow(
    make: Make, code_of: Callable[..., Awaitable[str]], idp: IdentityProvider
) -> None:
    await code_of(make(url_parameters=(("prompt", "select_account"),)))
    asked = idp.asked_for()
    assert asked["response_type"] == "code"
    assert asked["scope"] == "openid profile email offline_access"
    assert (asked["redirect_uri"], asked["nonce"]) == (REDIRECT_URI, NONCE)
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] not in (VERIFIER, "")
    assert asked["prompt"] == "select_account"
    assert "client_secret" not in asked


async def test_an_endpoint_keeps_its_own_query(idp: IdentityProvider, provider: OpenIdProvider):
    idp.fail(discovery={"authorization_endpoint": f"{idp.issuer}/authorize?tenant=a"})
    url = await provider.authorization_url(
        redirect_uri=REDIRECT_URI, state="s", nonce="n", verifier=VERIFIER
    )
    query = parse_qs(urlsplit(url).query)
    assert (query["tenant"], query["state"]) == (["a"], ["s"])


@pytest.mark.parametrize(
    ("supported", "method"),
    [
        (["private_key_jwt", "client_secret_post"], "client_secret_post"),
        (["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (None, "client_secret_basic"),
    ],
)
async def test_the_secret_goes_where_the_provider_wants_it(
    supported: list[str] | None,
    method: str,
    idp: IdentityProvider,
    provider: OpenIdProvider,
    enter: SignIn,
) -> None:
    idp.client.method = method
    idp.fail(discovery={"token_endpoint_auth_methods_supported": supported})
    await enter(provider)


async def test_a_public_client_has_no_secret(
    idp: IdentityProvider, make: Make, enter: SignIn
) -> None:
    idp.client.secret = None
    person, _ = await enter(make(client_secret=None))
    assert person.username == "alice"


@pytest.mark.parametrize("key_type", ["RSA", "OKP"])
async def test_keys_of_other_types(
    key_type: str, idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    idp.rotate_keys(key_type=key_type)
    assert (await enter(provider))[0].username == "alice"


# ID tokens that aren't to be trusted.


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"id_token_alg": "none"}, "algorithm is not an accepted one"),
        ({"id_token_alg": "HS256"}, "algorithm is not an accepted one"),
        ({"id_token_key": "other"}, "signature is not valid"),
        ({"id_token_kid": "unknown"}, "key that the provider does not publish"),
        ({"id_token_claims": {"iss": "https://evil.example.com"}}, "claim iss"),
        ({"id_token_claims": {"iss": None}}, "claim iss"),
        ({"id_token_claims": {"aud": "another"}}, "claim aud"),
        ({"id_token_claims": {"aud": ["another", "third"]}}, "claim aud"),
        ({"id_token_claims": {"aud": ["gateway", "another"]}}, "claim azp"),
        ({"id_token_claims": {"aud": ["gateway"], "azp": "another"}}, "claim azp"),
        ({"id_token_claims": {"nonce": "another"}}, "claim nonce"),
        ({"id_token_claims": {"nonce": None}}, "claim nonce"),
        ({"id_token_claims": {"sub": None}}, "claim sub"),
        ({"id_token_claims": {"exp": 1}}, "has expired"),
        ({"id_token_claims": {"exp": None}}, "claim exp"),
        ({"id_token_claims": {"iat": 9_999_999_999}}, "claim iat"),
        ({"id_token_claims": {"nbf": 9_999_999_999}}, "claim nbf"),
        ({"id_token_claims": {"at_hash": "wrong"}}, "claim at_hash"),
        ({"id_token_claims": {"at_hash": 7}}, "claim at_hash"),
    ],
)
async def test_an_id_token_that_is_wrong_signs_nobody_in(
    faults: dict[str, Any],
    said: str,
    idp: IdentityProvider,
    provider: OpenIdProvider,
    enter: SignIn,
) -> None:
    idp.fail(**faults)
    assert said in await refused(enter(provider))


async def test_a_clock_may_differ_by_a_minute(
    clock: ManualClock, idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    now = clock.wall().timestamp()
    idp.fail(id_token_claims={"exp": now - 59, "iat": now + 59})
    await enter(provider)
    idp.fail(id_token_claims={"exp": now - 60})
    assert "has expired" in await refused(enter(provider))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "W10.e30.x", "é", 7, None])
async def test_what_is_no_id_token_at_all(
    token: object, idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    body = {"access_token": "t", "token_type": "Bearer", "id_token": token}
    idp.fail(answers={"token": {"body": body}})
    if token == 7:
        await unavailable(enter(provider))
    else:
        assert "could not be verified" in await refused(enter(provider))


async def test_a_code_is_good_once_and_with_its_verifier_only(
    idp: IdentityProvider, provider: OpenIdProvider, code_of: Any, enter: SignIn
) -> None:
    given = {"redirect_uri": REDIRECT_URI, "nonce": NONCE, "verifier": VERIFIER}
    code = await code_of(provider)
    await provider.exchange(code=code, **given)
    assert "already completed" in await refused(provider.exchange(code=code, **given))
    assert "already completed" in await refused(enter(provider, verifier="w" * 64))
    assert "nonce" in await refused(enter(provider, nonce="another"))


async def test_keys_may_rotate(
    clock: ManualClock, idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    await enter(provider)
    idp.rotate_keys()
    assert "does not publish" in await refused(enter(provider))  # asked a moment ago
    clock.advance(keys.INTERVAL_S)
    await enter(provider)
    assert idp.requests["jwks"] == 2


# Userinfo.


async def test_userinfo_counts_more(
    idp: IdentityProvider, provider: OpenIdProvider, make: Make, enter: SignIn
) -> None:
    idp.fail(userinfo_claims={"groups": ["ops"]})
    assert (await enter(provider))[0].groups == ("ops",)
    assert (await enter(make(ignore_userinfo=True)))[0].groups == ("devs",)
    idp.fail(discovery={"userinfo_endpoint": None})
    assert (await enter(make()))[0].groups == ("devs",)


async def test_userinfo_of_another_person(
    idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    for sub in ("subject-2", None):
        idp.fail(userinfo_claims={"sub": sub})
        assert "another person" in await refused(enter(provider))


async def test_the_rules_are_asked(idp: IdentityProvider, make: Make, enter: SignIn) -> None:
    rules = ClaimRules(email_domains=frozenset({"example.org"}))
    assert "Only email addresses of example.org" in await refused(enter(make(rules=rules)))


# Refreshes.


async def refresh_token_of(provider: OpenIdProvider, enter: SignIn) -> Secret:
    _, refresh_token = await enter(provider)
    assert refresh_token is not None
    return refresh_token


async def test_a_refresh_tells_who_they_are_now(
    idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    first = await refresh_token_of(provider, enter)
    idp.change_user("alice", name="Alice B.", groups=["ops"])
    person, second = await provider.refresh(first, "subject-1")
    assert (person.name, person.groups) == ("Alice B.", ("ops",))
    assert second not in (None, first)
    with pytest.raises(GrantEndedError):
        await provider.refresh(first, "subject-1")
    idp.fail(rotate=False)
    assert second is not None
    assert (await provider.refresh(second, "subject-1"))[1] is None


async def test_a_provider_without_offline_access_issues_no_refresh_token(
    idp: IdentityProvider, make: Make, enter: SignIn
) -> None:
    _, refresh_token = await enter(make(scopes=("openid", "profile", "email")))
    assert refresh_token is None


async def test_a_disabled_user_is_out(
    idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    refresh_token = await refresh_token_of(provider, enter)
    idp.disable("alice")
    with pytest.raises(GrantEndedError):
        await provider.refresh(refresh_token, "subject-1")


async def test_a_refresh_of_another_person_ends_the_grant(
    idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    refresh_token = await refresh_token_of(provider, enter)
    with pytest.raises(GrantEndedError):
        await provider.refresh(refresh_token, "subject-2")


async def test_a_refresh_asks_the_rules_again(
    idp: IdentityProvider, make: Make, enter: SignIn
) -> None:
    rules = ClaimRules(group_field="groups", allowed_groups=frozenset({"devs"}))
    provider = make(rules=rules)
    refresh_token = await refresh_token_of(provider, enter)
    idp.change_user("alice", groups=[])
    assert "none of the groups" in await refused(provider.refresh(refresh_token, "subject-1"))


@pytest.mark.parametrize("code", ["invalid_grant", "interaction_required", "login_required"])
async def test_what_ends_a_grant(code: str, idp: IdentityProvider, provider: OpenIdProvider):
    idp.fail(answers={"token": {"status": 400, "body": {"error": code}}})
    with pytest.raises(GrantEndedError):
        await provider.refresh(Secret("r"), "subject-1")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, {"error": "invalid_grant"}, "responded with status 500 (invalid_grant)"),
        (503, "down", "responded with status 503"),
        (429, "", "responded with status 429"),
        (400, {"error": "temporarily_unavailable"}, "status 400 (temporarily_unavailable)"),
        (400, {"error": "<script>"}, "responded with status 400"),
        (400, {"error": 7}, "responded with status 400"),
        (302, "", "responded with status 302"),
        (401, {"error": "invalid_client"}, "check --oidc-client-id and --oidc-client-secret"),
        (400, {"error": "unauthorized_client"}, "check --oidc-client-id"),
        (200, "{}", "did not return tokens"),
        (200, "[" * 100_000, "did not return tokens"),
        (200, {"access_token": "a\nb"}, "tokens that are none"),
        (
            200,
            {"access_token": "a", "refresh_token": "r" * (MAX_TOKEN + 1)},
            "tokens that are none",
        ),
    ],
)
async def test_what_does_not_end_a_grant(
    status: int, body: object, said: str, idp: IdentityProvider, provider: OpenIdProvider
) -> None:
    idp.fail(answers={"token": {"status": status, "body": body}})
    error = await unavailable(provider.refresh(Secret("a-refresh-token"), "subject-1"))
    assert said in error.reason
    assert "a-refresh-token" not in error.reason
    assert "<" not in error.reason
    assert error.successor is None


@pytest.mark.parametrize(
    "faults",
    [
        {"answers": {"userinfo": {"status": 503}}},
        {"answers": {"userinfo": {"body": "a.signed.jwt"}}},
        {"answers": {"userinfo": {"body": "[]"}}},
        {"id_token_key": "other"},
    ],
)
async def test_what_fails_after_the_tokens_hands_the_new_refresh_token_on(
    faults: dict[str, Any], idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    refresh_token = await refresh_token_of(provider, enter)
    idp.fail(**faults)
    error = await unavailable(provider.refresh(refresh_token, "subject-1"))
    assert error.successor is not None
    idp.fail()
    person, _ = await provider.refresh(error.successor, "subject-1")
    assert person.username == "alice"


async def test_userinfo_that_no_longer_knows_them_ends_the_grant(
    idp: IdentityProvider, provider: OpenIdProvider, enter: SignIn
) -> None:
    refresh_token = await refresh_token_of(provider, enter)
    idp.fail(answers={"userinfo": {"status": 401}})
    with pytest.raises(GrantEndedError):
        await provider.refresh(refresh_token, "subject-1")


async def test_a_refresh_without_an_id_token(
    idp: IdentityProvider, provider: OpenIdProvider, make: Make, enter: SignIn
) -> None:
    await enter(provider)
    token = next(iter(idp.access_tokens))
    idp.fail(answers={"token": {"body": {"access_token": token}}})
    person, successor = await provider.refresh(Secret("r"), "subject-1")
    assert (person.username, person.groups, successor) == ("alice", ("devs",), None)
    with pytest.raises(SignInRefusedError):
        await provider.refresh(Secret("r"), "subject-2")
    error = await unavailable(make(ignore_userinfo=True).refresh(Secret("r"), "subject-1"))
    assert "no claims without the userinfo endpoint" in error.reason
