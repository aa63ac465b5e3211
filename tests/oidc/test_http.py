"""Answers that never come, never end, or come from nobody."""

import pytest

from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import read_proxy_url
from aibridged.oidc import http as subject
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.http import Http
from tests.identity_provider import IdentityProvider


async def test_an_answer(idp: IdentityProvider, http: Http) -> None:
    answer = await http.get("jwks_uri", f"{idp.issuer}/jwks")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert b'"keys"' in answer.body


async def test_one_that_never_ends_has_a_bound(idp: IdentityProvider, http: Http) -> None:
    idp.fail(huge=["jwks"])
    with pytest.raises(ProviderUnavailableError, match="larger than 1 MiB"):
        await http.get("jwks_uri", f"{idp.issuer}/jwks")
    # Blocks of 64 KiB; some were on the way.
    assert idp.requests["huge"] * 65536 < 24 * subject.MAX_ANSWER_BYTES


async def test_one_that_never_comes_has_a_deadline(
    idp: IdentityProvider, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "TIMEOUT_S", 0.05)
    idp.fail(slow=["token"])
    with pytest.raises(ProviderUnavailableError, match="token endpoint did not respond within"):
        await http.post("token endpoint", f"{idp.issuer}/token", "a=b", {})


async def test_who_is_not_there_is_said_to_be_so(idp: IdentityProvider, http: Http) -> None:
    await idp.away()
    with pytest.raises(ProviderUnavailableError, match="could not be reached: connection refused"):
        await http.get("jwks_uri", f"{idp.issuer}/jwks")


async def test_a_redirect_is_not_followed(idp: IdentityProvider, http: Http) -> None:
    elsewhere = {"status": 302, "headers": {"Location": f"{idp.issuer}/jwks"}}
    idp.fail(answers={"userinfo": elsewhere})
    answer = await http.get("userinfo endpoint", f"{idp.issuer}/userinfo", "secret")
    assert answer.status == 302
    assert "jwks" not in idp.counts()


async def test_requests_go_through_the_outbound_proxy(idp: IdentityProvider) -> None:
    proxy = read_proxy_url(f"http://user:password@{idp.issuer.removeprefix('http://')}")
    http = Http(OutboundProxies(http=proxy))
    try:
        # The provider plays the proxy here: it gets the request for the other host itself.
        answer = await http.get("jwks_uri", "http://id.example.com/jwks")
        assert answer.status == 200
    finally:
        await http.close()
    assert idp.counts() == {"jwks": 1}
