"""Provider type for GitHub Copilot's API, with users' own keys only (BYOK)."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import Provider
from aibridged.wire.facts import WireApi

_READ = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})
_ANY = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

# Availability, and how to log in: requested before there is a key.
_KEYLESS = frozenset({"/_ping", "/.well-known/*"})


class Copilot(Provider):
    """Base URL without a version: `https://api.individual.githubcopilot.com`.

    Each plan has a host, and a user's key is valid at that of their plan, so no host stands for the
    others: `public_urls` is empty.
    """

    type = "copilot"
    bridged: ClassVar[Mapping[str, WireApi]] = {
        "/chat/completions": WireApi.CHAT_COMPLETIONS,
        "/responses": WireApi.RESPONSES,
        "/v1/messages": WireApi.MESSAGES,
    }
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/_ping": _READ,
        "/auto": _READ | _POST,
        "/models": _READ,
        # Model selection, and acceptance of a model's terms.
        "/models/*": _READ | _POST,
        "/agents/*": _ANY,
        # MCP over HTTP, whose endpoint ends in a slash.
        "/mcp/": _READ | _POST | {"DELETE"},
        "/mcp/*": _READ | _POST | {"DELETE"},
        "/.well-known/*": _READ,
    }
    own_key_only = frozenset({*bridged, *passthrough}) - _KEYLESS
    preferred_credential = "Authorization"
