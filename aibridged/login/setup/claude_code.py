"""Claude Code: `apiKeyHelper` in the user's settings, or managed settings with its own sign-in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .change import Change, edited
from .json_file import edit_json, member
from .target import Target

_URL, _HELPER = "ANTHROPIC_BASE_URL", "apiKeyHelper"
# Either counts more than the helper.
_STATIC = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
_MANAGED = {
    "darwin": "/Library/Application Support/ClaudeCode/managed-settings.json",
    "win32": r"C:\Program Files\ClaudeCode\managed-settings.json",
}


def plan(target: Target) -> tuple[Sequence[Change], Sequence[str]]:
    """The changes, and what the person has to know."""
    if target.managed:
        return [_managed(target)], ["Restart Claude Code, and type /login there."]

    def edit(data: dict[str, Any]) -> None:
        data[_HELPER] = target.shell_command
        environment = member(data, "env")
        environment[_URL] = target.base
        for name in _STATIC:
            environment.pop(name, None)

    wanted = {_HELPER: target.shell_command, "env": {_URL: target.base}}
    by_hand = json.dumps(wanted, indent=2)
    folder = target.environ.get("CLAUDE_CONFIG_DIR")
    path = Path(folder) if folder else target.home / ".claude"
    change = edited(path / "settings.json", lambda text: edit_json(text, edit), by_hand)
    return [change], target.notes(*_STATIC, _URL)


def _managed(target: Target) -> Change:
    wanted = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": target.url}
    path = Path(_MANAGED.get(target.platform, "/etc/claude-code/managed-settings.json"))
    by_hand = json.dumps(wanted, indent=2)
    return edited(path, lambda text: edit_json(text, lambda data: data.update(wanted)), by_hand)
