"""The page of settings: how one is found, and in which groups they are."""

from types import SimpleNamespace
from typing import Any

import pytest

from aibridged.ui.views.operations import settings


def setting(name: str, group: str = "Identity", value: str = "1m") -> dict[str, Any]:
    return {"name": name, "group": group, "value": value, "source": "default", "where": None}


async def shown(query: dict[str, str], *found: dict[str, Any]) -> dict[str, list[str]]:
    async def ask(path: str) -> dict[str, Any]:
        return {"settings": list(found)}

    page = await settings(SimpleNamespace(query=query, ask=ask))  # type: ignore[arg-type]
    groups = page.values["groups_of_settings"]
    return {name: [each["name"] for each in rows] for name, rows in groups}


@pytest.mark.parametrize(
    "typed",
    ["cache", "auth_cache_ttl", "--aibridge-auth-cache-ttl", "CODER_AIBRIDGE_AUTH_CACHE_TTL", "1M"],
)
async def test_a_setting_is_found_by_any_of_its_names(typed):
    found = await shown({"q": typed}, setting("auth_cache_ttl"), setting("auth", value="token"))
    assert found == {"Identity": ["auth_cache_ttl"]}


async def test_a_group_is_there_once():
    found = await shown({}, setting("auth"), setting("ui_address", "Server"), setting("policies"))
    assert found == {"Identity": ["auth", "policies"], "Server": ["ui_address"]}
