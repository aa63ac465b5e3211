"""Provider type for GitHub Copilot's API, with users' own keys only (BYOK)."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import POST, READ, AboutModels, Provider, Stored
from aibridged.wire.facts import WireApi

_DELETE = frozenset({"DELETE"})
_ANY = READ | POST | _DELETE | {"PUT", "PATCH"}
_MCP = READ | POST | _DELETE

# Whether it is there, how to log in, and what a client tells of itself, with or without a key.
_KEYLESS = frozenset({"/_ping", "/.well-known/*", "/telemetry"})

# Where a user's token of GitHub's is exchanged for one of Copilot's.
_INTERNAL = "/copilot_internal/*"


class Copilot(Provider):
    """Base URL without a version: `https://api.individual.githubcopilot.com`.

    Each plan has a host, and a user's key is valid at that of their plan, so no host stands for the
    others: `public_urls` is empty.
    """

    type = "copilot"
    bridged: ClassVar[Mapping[str, WireApi]] = {
        "/chat/completions": WireApi.CHAT_COMPLETIONS,
        "/responses": WireApi.RESPONSES,
        "/responses/compact": WireApi.COMPACTION,
        "/v1/messages": WireApi.MESSAGES,
        "/embeddings": WireApi.EMBEDDINGS,
        # Files cut into chunks with their embeddings, and what is found by the one of a question.
        "/chunks": WireApi.EMBEDDINGS,
        "/search/code": WireApi.EMBEDDINGS,
        # The code at the cursor, completed as it is typed.
        "/v1/engines/*/completions": WireApi.COMPLETIONS,
    }
    models: ClassVar[Mapping[str, str]] = {
        "/chunks": "chunks",
        "/search/code": "search",
        "/v1/engines/*/completions": "*",
    }
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/_ping": READ,
        "/auto": READ | POST,
        "/models": READ,
        # To choose a model, and to accept its terms.
        "/models/*": READ | POST,
        "/responses/*": READ | _DELETE,
        "/responses/*/cancel": POST,
        "/v1/messages/count_tokens": POST,
        # Agents that GitHub runs by itself, and their sessions: what is answered is about them.
        "/agents/*": _ANY,
        # MCP over HTTP, which has its endpoint at the slash itself for some clients.
        "/mcp": _MCP,
        "/mcp/": _MCP,
        "/mcp/*": _MCP,
        "/telemetry": POST,
        _INTERNAL: READ | POST,
        "/.well-known/*": READ,
    }
    stored: ClassVar[Mapping[str, Stored]] = {
        "/responses/*": Stored.RESPONSE,
        "/responses/*/cancel": Stored.RESPONSE,
    }
    about_models: ClassVar[Mapping[str, AboutModels]] = {
        "/models": AboutModels.LIST,
        "/models/*": AboutModels.ONE,
        "/v1/messages/count_tokens": AboutModels.BODY,
        "/agents/*": AboutModels.UNSEEN,
    }
    own_key_only = frozenset({*bridged, *passthrough}) - _KEYLESS
    secret = frozenset({_INTERNAL})
    probe = "/_ping"
    preferred_credential = "Authorization"
