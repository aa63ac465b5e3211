"""The tools that the gateway offers, in the shape of each API."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from aibridged.wire.facts import WireApi

MAX_CHAT_DESCRIPTION = 1024
"""OpenAI's bound on a function's description in Chat Completions, in characters."""

_encode = msgspec.json.Encoder().encode


class OfferedTool(Protocol):
    """A tool as the model sees it; `input_schema` is a JSON object that all the APIs accept."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def input_schema(self) -> bytes: ...
    def __hash__(self) -> int: ...


class Offer:
    """Tools in a stable order, encoded for each API on first use; `names` are theirs."""

    def __init__(self, tools: Sequence[OfferedTool]) -> None:
        self.names = frozenset(tool.name for tool in tools)
        self._tools = tools
        self._encoded: dict[WireApi, list[tuple[str, bytes]]] = {}
        self._joined: dict[WireApi, bytes] = {}

    def __len__(self) -> int:
        return len(self._tools)

    def joined(self, api: WireApi) -> bytes:
        """All the tools, as the items of a JSON array."""
        if api not in self._joined:
            self._joined[api] = b",".join(tool for _, tool in self.encoded(api))
        return self._joined[api]

    def encoded(self, api: WireApi) -> Sequence[tuple[str, bytes]]:
        """Names, and the tools as JSON."""
        if api not in self._encoded:
            self._encoded[api] = [(tool.name, _tool(api, tool)) for tool in self._tools]
        return self._encoded[api]


@lru_cache(maxsize=8192)
def _tool(api: WireApi, tool: OfferedTool) -> bytes:
    """Cached, since nearly all callers are offered the same tools."""
    return _encode(_SHAPES[api](tool))


def _messages(tool: OfferedTool) -> dict[str, Any]:
    return {**_named(tool), "input_schema": msgspec.Raw(tool.input_schema)}


def _chat(tool: OfferedTool) -> dict[str, Any]:
    function = {**_named(tool, MAX_CHAT_DESCRIPTION), "parameters": msgspec.Raw(tool.input_schema)}
    return {"type": "function", "function": function}


def _responses(tool: OfferedTool) -> dict[str, Any]:
    """Not strict, as it is by default: strict supports a small part of JSON Schema only."""
    return {
        "type": "function",
        **_named(tool),
        "parameters": msgspec.Raw(tool.input_schema),
        "strict": False,
    }


_SHAPES: Mapping[WireApi, Callable[[OfferedTool], dict[str, Any]]] = {
    WireApi.MESSAGES: _messages,
    WireApi.CHAT_COMPLETIONS: _chat,
    WireApi.RESPONSES: _responses,
}


def _named(tool: OfferedTool, longest: int | None = None) -> dict[str, Any]:
    named: dict[str, Any] = {"name": tool.name}
    if tool.description:
        named["description"] = tool.description[:longest]
    return named
