import getpass
import tomllib
from datetime import timedelta

import pytest
from loguru import logger

from aibridged.identity.first_run import first_run

URLS = {
    "anthropic_base_url": "http://127.0.0.1:4001/anthropic",
    "openai_base_url": "http://127.0.0.1:4001/openai/v1",
}


@pytest.fixture(autouse=True)
def somebody(tmp_path, monkeypatch):  # tmp_path asks for the real name, so it comes first
    monkeypatch.setattr(getpass, "getuser", lambda: "Ann.Example")


@pytest.fixture
def log():
    lines = []
    sink = logger.add(lines.append, format="{level} {message}", level=0)
    yield lines
    logger.remove(sink)


def pasted(text):
    """The indented lines, which are to be pasted."""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def variables(text):
    lines = [line.removeprefix("export ") for line in pasted(text) if line.startswith("export ")]
    return dict(line.split("=", 1) for line in lines)


def test_in_a_terminal_there_is_a_user_and_what_to_paste(store, log):
    text = first_run(store, terminal=True, **URLS)
    [user] = store.list_users()
    assert (user.username, user.is_admin) == ("ann-example", True)
    given = variables(text)
    assert given["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:4001/anthropic"
    assert given["ANTHROPIC_AUTH_TOKEN"] == given["AIBRIDGE_TOKEN"]
    assert store.authenticate(given["AIBRIDGE_TOKEN"]).username == "ann-example"
    assert log == []
    assert all(len(line) <= 80 for line in text.splitlines() if "export" not in line)


def test_where_there_is_a_maximum_the_token_says_when_it_ends(store, clock):
    text = first_run(store, terminal=True, **URLS, lifetime=86400)
    assert "The token below expires on 2026-01-02 00:00:00 UTC and is shown only once." in text
    [info] = store.list_tokens()
    assert info.expires_at == clock.wall() + timedelta(days=1)


def test_what_is_pasted_for_codex_is_toml(store):
    text = first_run(store, terminal=True, **URLS)
    codex = tomllib.loads("\n".join(line for line in pasted(text) if "export" not in line))
    assert codex == {
        "model_provider": "aibridge",
        "model_providers": {
            "aibridge": {
                "name": "AI Bridge",
                "base_url": "http://127.0.0.1:4001/openai/v1",
                "env_key": "AIBRIDGE_TOKEN",
                "wire_api": "responses",
                "supports_websockets": False,
            }
        },
    }


def test_a_client_without_its_provider_is_left_out(store):
    text = first_run(store, terminal=True, anthropic_base_url=None, openai_base_url="http://x/v1")
    assert "Claude" not in text
    assert "Codex" in text


def test_without_either_the_token_is_shown_all_the_same(store):
    text = first_run(store, terminal=True, anthropic_base_url=None, openai_base_url=None)
    assert store.authenticate(pasted(text)[0]) is not None


def test_without_a_terminal_nothing_is_made_and_the_log_says_what_to_do(store, log):
    assert first_run(store, terminal=False, **URLS) is None
    assert store.is_empty()
    [line] = log
    assert line.startswith("WARNING There are no users yet")
    assert "`aibridged users create USERNAME`" in line
    assert "`aibridged tokens create --user USERNAME`" in line


def test_where_people_sign_up_the_log_asks_for_nothing(store, log):
    assert first_run(store, terminal=False, **URLS, can_sign_up=True) is None
    assert log == ["INFO There are no users yet: each person becomes one by signing in\n"]


@pytest.mark.parametrize("terminal", [True, False])
def test_there_is_only_one_first_run(store, log, terminal):
    first_run(store, terminal=True, **URLS)
    assert first_run(store, terminal=terminal, **URLS) is None
    assert len(store.list_tokens()) == 1
    assert log == []


def test_two_daemons_that_start_at_once_make_one_user(store, monkeypatch):
    first_run(store, terminal=True, **URLS)
    monkeypatch.setattr(store, "is_empty", lambda: True)
    assert first_run(store, terminal=True, **URLS) is None
    assert len(store.list_tokens()) == 1


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 1000"), OSError()])
def test_a_user_id_without_a_name_is_admin(store, monkeypatch, error):
    def getuser():
        raise error

    monkeypatch.setattr(getpass, "getuser", getuser)
    first_run(store, terminal=True, **URLS)
    assert [user.username for user in store.list_users()] == ["admin"]
