"""Anthropic's API, and whatever speaks it."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import Provider
from aibridged.wire.facts import Api

_READ = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})


class Anthropic(Provider):
    """Base URL without a version: `https://api.anthropic.com/`."""

    type = "anthropic"
    bridged: ClassVar[Mapping[str, Api]] = {"/v1/messages": Api.MESSAGES}
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/v1/models": _READ,
        "/v1/models/*": _READ,
        "/v1/messages/count_tokens": _POST,
        "/api/event_logging/*": _POST,
    }
    public_urls = ("https://api.anthropic.com",)
    preferred_credential = "X-Api-Key"

    def credential(self, key: str) -> tuple[str, str]:
        return "X-Api-Key", key
