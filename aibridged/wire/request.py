"""Reads request bodies: one pass over the JSON, and only what the gateway and the record need.

The conversation is split into its items without looking into them; only those at its end are
decoded, where the prompt or the tool results stand. A body too large for that is read in steps, to
the same facts: see `large_request`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from aibridged.wire.bounds import ABSENT
from aibridged.wire.collector import UNREADABLE
from aibridged.wire.facts import RequestFacts, WireApi

MAX_MODEL = 512
"""Characters of a model's name."""
MAX_RESULTS = 1_000
"""Tool results at the end of a request of which the calls are noted: the last ones."""

_MAX_SESSION = 256  # characters; real session ids are UUIDs
_MAX_USER = 4 * 1024  # bytes of the field that may hold one


class BadRequestError(ValueError):
    """A body that can't be a request of the API; the sentence says why and quotes nothing."""


class Head(msgspec.Struct):
    """The fields of all three APIs; those that may hold anything stay as they came."""

    model: str
    stream: msgspec.Raw = ABSENT
    stream_options: msgspec.Raw = ABSENT


class Conversation(Head):
    """A request of Messages or Chat Completions."""

    messages: Sequence[msgspec.Raw] | None = None
    metadata: msgspec.Raw = ABSENT


class Input(Head):
    """A request of Responses."""

    input: str | Sequence[msgspec.Raw] | None = None


class Part(msgspec.Struct):
    """A part of a message's content."""

    type: str = ""
    text: str | None = None
    tool_use_id: str | None = None


class ItemHead(msgspec.Struct):
    """An item whose content isn't of interest, or not of a shape that is known."""

    type: str = "message"
    role: str = ""
    tool_call_id: str | None = None
    call_id: str | None = None
    id: str | None = None
    approval_request_id: str | None = None


class Item(ItemHead):
    """A message of any of the three APIs, or an input item."""

    content: str | list[Part] | None = None


class _Options(msgspec.Struct):
    include_usage: msgspec.Raw = ABSENT


class _Metadata(msgspec.Struct):
    user_id: msgspec.Raw = ABSENT


class _User(msgspec.Struct):
    session_id: str


_decode_head = msgspec.json.Decoder(Head).decode
_decode_options = msgspec.json.Decoder(_Options).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_user = msgspec.json.Decoder(_User).decode
_decode_text = msgspec.json.Decoder(str).decode
decode_item = msgspec.json.Decoder(Item).decode
decode_item_head = msgspec.json.Decoder(ItemHead).decode

HeadOf = Callable[[Any], ItemHead]
ItemOf = Callable[[Any], Item]

_TRUE = msgspec.Raw(b"true")
UNREADABLE_REQUEST = ("unreadable_request",)


def read_request(api: WireApi, body: bytes) -> RequestFacts:
    """What the request asks for.

    Raises BadRequestError where the body is no JSON object or has no string `model`. Anything else
    that is wrong is for the provider to refuse: it only goes unread, and `anomalies` says so.
    Raises RecursionError where it nests deeper than a decoder goes.
    """
    try:
        return READERS[api](DECODERS[api](body), decode_item_head, decode_item)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return facts_of(read_head(body), anomalies=UNREADABLE_REQUEST)


