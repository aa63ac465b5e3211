"""pi: Anthropic's and OpenAI's providers in `models.json`, with a command for the token."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..failure import LoginError
from .change import Change, edited
from .json_file import edit_json, member
from .target import Target


def plan(target: Target) -> tuple[Sequence[Change], Sequence[str]]:
    """The changes, and what the person has to know."""
    if target.provider is not None:
        raise LoginError(
            "--provider can't be given for pi: it uses several",
            "The gateway's first provider of each type serves it.",
        )
    token = f"!{target.shell_command}"
    wanted = {
        "anthropic": {"baseUrl": target.base, "apiKey": token},
        "openai": {"baseUrl": f"{target.base}/v1", "apiKey": token},
    }

    def edit(data: dict[str, Any]) -> None:
        providers = member(data, "providers")
        for name, values in wanted.items():
            member(providers, name).update(values)

    by_hand = json.dumps({"providers": wanted}, indent=2)
    folder = target.environ.get("PI_CODING_AGENT_DIR")
    path = Path(folder) if folder else target.home / ".pi" / "agent"
    return [edited(path / "models.json", lambda text: edit_json(text, edit), by_hand)], (
        target.notes()
    )
