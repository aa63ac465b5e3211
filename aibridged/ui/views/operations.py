"""Providers and settings: what an operator looks at, and what is in force."""

from collections.abc import Mapping
from typing import Any

from aibridged.errors import ERRORS
from aibridged.ui.page import Html, Page, Role, Visit

_WORDS = {kind.code: kind.sentence for kind in ERRORS}
_SOURCES = {
    "flag": "flag",
    "environment": "variable",
    "credential": "credential",
    "file": "file",
    "default": "default",
}
_PREFIXES = ("coder_", "aibridge_", "ai_gateway_")
"""What flags and variables begin with, and names of settings don't."""


async def providers(visit: Visit) -> Html:
    """The health of the providers, and of the daemon itself."""
    health = await visit.ask("/providers/health")
    status = await visit.ask("/status")
    for each in health["providers"]:
        each["state"] = _state(each)
        each["told"] = _told(each["refusals"])
    health["told"] = _told(health["refusals"])
    return Html("operations/providers.html", {"health": health, "status": status})


async def settings(visit: Visit) -> Html:
    """The settings in force, those that were set first where that is asked for."""
    found = await visit.ask("/settings")
    typed = visit.query.get("q", "").strip().lower()
    only_set = visit.query.get("set") == "1"
    rows = [
        each
        for each in found["settings"]
        if (not only_set or each["source"] != "default") and _fits(each, typed)
    ]
    for each in rows:
        each["from"] = _SOURCES.get(each["source"], each["source"])
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in rows:
        groups.setdefault(each["group"], []).append(each)
    values = {
        "found": found,
        "groups_of_settings": groups.items(),
        "typed": typed,
        "only_set": only_set,
    }
    return Html("operations/settings.html", values)


def _fits(setting: Mapping[str, Any], typed: str) -> bool:
    """Whether a setting has what was typed: part of its name, as a flag or a variable too."""
    name = typed.lstrip("-").replace("-", "_")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    texts = (setting["value"], setting["where"] or "")
    return name in setting["name"] or any(typed in text.lower() for text in texts)


def _state(provider: Mapping[str, Any]) -> tuple[str, str]:
    """A badge's class and words: the worst that is known of a provider."""
    if any(each["state"] != "closed" for each in provider["circuits"]):
        return "bad", "circuit open"
    if provider["key"]["refused_status"] is not None:
        return "bad", "key refused"
    if provider["requests"] and provider["failed"] * 20 >= provider["requests"]:
        return "warn", "failing"
    if provider["key"]["hint"] is None:
        return "", "no key"
    return ("ok", "healthy") if provider["requests"] else ("", "idle")


def _told(refusals: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {"code": code, "count": count, "sentence": _WORDS.get(code, "")}
        for code, count in refusals.items()
    ]


PAGES = (
    Page("/providers", "Providers", providers, role=Role.ADMIN, nav="Providers", key="v"),
    Page("/settings", "Settings", settings, role=Role.ADMIN, nav="Settings", key="t"),
)
