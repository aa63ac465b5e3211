"""`aibridged logout`: the tokens are worthless there, and gone here."""

import pytest

from aibridged.login.failure import LoginError, SignedOutError
from tests.login.conftest import secret, successor

REVOKE = "/oauth/revoke"


def test_both_tokens_are_revoked_and_removed(command, logins, stored, oauth_server, capsys):
    login = stored()
    command("logout")
    assert oauth_server.forms(REVOKE) == [
        {"token": secret(0)},
        {"token": successor(0), "token_type_hint": "refresh_token"},
    ]
    assert logins.load(login.url) is None
    assert capsys.readouterr().out == f"Signed out of {login.url}.\n"
    with pytest.raises(SignedOutError):
        command("logout")


def test_a_gateway_that_cannot_be_told_is_said_and_they_are_gone_here(
    command, logins, stored, oauth_server
):
    login = stored()
    oauth_server.next(REVOKE, (503, {}))
    with pytest.raises(LoginError, match="could not revoke them"):
        command("logout")
    assert logins.load(login.url) is None


def test_a_gateway_without_revocation_is_said(command, logins, stored):
    login = stored(revocation_endpoint=None)
    with pytest.raises(LoginError, match="it has no revocation"):
        command("logout")
    assert logins.load(login.url) is None


def test_the_one_that_is_named_or_all(command, logins, stored, oauth_server):
    first = stored()
    last = stored(url="https://other.example")
    command("logout", "--url", first.url)
    assert list(logins.urls()) == [last.url]
    stored()
    command("logout", "--all")
    assert list(logins.urls()) == []
    with pytest.raises(SignedOutError, match="anywhere"):
        command("logout", "--all")
