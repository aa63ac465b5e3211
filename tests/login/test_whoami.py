"""`aibridged whoami`: what the gateway says of the bearer."""

import pytest

from aibridged.login.failure import LoginError, SignedOutError
from tests.login.conftest import secret

ME = "/api/v2/users/me"


def test_the_gateway_is_asked_with_the_bearer(command, stored, oauth_server, capsys):
    login = stored()
    command("whoami")
    [(path, _, headers)] = oauth_server.requests
    assert (path, headers["Authorization"]) == (ME, f"Bearer {secret(0)}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "User     ann",
        "Email    ann@example.com",
        "Groups   team",
        f"Gateway  {login.url}",
    ]
    assert lines[4].startswith("Token    valid until 20")
    assert lines[4].endswith(", renewed by itself")
    assert secret(0) not in "".join(lines)


def test_what_it_says_is_harmless(command, stored, oauth_server, capsys):
    stored()
    person = {
        "username": "a\x1b[2Jn",
        "email": 7,
        "groups": ["x\n", 1],
        "roles": [{"name": "owner"}],
    }
    oauth_server.next(ME, (200, person))
    command("whoami")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "User     a [2Jn",
        "Email    ann@example.com",
        "Groups   x ",
        "Role     admin",
    ]


def test_a_gateway_that_does_not_know_the_question(command, stored, oauth_server, capsys):
    stored()
    oauth_server.next(ME, (404, {}))
    command("whoami")
    assert capsys.readouterr().out.startswith("Email    ann@example.com\nGateway")


def test_a_bearer_that_is_refused_is_said(command, stored, oauth_server):
    stored()
    oauth_server.next(ME, (401, {}), (503, {}))
    with pytest.raises(SignedOutError, match="no longer accepts"):
        command("whoami")
    with pytest.raises(LoginError, match="status 503"):
        command("whoami")
