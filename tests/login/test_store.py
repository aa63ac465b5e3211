"""Sign-ins are kept private, one for each gateway, the last one first."""

import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from aibridged.login.failure import LoginError, SignedOutError


def test_what_is_stored_comes_back_and_is_private(logins, stored, tmp_path):
    login = stored()
    assert logins.load(login.url) == login
    [path] = (tmp_path / ".config" / "aibridged" / "logins").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_no_secret_is_shown(stored):
    assert "sss" not in repr(stored())
    assert "rrr" not in repr(stored())


def test_the_last_one_is_the_default_and_each_can_be_chosen(logins, stored):
    first = stored(url="https://a.example")
    last = stored(url="https://b.example:8443/ai")
    assert logins.chosen(None) == last
    assert logins.chosen(first.url) == first
    assert sorted(logins.urls()) == [first.url, last.url]
    logins.delete(last)
    assert logins.chosen(None) == first
    logins.delete(first)
    with pytest.raises(SignedOutError, match=r"not signed in$"):
        logins.chosen(None)
    with pytest.raises(SignedOutError, match=r"not signed in at https://c\.example"):
        logins.chosen("https://c.example")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "{" * 5000,
        '{"url": 1}',
        pytest.param(None, id="a field of another type"),
        pytest.param("x" * 70_000, id="long"),
    ],
)
def test_a_damaged_file_is_said(logins, stored, tmp_path, text):
    login = stored()
    [path] = (tmp_path / ".config" / "aibridged" / "logins").glob("*.json")
    if text is None:
        text = json.dumps({**json.loads(path.read_text()), "expires_at": "tomorrow"})
    path.write_text(text)
    with pytest.raises(LoginError, match="damaged"):
        logins.load(login.url)


def test_what_a_later_release_adds_is_no_damage(logins, stored, tmp_path):
    login = stored()
    [path] = (tmp_path / ".config" / "aibridged" / "logins").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "new": [1]}))
    assert logins.load(login.url) == login


class FakeKeyring(ModuleType):
    """The library's functions; `broken` has no backend."""

    def __init__(self, broken=False):
        super().__init__("keyring")
        self.kept, self.broken = {}, broken
        self.errors = ModuleType("keyring.errors")
        self.errors.KeyringError = type("KeyringError", (Exception,), {})

    def get_password(self, service, name):
        return self.kept.get((service, name))

    def set_password(self, service, name, text):
        if self.broken:
            raise self.errors.KeyringError("No recommended backend was available.\nmore")
        self.kept[service, name] = text

    def delete_password(self, service, name):
        del self.kept[service, name]


@pytest.fixture
def keyring(monkeypatch):
    fake = FakeKeyring()
    monkeypatch.setitem(sys.modules, "keyring", fake)
    monkeypatch.setitem(sys.modules, "keyring.errors", fake.errors)
    return fake


def test_a_keyring_has_the_tokens_and_the_file_has_none(keyring, logins, stored, tmp_path):
    login = stored(keyring=True)
    assert logins.load(login.url) == login
    [path] = (tmp_path / ".config" / "aibridged" / "logins").glob("*.json")
    assert not {"sss", "rrr"} & {part for part in ("sss", "rrr") if part in path.read_text()}
    renewed = replace(login, access_token="other")
    logins.save(renewed)
    assert logins.load(login.url) == renewed
    logins.delete(login)
    assert keyring.kept == {}
    assert logins.load(login.url) is None


def test_a_keyring_that_was_emptied_is_no_sign_in(keyring, logins, stored):
    login = stored(keyring=True)
    keyring.kept.clear()
    assert logins.load(login.url) is None


def test_a_keyring_that_does_not_work_is_said(keyring, logins, stored):
    keyring.broken = True
    with pytest.raises(LoginError, match="No recommended backend was available"):
        stored(keyring=True)


def test_a_missing_library_is_said(monkeypatch, stored):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(LoginError) as raised:
        stored(keyring=True)
    assert "pipx inject" in raised.value.text("x")
