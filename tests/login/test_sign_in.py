"""`aibridged login`: the device grant as a person sees it."""

import threading
import webbrowser
from dataclasses import replace

import pytest

from aibridged.login.failure import LoginError
from aibridged.login.sign_in import has_browser
from tests.login.conftest import PENDING, secret

TOKEN, REVOKE = "/oauth/token", "/oauth/revoke"


@pytest.fixture
def opened(monkeypatch):
    """What the browser was opened with, once it was."""
    pages, done = [], threading.Event()

    def open(page):
        pages.append(page)
        done.set()

    monkeypatch.setattr(webbrowser, "open", open)

    def opened(*, at_all=True):
        if at_all:
            assert done.wait(10)
        return pages

    return opened


def test_a_code_is_shown_and_the_sign_in_stored(command, logins, oauth_server, capsys, opened):
    oauth_server.next(TOKEN, PENDING)
    command("login", f"{oauth_server.url}/")
    said = capsys.readouterr().out
    assert f"    {oauth_server.url}/device?user_code=BCDF-GHJK\n    BCDF-GHJK\n" in said
    assert f"Signed in at {oauth_server.url} as ann@example.com.\n" in said
    assert "aib_" not in said
    assert "air_" not in said
    login = logins.chosen(None)
    assert (login.url, login.access_token, login.email) == (
        oauth_server.url,
        secret(0),
        "ann@example.com",
    )
    assert login.revocation_endpoint == oauth_server.url + REVOKE
    assert opened(at_all=False) == []


def test_the_browser_of_who_sits_in_front_of_it_opens(
    command, terminal, oauth_server, capsys, opened
):
    desk = replace(terminal, is_interactive=True, environ={"DISPLAY": ":0"})
    command("login", oauth_server.url, at=desk)
    assert opened() == [f"{oauth_server.url}/device?user_code=BCDF-GHJK"]
    said = capsys.readouterr().out
    assert "compare before you go on" in said
    assert "BCDF-GHJK\n" in said


def test_no_browser_opens_where_none_is_wanted(command, terminal, oauth_server, opened):
    desk = replace(terminal, is_interactive=True, environ={"DISPLAY": ":0"})
    command("login", oauth_server.url, "--no-browser", at=desk)
    assert opened(at_all=False) == []


@pytest.mark.parametrize(
    ("platform", "environ", "found"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "a b"}, False),
        ("linux", {"BROWSER": "firefox", "SSH_TTY": "/dev/pts/0"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_TTY": "/dev/ttys000"}, False),
        ("win32", {}, True),
    ],
)
def test_where_there_is_a_browser(platform, environ, found):
    assert has_browser(environ, platform) is found


def test_a_notice_of_the_gateway_is_shown(command, oauth_server, capsys):
    device = oauth_server.device(login_notice="Employees only.")
    oauth_server.next("/oauth/device_authorization", (200, device))
    command("login", oauth_server.url)
    assert capsys.readouterr().out.startswith("Employees only.\n")


def test_the_sign_in_before_is_revoked(command, logins, stored, oauth_server):
    stored(access_token=secret(9), refresh_token=None)
    command("login", oauth_server.url)
    assert oauth_server.forms(REVOKE) == [{"token": secret(9)}]
    assert logins.chosen(None).access_token == secret(0)


def test_a_damaged_one_is_replaced(command, logins, stored, oauth_server):
    login = stored()
    logins._path(login.url).write_text("{")
    command("login", oauth_server.url)
    assert logins.chosen(None).access_token == secret(0)


def test_who_declines_is_not_signed_in_and_keeps_what_was(command, logins, stored, oauth_server):
    before = stored(access_token=secret(9))
    oauth_server.next(TOKEN, (400, {"error": "access_denied"}))
    with pytest.raises(LoginError, match="declined") as caught:
        command("login", oauth_server.url)
    assert "browser says why" in caught.value.mend
    assert logins.chosen(None) == before


def test_a_gateway_on_loopback_without_tls_is_named_with_its_scheme(command, oauth_server):
    address = oauth_server.url.removeprefix("http://")
    with pytest.raises(LoginError, match="doesn't speak TLS") as caught:
        command("login", address)
    assert caught.value.mend == f"Try http://{address}."


def test_one_that_cannot_be_renewed_says_so(command, oauth_server, capsys):
    oauth_server.next(TOKEN, (200, oauth_server.pair(0, refresh_token=None, email=None)))
    command("login", oauth_server.url)
    assert "it ends in 1.0 h." in capsys.readouterr().out
