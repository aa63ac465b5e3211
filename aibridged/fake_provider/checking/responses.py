"""Validation of requests of OpenAI's Responses, which may continue stored responses."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.chat_completions import MAX_TOOLS
from aibridged.fake_provider.checking.fields import (
    answered,
    items_of_arrays,
    listed,
    names_of_tools,
    only,
    schema,
)

_REMEMBERED = 1000
_REQUEST = listed(
    "model input stream stream_options tools tool_choice parallel_tool_calls instructions include"
    " store previous_response_id conversation background max_output_tokens max_tool_calls metadata"
    " prompt prompt_cache_key prompt_cache_retention reasoning safety_identifier service_tier"
    " temperature text top_logprobs top_p truncation user context_management"
)
_ITEMS: Mapping[str, frozenset[str]] = {
    kind: listed(f"type id status {fields}")
    for kind, fields in {
        "message": "role content phase",
        "reasoning": "summary content encrypted_content",
        "function_call": "call_id name arguments namespace",
        "function_call_output": "call_id output",
    }.items()
}


class Stored:
    """The unanswered calls of stored responses and conversations."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, frozenset[str]] = OrderedDict()

    def remember(self, request: Mapping[str, Any], name: str, calls: Iterable[str]) -> None:
        """Store the response `name` to `request`, with these calls."""
        conversation = _conversation(request)
        if conversation is not None:
            self._open[conversation] = frozenset(calls)
        if request.get("store") is not False:
            self._open[name] = frozenset(calls)
        while len(self._open) > _REMEMBERED:
            self._open.popitem(last=False)

    def open_calls(self, request: Mapping[str, Any]) -> frozenset[str]:
        """The calls that `request` has to answer, or InvalidRequestError."""
        conversation = _conversation(request)
        if conversation is not None:
            return self._open.get(conversation, frozenset())
        previous = request.get("previous_response_id")
        if previous is None:
            return frozenset()
        if previous not in self._open:
            raise InvalidRequestError(f"Previous response with id '{previous}' not found.")
        return self._open[previous]


def check(request: Mapping[str, Any], stored: Stored) -> None:
    """See the package."""
    only(request, _REQUEST, "")
    _check_tools(request)
    items = request.get("input")
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items or []
    calls = list(stored.open_calls(request))
    results = []
    for number, item in enumerate(items):
        kind = item.get("type", "message")
        if kind in _ITEMS:
            only(item, _ITEMS[kind], f"input[{number}].")
        if kind == "function_call":
            calls.append(item["call_id"])
        elif kind == "function_call_output":
            results.append(item["call_id"])
            if item["call_id"] not in calls:
                raise InvalidRequestError(f"No tool call found for {item['call_id']}.")
        elif kind == "reasoning":
            _check_thought(item, items[number + 1 :], is_stored=request.get("store") is not False)
    answered(calls, results)


def _conversation(request: Mapping[str, Any]) -> str | None:
    found = request.get("conversation")
    return found["id"] if isinstance(found, dict) else found


def _check_thought(
    item: Mapping[str, Any], after: Sequence[Mapping[str, Any]], *, is_stored: bool
) -> None:
    name = item.get("id")
    if not is_stored and not item.get("encrypted_content"):
        raise InvalidRequestError(
            f"Item with id '{name}' not found. Items are not persisted when `store` is false."
        )
    if not after or after[0].get("role") == "user" or after[0].get("type", "").endswith("_output"):
        raise InvalidRequestError(
            f"Item '{name}' of type 'reasoning' was provided without its required following item."
        )


def _check_tools(request: Mapping[str, Any]) -> None:
    tools = request.get("tools") or []
    if len(tools) > MAX_TOOLS:
        raise InvalidRequestError(f"tools: array of {len(tools)}, expected {MAX_TOOLS} at most")
    functions = [tool for tool in tools if tool["type"] == "function"]
    names_of_tools((function["name"] for function in functions), 64)
    for function in functions:
        only(function, ("type", "name", "description", "parameters", "strict"), "tools.")
        schema(function["parameters"], with_properties=True)
        items_of_arrays(function["parameters"])
