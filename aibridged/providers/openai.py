"""Provider type for OpenAI's API and compatible servers."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import POST, READ, AboutModels, Provider, Stored
from aibridged.wire.facts import WireApi

_DELETE = frozenset({"DELETE"})


class OpenAI(Provider):
    """Base URL with its version: `https://api.openai.com/v1/`."""

    type = "openai"
    prefix = "/v1"
    bridged: ClassVar[Mapping[str, WireApi]] = {
        "/chat/completions": WireApi.CHAT_COMPLETIONS,
        "/responses": WireApi.RESPONSES,
        "/responses/compact": WireApi.COMPACTION,
        "/completions": WireApi.COMPLETIONS,
        "/embeddings": WireApi.EMBEDDINGS,
    }
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/models": READ,
        "/models/*": READ,
        "/responses/input_tokens": POST,
        # A response, and the items that it was given.
        "/responses/*": READ | _DELETE,
        "/responses/*/cancel": POST,
        "/conversations": POST,
        # A conversation, and its items, which may be added to: no model answers them.
        "/conversations/*": READ | POST | _DELETE,
    }
    # To count the tokens of a request, a model need not be named.
    models: ClassVar[Mapping[str, str]] = {"/responses/input_tokens": ""}
    stored: ClassVar[Mapping[str, Stored]] = {
        "/responses/*": Stored.RESPONSE,
        "/responses/*/cancel": Stored.RESPONSE,
        "/conversations/*": Stored.CONVERSATION,
    }
    makes: ClassVar[Mapping[str, Stored]] = {"/conversations": Stored.CONVERSATION}
    refers: ClassVar[Mapping[str, WireApi]] = {"/responses/input_tokens": WireApi.RESPONSES}
    about_models: ClassVar[Mapping[str, AboutModels]] = {
        "/models": AboutModels.LIST,
        "/models/*": AboutModels.ONE,
    }
    public_urls = ("https://api.openai.com/v1",)
    preferred_credential = "Authorization"

    def credential(self, key: str) -> tuple[str, str]:
        return "Authorization", f"Bearer {key}"
