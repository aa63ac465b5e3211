"""Provider type for OpenAI's API and compatible servers."""

from collections.abc import Mapping
from typing import ClassVar

from aibridged.providers.base import Provider
from aibridged.wire.facts import WireApi

_READ = frozenset({"GET", "HEAD"})
_OWN_OBJECTS = frozenset({"GET", "HEAD", "POST", "DELETE"})


class OpenAI(Provider):
    """Base URL with its version: `https://api.openai.com/v1/`."""

    type = "openai"
    prefix = "/v1"
    bridged: ClassVar[Mapping[str, WireApi]] = {
        "/chat/completions": WireApi.CHAT_COMPLETIONS,
        "/responses": WireApi.RESPONSES,
    }
    passthrough: ClassVar[Mapping[str, frozenset[str]]] = {
        "/models": _READ,
        "/models/*": _READ,
        "/conversations": _OWN_OBJECTS,
        "/conversations/*": _OWN_OBJECTS,
        "/responses/*": _OWN_OBJECTS,
    }
    public_urls = ("https://api.openai.com/v1",)
    preferred_credential = "Authorization"

    def credential(self, key: str) -> tuple[str, str]:
        return "Authorization", f"Bearer {key}"
