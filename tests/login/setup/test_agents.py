"""What each agent's own configuration becomes."""

import json
import tomllib
from pathlib import Path

import pytest

from aibridged.login.failure import LoginError
from aibridged.login.setup import claude_code, codex, kilo, opencode, pi
from tests.login.setup.conftest import URL

COMMAND = f"'/opt/my bin/aibridged' access-token --url {URL}"


def test_claude_code_calls_for_its_key(target, tmp_path):
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"model": "opus", "env": {"ANTHROPIC_AUTH_TOKEN": "aib_old", "X": "1"}}')
    [change], notes = claude_code.plan(target())
    assert change.path == path
    assert json.loads(change.after) == {
        "model": "opus",
        "env": {"X": "1", "ANTHROPIC_BASE_URL": URL},
        "apiKeyHelper": COMMAND,
    }
    assert notes == []


def test_claude_code_is_set_up_where_it_looks(target, tmp_path):
    [change], _ = claude_code.plan(target(environ={"CLAUDE_CONFIG_DIR": str(tmp_path / "c")}))
    assert change.path == tmp_path / "c" / "settings.json"


@pytest.mark.parametrize(
    ("platform", "path"),
    [
        ("linux", "/etc/claude-code/managed-settings.json"),
        ("darwin", "/Library/Application Support/ClaudeCode/managed-settings.json"),
        ("win32", r"C:\Program Files\ClaudeCode\managed-settings.json"),
    ],
)
def test_managed_settings_have_the_sign_in(target, platform, path):
    [change], notes = claude_code.plan(target(platform=platform, managed=True))
    assert change.path == Path(path)
    wanted = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": URL}
    assert wanted.items() <= json.loads(change.after).items()
    assert "/login" in notes[0]


def test_what_counts_more_and_what_is_missing_is_said(target):
    _, notes = claude_code.plan(
        target(environ={"ANTHROPIC_API_KEY": "sk-ant-x"}, is_signed_in=False)
    )
    assert notes == [
        f"Sign in: `aibridged login {URL}`.",
        "ANTHROPIC_API_KEY is set in this shell, and counts more: unset it.",
    ]


def test_codex_has_a_provider_with_a_command(target, tmp_path):
    [change], _ = codex.plan(target(provider="openai"))
    assert change.path == tmp_path / ".codex" / "config.toml"
    assert tomllib.loads(change.after) == {
        "model_provider": "aibridge",
        "model_providers": {
            "aibridge": {
                "name": "AI Bridge",
                "base_url": f"{URL}/openai/v1",
                "wire_api": "responses",
                "supports_websockets": False,
                "auth": {
                    "command": "/opt/my bin/aibridged",
                    "args": ["access-token", "--url", URL],
                    "timeout_ms": 30_000,
                    "refresh_interval_ms": 300_000,
                },
            }
        },
    }
    [change], _ = codex.plan(target(environ={"CODEX_HOME": str(tmp_path / "c")}))
    assert change.path == tmp_path / "c" / "config.toml"
    assert tomllib.loads(change.after)["model_providers"]["aibridge"]["base_url"] == f"{URL}/v1"


def test_what_codex_cannot_be_given_is_shown_to_be_added_by_hand(target, tmp_path):
    path = tmp_path / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text("model_providers.aibridge.name = 'x'\n")
    with pytest.raises(LoginError) as raised:
        codex.plan(target())
    assert "add this by hand" in raised.value.mend
    added = "\n".join(raised.value.lines)
    assert tomllib.loads(added)["model_providers"]["aibridge"]["auth"]["args"][0] == "access-token"


@pytest.mark.parametrize(("agent", "folder"), [(opencode, "opencode"), (kilo, "kilo")])
def test_opencode_and_what_is_made_of_it_have_a_plugin(target, tmp_path, agent, folder):
    [change], _ = agent.plan(target(environ={"XDG_CONFIG_HOME": str(tmp_path / "x")}))
    assert change.path == tmp_path / "x" / folder / "plugins" / "aibridged.js"
    assert f"`aibridged setup {folder} --undo`" in change.after
    assert f'const BASE_URL = "{URL}/v1"\n' in change.after
    words = json.dumps(["/opt/my bin/aibridged", "access-token", "--url", URL])
    assert f"const COMMAND = {words}\n" in change.after


def test_pi_calls_for_its_keys(target, tmp_path):
    path = tmp_path / ".pi" / "agent" / "models.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"providers": {"mine": {}, "openai": {"headers": {}}}}')
    [change], _ = pi.plan(target())
    assert json.loads(change.after)["providers"] == {
        "mine": {},
        "openai": {"headers": {}, "baseUrl": f"{URL}/v1", "apiKey": f"!{COMMAND}"},
        "anthropic": {"baseUrl": URL, "apiKey": f"!{COMMAND}"},
    }


@pytest.mark.parametrize("agent", [kilo, opencode, pi])
def test_who_uses_several_providers_is_given_none(target, agent):
    with pytest.raises(LoginError, match="uses several"):
        agent.plan(target(provider="openai"))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", 'a"'])
def test_a_provider_is_a_name(target, name):
    with pytest.raises(LoginError, match="not a provider's name"):
        codex.plan(target(provider=name))


def test_windows_has_its_own_quotes(target):
    words = (r"C:\Program Files\aibridged.exe", "access-token")
    command = target(platform="win32", command=words).shell_command
    assert command == r'"C:\Program Files\aibridged.exe" access-token'
