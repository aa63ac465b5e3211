"""OpenAI's legacy Completions, which editors use to complete code at the cursor.

The Completions of GitHub Copilot's engines are the same, with the model in the path.
"""

from functools import lru_cache
from typing import Any

import msgspec

from aibridged.fake_provider.answer import NONCE, Answer, InvalidRequestError, Prompt, Usage, pieces
from aibridged.fake_provider.chat_completions import CREATED

_encode = msgspec.json.Encoder().encode


class _Options(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct):
    prompt: str
    model: str = "engine"
    stream: bool | None = None
    stream_options: _Options | None = None


def read(body: bytes) -> Prompt:
    """Parse a request; raises InvalidRequestError where the real API would return 400."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    options = request.stream_options or _Options()
    return Prompt(
        model=request.model,
        text=request.prompt,
        stream=bool(request.stream),
        include_usage=options.include_usage,
    )


def whole(model: str, said: Answer, usage: Usage) -> bytes:
    """A blocking response: a JSON completion."""
    return _encode(_completion(model, said.text, "stop") | {"usage": _usage(usage)})


@lru_cache(maxsize=64)
def stream(
    model: str, said: Answer, usage: Usage, deltas: int | None, include_usage: bool
) -> tuple[bytes, ...]:
    """A streamed response: chunks and `[DONE]`; a usage chunk only on request."""
    events = [_completion(model, piece, None) for piece in pieces(said.text, deltas)]
    events.append(_completion(model, "", "stop"))
    if include_usage:
        events.append(_completion(model, "", None) | {"choices": [], "usage": _usage(usage)})
    return (*[b"data: %b\n\n" % _encode(event) for event in events], b"data: [DONE]\n\n")


def error_event(kind: str, message: str, number: int, model: str) -> bytes:
    """An error within a stream of status 200."""
    del number, model
    return b"data: %b\n\n" % _encode({"error": {"type": kind, "code": kind, "message": message}})


def _completion(model: str, text: str, reason: str | None) -> dict[str, Any]:
    return {
        "id": f"cmpl-fake{NONCE}",
        "object": "text_completion",
        "created": CREATED,
        "model": model,
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": reason}],
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.all_input,
        "completion_tokens": usage.output,
        "total_tokens": usage.all_input + usage.output,
    }
