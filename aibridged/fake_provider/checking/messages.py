"""Validation of requests of Anthropic's Messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.fields import (
    answered,
    listed,
    names_of_properties,
    names_of_tools,
    only,
    schema,
)

SIGNATURE = "ZmFrZSBzaWduYXR1cmU="
"""The signature of the fake's thinking, which it expects back."""

_REQUEST = listed(
    "model messages max_tokens stream system tools tool_choice thinking temperature top_p top_k"
    " stop_sequences metadata service_tier container context_management mcp_servers output_config"
    " output_format inference_geo cache_control speed betas diagnostics fallback_credit_token"
    " user_profile_id"
)
_BLOCKS: Mapping[str, frozenset[str]] = {
    kind: listed(f"type {fields}")
    for kind, fields in {
        "text": "text citations cache_control",
        "image": "source cache_control",
        "document": "source title context citations cache_control",
        "thinking": "thinking signature",
        "redacted_thinking": "data",
        "tool_use": "id name input cache_control caller",
        "tool_result": "tool_use_id content is_error cache_control",
        "server_tool_use": "id name input cache_control caller",
        "search_result": "source title content citations cache_control",
    }.items()
}
_ROLES = ("user", "assistant", "system")
_TOOL_CHOICE = frozenset(("type", "name", "disable_parallel_tool_use"))


def check(request: Mapping[str, Any]) -> None:
    """See the package."""
    only(request, _REQUEST, "")
    _check_tools(request)
    calls: list[str] = []
    before = ""
    for number, message in enumerate(request["messages"]):
        where = f"messages.{number}."
        only(message, ("role", "content"), where)
        role = message["role"]
        if role not in _ROLES:
            raise InvalidRequestError(f"{where}role: Input should be one of {', '.join(_ROLES)}")
        if role == "system" and before not in ("user", "system"):
            raise InvalidRequestError(f"{where}role: 'system' stands after a turn of the user's")
        before = role
        blocks = _blocks(message["content"])
        if not blocks and not (role == "assistant" and number == len(request["messages"]) - 1):
            raise InvalidRequestError(f"{where}content: must not be empty")
        for block in blocks:
            _check_block(block, role, where)
        if calls or role == "user":
            answered(calls, _results(blocks, where))
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if calls:
        raise InvalidRequestError(f"`tool_use` ids were found without results: {calls}")


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def _check_tools(request: Mapping[str, Any]) -> None:
    tools = request.get("tools") or []
    names_of_tools((tool["name"] for tool in tools), 128)
    for tool in tools:
        if "input_schema" in tool:
            schema(tool["input_schema"], with_properties=False)
            names_of_properties(tool["input_schema"])
    choice = request.get("tool_choice")
    if choice is not None:
        only(choice, _TOOL_CHOICE, "tool_choice.")
        if not tools:
            raise InvalidRequestError("tool_choice: may only be specified while providing tools")


def _check_block(block: Mapping[str, Any], role: str, where: str) -> None:
    kind = block["type"]
    if kind in _BLOCKS:
        only(block, _BLOCKS[kind], f"{where}content.{kind}.")
    elif not kind.endswith(("_tool_result", "_use")):
        raise InvalidRequestError(f"{where}content: {kind} is no type of a block")
    if kind == "text" and not block["text"]:
        raise InvalidRequestError(f"{where}content: text content blocks must be non-empty")
    if kind == "thinking" and block["signature"] != SIGNATURE:
        raise InvalidRequestError(f"{where}content: Invalid `signature` in `thinking` block")
    if kind == "tool_use" and not isinstance(block["input"], dict):
        raise InvalidRequestError(f"{where}content.tool_use.input: should be an object")
    if (kind == "tool_result") > (role == "user") or (kind == "tool_use") > (role == "assistant"):
        raise InvalidRequestError(f"{where}content: {kind} is not for the role {role}")


def _results(blocks: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    """The ids of the calls whose results a message has, which come before all else."""
    kinds = [block["type"] == "tool_result" for block in blocks]
    if kinds != sorted(kinds, reverse=True):
        raise InvalidRequestError(f"{where}content: tool_result blocks must come first")
    return [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
