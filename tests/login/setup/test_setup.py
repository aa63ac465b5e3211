"""`aibridged setup`: shows, asks, does, and undoes."""

import builtins
import json
from dataclasses import replace

import pytest

from aibridged.login.failure import LoginError
from tests.login.setup.conftest import URL


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{\n  "model": "opus"\n}\n')
    return path


@pytest.fixture
def desk(terminal, monkeypatch):
    """Somebody in front of it, who says what they are told to; the questions they were asked."""
    asked = []

    def desk(answer):
        def input(question):
            asked.append(question)
            if answer is None:
                raise EOFError
            return answer

        monkeypatch.setattr(builtins, "input", input)
        return replace(terminal, is_interactive=True)

    desk.asked = asked
    return desk


def test_it_shows_asks_does_and_undoes(command, desk, settings, capsys):
    before = settings.read_text()
    command("setup", "claude-code", "--url", URL, at=desk("y"))
    said = capsys.readouterr().out
    assert '+  "apiKeyHelper": "/opt/bin/aibridged access-token' in said
    assert "`/opt/bin/aibridged setup claude-code --undo` restores it" in said
    assert f"Note: Sign in: `aibridged login {URL}`." in said
    assert json.loads(settings.read_text())["env"] == {"ANTHROPIC_BASE_URL": URL}
    command("setup", "claude-code", "--url", URL, at=desk("y"))
    assert capsys.readouterr().out == "It is set up already.\n"
    command("setup", "claude-code", "--undo", at=desk("y"))
    assert settings.read_text() == before
    command("setup", "claude-code", "--undo", at=desk("y"))
    assert capsys.readouterr().out.endswith("There is nothing to undo.\n")
    assert len(desk.asked) == 2


@pytest.mark.parametrize("answer", ["n", "", None, "yellow"])
def test_who_does_not_agree_keeps_what_is_there(command, desk, settings, answer):
    before = settings.read_text()
    with pytest.raises(LoginError, match="nothing was changed"):
        command("setup", "claude-code", "--url", URL, at=desk(answer))
    assert settings.read_text() == before


def test_where_nobody_can_be_asked_it_needs_a_yes(command, settings, logins):
    before = settings.read_text()
    with pytest.raises(LoginError) as raised:
        command("setup", "claude-code", "--url", URL)
    assert "--yes" in raised.value.mend
    assert settings.read_text() == before
    command("setup", "claude-code", "--url", URL, "--yes")
    assert settings.read_text() != before


def test_print_only_shows(command, settings, capsys, tmp_path):
    before = settings.read_text()
    command("setup", "claude-code", "--url", URL, "--print")
    assert "apiKeyHelper" in capsys.readouterr().out
    assert settings.read_text() == before
    assert not (tmp_path / ".config").exists()


def test_the_gateway_is_the_one_that_was_signed_in_to(command, stored, tmp_path):
    login = stored()
    command("setup", "codex", "--yes")
    assert f'base_url = "{login.url}/v1"' in (tmp_path / ".codex" / "config.toml").read_text()


def test_without_a_gateway_it_says_so(command):
    with pytest.raises(LoginError, match="for which gateway"):
        command("setup", "codex")


def test_managed_settings_are_claude_codes(command):
    with pytest.raises(LoginError, match="for claude-code"):
        command("setup", "codex", "--managed", "--url", URL)
