"""What a gateway says of its sign-in is checked; what it answers is understood."""

import pytest

from aibridged.login import oauth
from aibridged.login.failure import LoginError, SignedOutError, UnreachableError
from tests.login.conftest import PENDING, secret, successor

WELL_KNOWN = "/.well-known/oauth-authorization-server"
DEVICE, TOKEN, REVOKE = "/oauth/device_authorization", "/oauth/token", "/oauth/revoke"


def test_endpoints_are_found(oauth_server):
    url = oauth_server.url
    assert oauth.discover(url, None) == oauth.Endpoints(url + DEVICE, url + TOKEN, url + REVOKE)


def test_revocation_is_optional_and_unknown_fields_are_welcome(oauth_server):
    document = oauth_server.metadata(revocation_endpoint=None, gateway_protocol_version=7, x=[1])
    oauth_server.next(WELL_KNOWN, (200, document))
    assert oauth.discover(oauth_server.url, None).revocation is None


def test_an_address_without_sign_in_is_said(oauth_server):
    oauth_server.next(WELL_KNOWN, (404, {}))
    with pytest.raises(LoginError) as raised:
        oauth.discover(oauth_server.url, None)
    assert "offers no sign-in (status 404)" in raised.value.what
    assert "tokens create" in raised.value.mend


@pytest.mark.parametrize(
    "changes",
    [
        {"token_endpoint": "https://elsewhere.example/oauth/token"},
        {"token_endpoint": "http://127.0.0.1:1/oauth/token"},
        {"device_authorization_endpoint": "file:///etc/passwd"},
        {"revocation_endpoint": "//elsewhere.example/revoke"},
        {"token_endpoint": 7},
        {"token_endpoint": ""},
        {"token_endpoint": None},
        {"issuer": "https://elsewhere.example"},
    ],
    ids=repr,
)
def test_endpoints_elsewhere_are_refused(oauth_server, changes):
    oauth_server.next(WELL_KNOWN, (200, oauth_server.metadata(**changes)))
    with pytest.raises(LoginError):
        oauth.discover(oauth_server.url, None)


def test_the_name_of_the_gateway_itself_is_said(oauth_server):
    document = oauth_server.metadata(issuer="https://right.example")
    oauth_server.next(WELL_KNOWN, (200, document))
    with pytest.raises(LoginError, match=r"The issuer at .* is https://right\.example"):
        oauth.discover(oauth_server.url, None)


def begun(server, **changes):
    if changes:
        server.next(DEVICE, (200, server.device(**changes)))
    return oauth.begin(server.url, oauth.discover(server.url, None), None)


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None},
        {"device_code": "d" * 5000},
        {"device_code": "a b"},
        {"user_code": "\x1b[2J"},
        {"user_code": "B" * 40},
        {"verification_uri": None},
        {"verification_uri": "https://elsewhere.example/device"},
        {"verification_uri_complete": "https://elsewhere.example/device?user_code=1"},
        {"verification_uri_complete": "javascript:alert(1)"},
    ],
    ids=repr,
)
def test_a_device_code_that_is_none_is_refused(oauth_server, changes):
    with pytest.raises(LoginError):
        begun(oauth_server, **changes)


def test_times_and_notices_are_bounded(oauth_server):
    device = begun(
        oauth_server, expires_in=10**9, interval=0, login_notice="Hello\x1b[31m\n" + "x" * 9000
    )
    assert (device.lifetime, device.interval) == (3600, 1)
    assert device.notice.startswith("Hello [31m x")
    assert len(device.notice) == 500
    device = begun(oauth_server, expires_in="soon", interval=10**9)
    assert (device.lifetime, device.interval) == (600, 60)
    device = begun(oauth_server, expires_in=float("nan"), interval=10**400)
    assert (device.lifetime, device.interval) == (600, 60)


def waited(server, clock):
    device = begun(server)
    return oauth.wait(oauth.discover(server.url, None), device, clock, None)


def test_polling_keeps_the_interval_and_slows_down_when_told(oauth_server, clock):
    slow = (400, {"error": "slow_down"})
    oauth_server.next(TOKEN, PENDING, slow, PENDING, (503, b"busy"))
    tokens = waited(oauth_server, clock)
    assert tokens == oauth.Tokens(secret(0), successor(0), 3600, "ann@example.com")
    assert clock.slept == [5, 5, 10, 10, 10]


def test_polling_ends_with_the_code(oauth_server, clock):
    oauth_server.next(TOKEN, *[PENDING] * 200)
    with pytest.raises(LoginError, match="code has expired"):
        waited(oauth_server, clock)
    assert 590 <= clock.elapsed <= 600


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": "expired_token"}), "code has expired"),
        ((400, {"error": "access_denied"}), "declined"),
        ((400, {"error": "access_denied", "error_description": "Not you."}), "^Not you$"),
        ((400, {"error": "invalid_request", "error_description": "Bad\x1b."}), "refused: Bad"),
        ((404, b""), "status 404"),
        ((200, {"access_token": "t"}), "isn't one of a sign-in"),
        ((200, {"access_token": "a\nb", "token_type": "bearer"}), "isn't one"),
        ((200, {"access_token": "t" * 5000, "token_type": "Bearer"}), "isn't one"),
        ((200, {"access_token": "t", "token_type": "mac"}), "isn't one"),
    ],
)
def test_what_ends_the_polling_is_said(oauth_server, clock, answer, said):
    oauth_server.next(TOKEN, answer)
    with pytest.raises(LoginError, match=said):
        waited(oauth_server, clock)


def refreshed(server):
    return oauth.refresh(server.url + TOKEN, successor(0), None, 5)


def test_a_refresh_gives_the_next_pair(oauth_server):
    assert refreshed(oauth_server).access == secret(1)
    with pytest.raises(SignedOutError):
        refreshed(oauth_server)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, {"error": "invalid_grant"}), SignedOutError),
        ((400, {"error": "invalid_grant"}), SignedOutError),
        ((401, b""), SignedOutError),
        ((503, {"error": "temporarily_unavailable"}), UnreachableError),
        ((502, b"<html>"), UnreachableError),
        ((429, b""), UnreachableError),
        ((400, {"error": "invalid_request"}), LoginError),
    ],
)
def test_a_refresh_that_fails_says_whether_another_helps(oauth_server, answer, kind):
    oauth_server.next(TOKEN, answer)
    with pytest.raises(LoginError) as raised:
        refreshed(oauth_server)
    assert type(raised.value) is kind


def test_both_tokens_are_revoked(oauth_server):
    oauth.revoke(oauth_server.url + REVOKE, "a", "r", None)
    oauth.revoke(oauth_server.url + REVOKE, "b", None, None)
    assert oauth_server.forms(REVOKE) == [
        {"token": "a"},
        {"token": "r", "token_type_hint": "refresh_token"},
        {"token": "b"},
    ]
    oauth_server.next(REVOKE, (503, {}))
    with pytest.raises(LoginError):
        oauth.revoke(oauth_server.url + REVOKE, "a", "r", None)
