"""The key is made once, for nobody else to read, and says what to do when it is of no use."""

import os

import pytest

from aibridged.config.secret import Secret
from aibridged.identity.credential_key import CredentialKey, CredentialKeyError

TOKEN = Secret("canary-0123456789")


@pytest.fixture
def key(tmp_path):
    made = CredentialKey(tmp_path / "state" / "mcp-credentials.key")
    made.make()
    return made


def test_what_is_encrypted_is_read_again_and_only_for_its_purpose(key):
    encrypted = key.encrypt(TOKEN, "alice docs")
    assert b"canary" not in encrypted
    assert key.decrypt(encrypted, "alice docs") == TOKEN
    with pytest.raises(CredentialKeyError):
        key.decrypt(encrypted, "bob docs")


def test_the_same_token_is_never_encrypted_alike(key):
    assert key.encrypt(TOKEN, "a") != key.encrypt(TOKEN, "a")


def test_the_file_is_the_owners_alone(key):
    assert key.path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_there_is_not_made_anew(key):
    before = key.path.read_text()
    key.make()
    assert key.path.read_text() == before


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 31, "é" * 64])
def test_a_file_that_holds_no_key(key, text):
    key.path.write_text(text)
    with pytest.raises(CredentialKeyError, match=r"There is no key in .*Restore"):
        key.encrypt(TOKEN, "a")


def test_a_key_file_that_is_a_symbolic_link_is_not_followed(key, tmp_path):
    moved = key.path.rename(tmp_path / "moved")
    key.path.symlink_to(moved)
    with pytest.raises(CredentialKeyError, match="symbolic link"):
        key.encrypt(TOKEN, "a")
    key.make()
    assert moved.read_text() == key.path.read_text()


def test_a_key_file_of_any_size_is_no_key_and_takes_no_memory(key):
    os.truncate(key.path, 8 << 40)  # a hole
    with pytest.raises(CredentialKeyError, match="no key"):
        key.encrypt(TOKEN, "a")


def test_another_key(key):
    encrypted = key.encrypt(TOKEN, "a")
    key.path.unlink()
    key.make()
    with pytest.raises(CredentialKeyError, match="Daemons that share a database"):
        key.decrypt(encrypted, "a")
    for damaged in (b"", encrypted[:11], encrypted[:-1]):
        with pytest.raises(CredentialKeyError):
            key.decrypt(damaged, "a")


def test_a_lost_key(key):
    encrypted = key.encrypt(TOKEN, "a")
    key.path.unlink()
    with pytest.raises(CredentialKeyError, match=r"is missing.*Restore it from a backup"):
        key.decrypt(encrypted, "a")


def test_a_place_where_nothing_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialKeyError, match="can't be created: "):
        CredentialKey(tmp_path / "file" / "key").make()
