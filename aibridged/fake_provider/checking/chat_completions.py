"""Validation of requests of OpenAI's Chat Completions."""

from collections.abc import Mapping
from typing import Any

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.fields import (
    answered,
    items_of_arrays,
    listed,
    names_of_tools,
    only,
    schema,
)

MAX_TOOLS = 128
_MAX_DESCRIPTION = 1024
_REQUEST = listed(
    "model messages stream stream_options tools tool_choice parallel_tool_calls functions"
    " function_call temperature top_p n stop max_tokens max_completion_tokens presence_penalty"
    " frequency_penalty logit_bias logprobs top_logprobs user seed response_format service_tier"
    " store metadata modalities audio prediction reasoning_effort verbosity web_search_options"
    " prompt_cache_key prompt_cache_retention safety_identifier"
)
_MESSAGE = {
    "developer": listed("role content name"),
    "system": listed("role content name"),
    "user": listed("role content name"),
    # OpenAI's SDK sends back what its helpers have added: parsed content, indices of calls.
    "assistant": listed(
        "role content name refusal tool_calls function_call audio annotations parsed"
    ),
    "tool": listed("role content tool_call_id"),
    "function": listed("role content name"),
}


def check(request: Mapping[str, Any]) -> None:
    """See the package."""
    only(request, _REQUEST, "")
    _check_tools(request)
    if request.get("stream_options") is not None and not request.get("stream"):
        raise InvalidRequestError("stream_options: only allowed when stream is enabled")
    calls: list[str] = []
    results: list[str] = []
    for number, message in enumerate(request["messages"]):
        where = f"messages.{number}."
        role = message["role"]
        if role not in _MESSAGE:
            raise InvalidRequestError(f"{where}role: {role!r} is no role")
        only(message, _MESSAGE[role], where)
        if role == "tool":
            results.append(message["tool_call_id"])
            continue
        answered(calls, results)
        results = []
        calls = [_call(call, where) for call in message.get("tool_calls") or ()]
        if role == "assistant" and not (message.get("content") or calls):
            raise InvalidRequestError(f"{where}content: expected a string, got null")
    answered(calls, results)


def _call(call: Mapping[str, Any], where: str) -> str:
    only(call, ("id", "type", "function", "custom", "index"), f"{where}tool_calls.")
    if call["type"] == "function":
        only(
            call["function"],
            ("name", "arguments", "parsed_arguments"),
            f"{where}tool_calls.function.",
        )
    name: str = call["id"]
    return name


def _check_tools(request: Mapping[str, Any]) -> None:
    tools = request.get("tools")
    if tools is None:
        for field in ("tool_choice", "parallel_tool_calls"):
            if request.get(field) is not None:
                raise InvalidRequestError(f"{field}: only allowed when tools are specified")
        return
    if not 0 < len(tools) <= MAX_TOOLS:
        raise InvalidRequestError(f"tools: array of {len(tools)}, expected 1 to {MAX_TOOLS}")
    functions = [tool["function"] for tool in tools if tool["type"] == "function"]
    names_of_tools((function["name"] for function in functions), 64)
    for function in functions:
        only(function, ("name", "description", "parameters", "strict"), "tools.function.")
        if len(function.get("description") or "") > _MAX_DESCRIPTION:
            raise InvalidRequestError("tools.function.description: string too long")
        if "parameters" in function:
            schema(function["parameters"], with_properties=True)
            items_of_arrays(function["parameters"])
