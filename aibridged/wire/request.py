"""Reads request bodies: one pass over the JSON, and only what the gateway and the record need.

The conversation is split into its items without looking into them; only those at its end are
decoded, where the prompt or the tool results stand.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from aibridged.wire.facts import Api, RequestFacts
from aibridged.wire.gathering import UNREADABLE

_MAX_SESSION = 256  # characters; real session ids are UUIDs


class BadRequestError(ValueError):
    """A body that can't be a request of the API; the sentence says why and quotes nothing."""


class _Head(msgspec.Struct):
    """The fields of all three APIs; those that may hold anything are checked where they're used."""

    model: str
    stream: Any = None
    stream_options: Any = None


class _Conversation(_Head):
    messages: list[msgspec.Raw] | None = None
    metadata: Any = None


class _Input(_Head):
    input: str | list[msgspec.Raw] | None = None


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    tool_use_id: str | None = None


class _Item(msgspec.Struct):
    """A message of any of the three APIs, or an input item."""

    type: str = "message"
    role: str = ""
    content: str | list[_Part] | None = None
    tool_call_id: str | None = None
    call_id: str | None = None
    id: str | None = None
    approval_request_id: str | None = None


class _ItemHead(msgspec.Struct):
    """An item whose content isn't of interest, or not of a shape that is known."""

    type: str = "message"
    role: str = ""
    tool_call_id: str | None = None
    call_id: str | None = None
    id: str | None = None
    approval_request_id: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_conversation = msgspec.json.Decoder(_Conversation).decode
_decode_input = msgspec.json.Decoder(_Input).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_item_head = msgspec.json.Decoder(_ItemHead).decode
_decode_any = msgspec.json.Decoder().decode


def read_request(api: Api, body: bytes) -> RequestFacts:
    """What the request asks for.

    Raises BadRequestError where the body is no JSON object or has no string `model`. Anything else
    that is wrong is for the provider to refuse: it only goes unread, and `anomalies` says so.
    """
    try:
        return _READERS[api](body)
    except UNREADABLE:
        head = _head(body)
    return _facts(head, anomalies=("unreadable_request",))


def _head(body: bytes) -> _Head:
    """What is left of a request whose conversation can't be read, or BadRequestError."""
    try:
        return _decode_head(body)
    except msgspec.ValidationError as error:
        if "model`" in str(error):  # missing, or "at `$.model`"
            raise BadRequestError("The request has no model: it must be a string.") from None
        raise BadRequestError("The request body must be a JSON object.") from None
    except UNREADABLE:
        raise BadRequestError("The request body is not valid JSON, or nests too deep.") from None


def _facts(head: _Head, **found: Any) -> RequestFacts:
    options = head.stream_options
    return RequestFacts(
        model=head.model,
        stream=head.stream is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        **found,
    )


def _read_messages(body: bytes) -> RequestFacts:
    """Anthropic: everything stands in the last message, the results as parts of its content.

    Behind it may be messages of the system's, which agents put there (Claude Code since 2.1).
    """
    request = _decode_conversation(body)
    session = _session_of(request.metadata)
    items = map(_decode_item, reversed(request.messages or ()))
    last = next((item for item in items if item.role != "system"), None)
    if last is None:
        return _facts(request, session_id=session)
    parts = last.content if isinstance(last.content, list) else []
    results = tuple(part.tool_use_id for part in parts if part.tool_use_id)
    return _facts(request, prompt=_prompt(last), tool_result_ids=results, session_id=session)


def _read_chat_completions(body: bytes) -> RequestFacts:
    """OpenAI Chat: each result is a message of its own, after the assistant's."""
    request = _decode_conversation(body)
    return _facts(request, **_end_of(request.messages or (), _chat_result))


def _read_responses(body: bytes) -> RequestFacts:
    """OpenAI Responses: each result is an input item of its own, after the calls."""
    request = _decode_input(body)
    if request.input is None or isinstance(request.input, str):
        return _facts(request, prompt=request.input)
    return _facts(request, **_end_of(request.input, _responses_result))


_READERS: Mapping[Api, Callable[[bytes], RequestFacts]] = {
    Api.MESSAGES: _read_messages,
    Api.CHAT_COMPLETIONS: _read_chat_completions,
    Api.RESPONSES: _read_responses,
}


def _end_of(
    items: Sequence[msgspec.Raw], result_of: Callable[[_ItemHead], str | None]
) -> dict[str, Any]:
    """Prompt and results at the end of the conversation: what came after the model's own items."""
    results: list[str] = []
    prompt: str | None = None
    for position, raw in enumerate(reversed(items)):
        item = _decode_item_head(raw)
        result = result_of(item)
        if result is not None:
            results.append(result)
        elif item.role == "user":
            if position == 0:
                prompt = _prompt(_decode_item(raw))
        elif item.role not in ("system", "developer"):
            break
    return {"prompt": prompt, "tool_result_ids": tuple(reversed(results))}


def _chat_result(item: _ItemHead) -> str | None:
    return item.tool_call_id if item.role == "tool" else None


def _responses_result(item: _ItemHead) -> str | None:
    if item.type.endswith("_output"):
        return item.call_id or item.id
    return item.approval_request_id if item.type == "mcp_approval_response" else None


def _prompt(item: _Item) -> str | None:
    """The user's text, unless the item ends with a tool result; of parts, the last text."""
    if item.role != "user" or not isinstance(item.content, list):
        return item.content if item.role == "user" and isinstance(item.content, str) else None
    if item.content and item.content[-1].type == "tool_result":
        return None
    for part in reversed(item.content):
        if part.type in ("text", "input_text") and part.text is not None:
            return part.text
    return None


def _session_of(metadata: object) -> str | None:
    """The session in Claude Code's `metadata.user_id`: a JSON object, or `..._session_<id>`."""
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user, str):
        return None
    if user.startswith("{"):
        try:
            session = _decode_any(user).get("session_id")
        except UNREADABLE:
            return None
    else:
        _, _, session = user.rpartition("_session_")
        session = session if "_session_" in user else None
    if not isinstance(session, str) or not 0 < len(session.strip()) <= _MAX_SESSION:
        return None
    return session.strip()
