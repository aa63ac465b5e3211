"""Codex: a provider of its own with a command for the token, in `config.toml`."""

from collections.abc import Sequence
from pathlib import Path

from .change import Change, edited
from .target import Target
from .toml_file import set_table, set_value, table_text

_NAME = ("model_providers", "aibridge")
_TIMEOUT_MS = 30_000
_REFRESH_MS = 300_000


def plan(target: Target) -> tuple[Sequence[Change], Sequence[str]]:
    """The changes, and what the person has to know."""
    program, *arguments = target.command
    provider = {
        "name": "AI Bridge",
        "base_url": f"{target.base}/v1",
        "wire_api": "responses",
        "supports_websockets": False,
        "auth": {
            "command": program,
            "args": arguments,
            "timeout_ms": _TIMEOUT_MS,
            "refresh_interval_ms": _REFRESH_MS,
        },
    }

    def edit(text: str) -> str:
        return set_table(set_value(text, "model_provider", _NAME[-1]), _NAME, provider)

    by_hand = f'model_provider = "{_NAME[-1]}"\n\n{table_text(_NAME, provider)}'
    folder = target.environ.get("CODEX_HOME")
    path = Path(folder) if folder else target.home / ".codex"
    return [edited(path / "config.toml", edit, by_hand)], target.notes()