def read_head(body: bytes) -> Head:
    """What is left of a request whose conversation can't be read, or BadRequestError."""
    try:
        return _decode_head(body)
    except msgspec.ValidationError as error:
        if "model`" in str(error):  # missing, or "at `$.model`"
            raise BadRequestError("The request has no model: it must be a string.") from None
        raise BadRequestError("The request body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequestError("The request body is not valid JSON.") from None


def facts_of(head: Head, **found: Any) -> RequestFacts:
    """The facts in a request's head, with what else was found."""
    if len(head.model) > MAX_MODEL:
        raise BadRequestError(f"The model's name is longer than {MAX_MODEL} characters.")
    options = head.stream_options
    return RequestFacts(
        model=head.model,
        stream=head.stream == _TRUE,
        include_usage=options is not ABSENT and _includes_usage(options),
        has_options=options is not ABSENT,
        **found,
    )


def _includes_usage(options: msgspec.Raw) -> bool:
    try:
        return _decode_options(options).include_usage == _TRUE
    except UNREADABLE:
        return False


def _read_messages(request: Conversation, _: HeadOf, item_of: ItemOf) -> RequestFacts:
    """Anthropic: everything stands in the last message, the results as parts of its content.

    Behind it may be messages of the system's, which agents put there (Claude Code since 2.1).
    """
    session = _session_of(request.metadata)
    items = map(item_of, reversed(request.messages or ()))
    last = next((item for item in items if item.role != "system"), None)
    if last is None:
        return facts_of(request, session_id=session)
    parts = last.content if isinstance(last.content, list) else []
    results = [part.tool_use_id for part in parts if part.tool_use_id]
    return facts_of(
        request,
        prompt=_prompt(last),
        tool_result_ids=tuple(results[-MAX_RESULTS:]),
        session_id=session,
    )


def _read_chat_completions(request: Conversation, head_of: HeadOf, item_of: ItemOf) -> RequestFacts:
    """OpenAI Chat: each result is a message of its own, after the assistant's."""
    return facts_of(request, **_end_of(request.messages or (), _chat_result, head_of, item_of))


def _read_responses(request: Input, head_of: HeadOf, item_of: ItemOf) -> RequestFacts:
    """OpenAI Responses: each result is an input item of its own, after the calls."""
    if request.input is None or isinstance(request.input, str):
        return facts_of(request, prompt=request.input)
    return facts_of(request, **_end_of(request.input, _responses_result, head_of, item_of))


READERS: Mapping[WireApi, Callable[[Any, HeadOf, ItemOf], RequestFacts]] = {
    WireApi.MESSAGES: _read_messages,
    WireApi.CHAT_COMPLETIONS: _read_chat_completions,
    WireApi.RESPONSES: _read_responses,
}
"""What reads the facts out of a request, with the functions that give its items."""

DECODERS: Mapping[WireApi, Callable[[bytes], Head]] = {
    WireApi.MESSAGES: msgspec.json.Decoder(Conversation).decode,
    WireApi.CHAT_COMPLETIONS: msgspec.json.Decoder(Conversation).decode,
    WireApi.RESPONSES: msgspec.json.Decoder(Input).decode,
}
"""What decodes a request of each API."""


def _end_of(
    items: Sequence[Any],
    result_of: Callable[[ItemHead], str | None],
    head_of: HeadOf,
    item_of: ItemOf,
) -> dict[str, Any]:
    """Prompt and results at the end of the conversation: what came after the model's own items."""
    results: list[str] = []
    prompt: str | None = None
    for position, item in enumerate(reversed(items)):
        head = head_of(item)
        result = result_of(head)
        if result is not None:
            results.append(result)
        elif head.role == "user":
            if position == 0:
                prompt = _prompt(item_of(item))
        elif head.role not in ("system", "developer"):
            break
    return {"prompt": prompt, "tool_result_ids": tuple(reversed(results[:MAX_RESULTS]))}


def _chat_result(item: ItemHead) -> str | None:
    return item.tool_call_id if item.role == "tool" else None


def _responses_result(item: ItemHead) -> str | None:
    if item.type.endswith("_output"):
        return item.call_id or item.id
    return item.approval_request_id if item.type == "mcp_approval_response" else None


def _prompt(item: Item) -> str | None:
    """The user's text, unless the item ends with a tool result; of parts, the last text."""
    if item.role != "user" or not isinstance(item.content, list):
        return item.content if item.role == "user" and isinstance(item.content, str) else None
    if item.content and item.content[-1].type == "tool_result":
        return None
    for part in reversed(item.content):
        if part.type in ("text", "input_text") and part.text is not None:
            return part.text
    return None


def _session_of(metadata: msgspec.Raw) -> str | None:
    """The session in Claude Code's `metadata.user_id`: a JSON object, or `..._session_<id>`."""
    if metadata is ABSENT:
        return None
    try:
        user_id = _decode_metadata(metadata).user_id
        user = _decode_text(user_id) if len(bytes(user_id)) <= _MAX_USER else ""
        if user.startswith("{"):
            session = _decode_user(user).session_id
        else:
            _, found, session = user.rpartition("_session_")
            session = session if found else ""
    except UNREADABLE:
        return None
    session = session.strip()
    return session if 0 < len(session) <= _MAX_SESSION else None
