"""Provider type for Anthropic's API and compatible servers."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import POST, READ, AboutModels, Provider
from aibridged.wire.facts import WireApi

# Claude Code's telemetry, with or without a key.
_TELEMETRY = "/api/event_logging/*"


class Anthropic(Provider):
    """Base URL without a version: `https://api.anthropic.com/`."""

    type = "anthropic"
    bridged: ClassVar[Mapping[str, WireApi]] = {"/v1/messages": WireApi.MESSAGES}
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/v1/models": READ,
        "/v1/models/*": READ,
        "/v1/messages/count_tokens": POST,
        _TELEMETRY: POST,
    }
    about_models: ClassVar[Mapping[str, AboutModels]] = {
        "/v1/models": AboutModels.LIST,
        "/v1/models/*": AboutModels.ONE,
        "/v1/messages/count_tokens": AboutModels.BODY,
    }
    whole_list = "limit=1000"
    # A user's telemetry must not be sent with the organisation's key.
    own_key_or_none = frozenset({_TELEMETRY})
    public_urls = ("https://api.anthropic.com",)
    probe = "/v1/models?limit=1"
    probe_headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    preferred_credential = "X-Api-Key"

    def credential(self, key: str) -> tuple[str, str]:
        return "X-Api-Key", key
