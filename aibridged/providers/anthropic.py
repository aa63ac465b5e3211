"""Provider type for Anthropic's API and compatible servers."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import Provider
from aibridged.wire.facts import WireApi

_READ = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})

# Where Claude Code sends its telemetry, with a key or without one.
_TELEMETRY = "/api/event_logging/*"


class Anthropic(Provider):
    """Base URL without a version: `https://api.anthropic.com/`."""

    type = "anthropic"
    bridged: ClassVar[Mapping[str, WireApi]] = {"/v1/messages": WireApi.MESSAGES}
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/v1/models": _READ,
        "/v1/models/*": _READ,
        "/v1/messages/count_tokens": _POST,
        _TELEMETRY: _POST,
    }
    # What a person's agent tells of itself is not said in the organisation's name.
    own_key_or_none = frozenset({_TELEMETRY})
    public_urls = ("https://api.anthropic.com",)
    preferred_credential = "X-Api-Key"

    def credential(self, key: str) -> tuple[str, str]:
        return "X-Api-Key", key
