"""Other resources of the APIs: models, token counts, embeddings, stored responses, conversations.

Nothing is stored: a resource with any id that the fake could have made is generated on request.
"""

import base64
import re
import struct
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from aibridged.fake_provider import messages, responses
from aibridged.fake_provider.answer import NONCE, Answer, InvalidRequestError, Usage, words
from aibridged.fake_provider.chat_completions import CREATED
from aibridged.fake_provider.vendors import ANTHROPIC, OPENAI, Vendor

ANTHROPIC_MODELS = ("claude-fake-large", "claude-fake-small")
OPENAI_MODELS = ("gpt-fake-large", "gpt-fake-small")

_Json = dict[str, Any]
_STORED = Answer(text="Hello again from the fake provider.")


class _EmbeddingsRequest(msgspec.Struct):
    model: str
    input: str | list[str]
    encoding_format: str = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 8


def find(vendor: Vendor, method: str, path: str, body: bytes) -> bytes | None:
    """The JSON of a resource, or None where there is none; may raise InvalidRequestError.

    An id in the path is in the JSON, too; a new one is made of NONCE.
    """
    for verb, pattern, make in _ROUTES[vendor.name]:
        if verb == method and (match := pattern.fullmatch(path)):
            made = make(*match.groups(), body)
            return None if made is None else msgspec.json.encode(made)
    return None


def _anthropic_model(name: str, _body: bytes) -> _Json | None:
    if name not in ANTHROPIC_MODELS:
        return None
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


def _anthropic_models(body: bytes) -> _Json:
    data = [_anthropic_model(name, body) for name in ANTHROPIC_MODELS]
    first, *_, last = ANTHROPIC_MODELS
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def _count_tokens(body: bytes) -> _Json:
    return {"input_tokens": messages.count(body)}


def _embeddings(body: bytes) -> _Json:
    """Of each input a vector of no meaning, as numbers or in base64."""
    try:
        request = msgspec.json.decode(body, type=_EmbeddingsRequest)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    inputs = [request.input] if isinstance(request.input, str) else request.input
    numbers = [0.25] * request.dimensions
    packed = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    vector = packed if request.encoding_format == "base64" else numbers
    tokens = sum(words(text) for text in inputs)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, _ in enumerate(inputs)
        ],
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _compacted(body: bytes) -> _Json:
    made = responses.response("", "completed", [], Usage(input=responses.count(body), output=2))
    return {
        "id": made["id"],
        "object": "response.compaction",
        "created_at": CREATED,
        "output": [{"type": "compaction", "id": f"cmp_fake{NONCE}", "encrypted_content": "enc"}],
        "usage": made["usage"],
    }


def _nothing(_body: bytes) -> _Json:
    return {}


def _openai_model(name: str, _body: bytes) -> _Json | None:
    if name not in OPENAI_MODELS:
        return None
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}


def _openai_models(body: bytes) -> _Json:
    return {"object": "list", "data": [_openai_model(name, body) for name in OPENAI_MODELS]}


def _input_tokens(body: bytes) -> _Json:
    return {"object": "response.input_tokens", "input_tokens": responses.count(body)}


def _response(name: str, _body: bytes) -> _Json:
    made = responses.response(
        OPENAI_MODELS[0], "completed", responses.output(_STORED), Usage(input=1, output=6)
    )
    return made | {"id": name}


def stream_of(name: str, starting_after: int) -> tuple[bytes, ...]:
    """A stored response as server-sent events, those behind a number."""
    events = responses.stream(OPENAI_MODELS[0], _STORED, Usage(input=1, output=6), None, True)
    made = responses.response_id(NONCE).encode()
    return tuple(
        responses.in_background(event).replace(made, name.encode())
        for event in events[starting_after + 1 :]
    )


def _cancelled_response(name: str, body: bytes) -> _Json:
    return _response(name, body) | {"status": "cancelled", "background": True}


def _deleted_response(name: str, _body: bytes) -> _Json:
    return {"id": name, "object": "response", "deleted": True}


def _items(name: str, _body: bytes) -> _Json:
    item = _item(name, f"msg_fake{NONCE}", _body)
    ends = {"first_id": item["id"], "last_id": item["id"], "has_more": False}
    return {"object": "list", "data": [item], **ends}


def _item(_owner: str, name: str, _body: bytes) -> _Json:
    content = [{"type": "input_text", "text": "Hello, fake provider."}]
    return {
        "type": "message",
        "id": name,
        "status": "completed",
        "role": "user",
        "content": content,
    }


def _new_conversation(body: bytes) -> _Json:
    return _conversation(f"conv_fake{NONCE}", body)


def _conversation(name: str, _body: bytes) -> _Json:
    return {"id": name, "object": "conversation", "created_at": CREATED, "metadata": {}}


def _conversation_without_item(owner: str, _item_name: str, body: bytes) -> _Json:
    return _conversation(owner, body)


def _deleted_conversation(name: str, _body: bytes) -> _Json:
    return {"id": name, "object": "conversation.deleted", "deleted": True}


def _routes(
    *routes: tuple[str, str, Callable[..., _Json | None]],
) -> tuple[tuple[str, re.Pattern[str], Callable[..., _Json | None]], ...]:
    """Method, path with `*` for an id (which becomes an argument), function for the response."""
    return tuple(
        (method, re.compile(path.replace("*", "([^/]+)")), make) for method, path, make in routes
    )


_ROUTES = {
    ANTHROPIC.name: _routes(
        ("GET", "/v1/models", _anthropic_models),
        ("GET", "/v1/models/*", _anthropic_model),
        ("POST", "/v1/messages/count_tokens", _count_tokens),
        ("POST", "/api/event_logging/batch", _nothing),
        ("POST", "/api/event_logging/v2/batch", _nothing),
    ),
    OPENAI.name: _routes(
        ("GET", "/v1/models", _openai_models),
        ("GET", "/v1/models/*", _openai_model),
        ("POST", "/v1/embeddings", _embeddings),
        ("POST", "/v1/responses/compact", _compacted),
        ("POST", "/v1/responses/input_tokens", _input_tokens),
        ("GET", "/v1/responses/*", _response),
        ("DELETE", "/v1/responses/*", _deleted_response),
        ("POST", "/v1/responses/*/cancel", _cancelled_response),
        ("GET", "/v1/responses/*/input_items", _items),
        ("POST", "/v1/conversations", _new_conversation),
        ("GET", "/v1/conversations/*", _conversation),
        ("POST", "/v1/conversations/*", _conversation),
        ("DELETE", "/v1/conversations/*", _deleted_conversation),
        ("GET", "/v1/conversations/*/items", _items),
        ("POST", "/v1/conversations/*/items", _items),
        ("GET", "/v1/conversations/*/items/*", _item),
        ("DELETE", "/v1/conversations/*/items/*", _conversation_without_item),
    ),
}
