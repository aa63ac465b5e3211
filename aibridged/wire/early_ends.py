"""Early ends of streams: what the client gets in place of the rest, as events of the API.

Each begins between two events of the provider's, and says in words of the gateway's why no more
comes. A tool call that the model was still writing stays unfinished, so that no agent runs it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from aibridged.wire.facts import WireApi
from aibridged.wire.own_answers import (
    Said,
    chat_head,
    data,
    event,
    own_answer,
    part,
    response_with,
    text_chunk,
)

_PARAGRAPH = "\n\n"
_encode = msgspec.json.Encoder().encode
_NO_DETAILS = {"cached_tokens": 0}
_NO_REASONING = {"reasoning_tokens": 0}


def whole(api: WireApi, said: Said) -> bytes:
    """A stream of which the client has only the head."""
    answer = own_answer(api, said, stream=True)
    return b"" if answer is None else answer.body


def end_of_message(
    said: Said, blocks: Mapping[int, str], next_index: int, *, stopped: bool
) -> bytes:
    """The end of a stream of Messages.

    `blocks` are the types of the content blocks that are open, by their indices; `next_index` is
    that of another one. `stopped` says that the client has been told why the model stopped.

    Of them only text is closed: Claude Code keeps what is, and then runs a call without the rest of
    its arguments, or sends back a thought without its signature, for which the API refuses that
    session from then on.
    """
    return b"".join(_message_events(said, blocks, next_index, stopped=stopped))


def _message_events(
    said: Said, blocks: Mapping[int, str], next_index: int, *, stopped: bool
) -> Iterator[bytes]:
    if not stopped:
        texts = [index for index, kind in blocks.items() if kind == "text"]
        for index in texts[1:]:
            yield event("content_block_stop", index=index)
        index, text = next_index, said.text
        if texts:
            index, text = texts[0], _PARAGRAPH + said.text
        else:
            begun = {"type": "text", "text": ""}
            yield event("content_block_start", index=index, content_block=begun)
        delta = {"type": "text_delta", "text": text}
        yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": said.output_tokens})
    yield event("message_stop")


def end_of_completion(
    said: Said,
    id: str | None,
    *,
    is_chat: bool,
    finished: Collection[int] = (),
    stopped: bool,
    has_usage: bool,
) -> bytes:
    """The end of a stream of Chat Completions, or of Completions.

    `id` is what the stream has; `finished` are the choices that have ended, and `stopped` says that
    all have. `has_usage`: the usage was told.
    """
    make = _chat_chunks if is_chat else _text_chunks
    chunks = [] if stopped else list(make(said, finished))
    if said.includes_usage and not has_usage:
        chunks.append({**_heading(said, is_chat=is_chat), "choices": [], "usage": _usage(said)})
    named = [{**chunk, "id": id or chunk["id"]} for chunk in chunks]
    return b"".join([*map(data, named), b"data: [DONE]\n\n"])


def _heading(said: Said, *, is_chat: bool) -> dict[str, Any]:
    return chat_head(said, "chat.completion.chunk") if is_chat else text_chunk(said, "")


def _usage(said: Said) -> dict[str, int]:
    asked, came = said.input_tokens, said.output_tokens
    return {"prompt_tokens": asked, "completion_tokens": came, "total_tokens": asked + came}


def _chat_chunks(said: Said, finished: Collection[int]) -> Iterator[dict[str, Any]]:
    head = chat_head(said, "chat.completion.chunk")
    if said.includes_usage:
        head["usage"] = None
    for index in range(max(said.choices, 1)):
        if index in finished:
            continue
        for delta, reason in (({"content": _PARAGRAPH + said.text}, None), ({}, "stop")):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
            yield {**head, "choices": [choice]}


def _text_chunks(said: Said, finished: Collection[int]) -> Iterator[dict[str, Any]]:
    chunk = text_chunk(said, _PARAGRAPH + said.text)
    for index in range(max(said.choices, 1)):
        if index not in finished:
            yield {**chunk, "choices": [{**chunk["choices"][0], "index": index}]}


class OpenMessage(NamedTuple):
    """A message that has begun and not ended: `place` is its index, `part` that of its open part of
    text, and `parts` how many it has.
    """

    place: int
    id: str | None
    phase: str | None = None
    parts: int = 0
    part: int | None = None


class ResponseSoFar(NamedTuple):
    """What the client of a stream of Responses has seen.

    `items` are those that have ended, whole, and `messages` and `others` those that haven't; of the
    others each as it stands, as an object that says so. `next_index` is that of another item, and
    `number` that of the next event.
    """

    id: str
    items: Sequence[bytes]
    messages: Sequence[OpenMessage]
    others: Sequence[Mapping[str, Any]]
    next_index: int
    number: int


def end_of_response(said: Said, so_far: ResponseSoFar) -> bytes:
    """The end of a stream of Responses.

    It is told as completed: some agents repeat a request whose response is incomplete. A thought or
    a call that hasn't ended isn't said to be done, or agents would run it, or send it back; it
    stands in the whole response alone. What was streamed of a message isn't repeated in it.
    """
    events: list[tuple[str, dict[str, Any]]] = []
    told: list[Any] = [msgspec.Raw(item) for item in so_far.items]
    for message in so_far.messages:
        events += _message_end(said, message)
        told.append(events[-1][1]["item"])
    told += so_far.others
    if not so_far.messages:
        message = OpenMessage(so_far.next_index, f"msg_aibridge_{said.id}")
        begun = {**_message(message, []), "status": "in_progress"}
        events.append(
            ("response.output_item.added", {"output_index": message.place, "item": begun})
        )
        events += _message_end(said, message)
        told.append(events[-1][1]["item"])
    response = {
        **response_with(said, "completed", told),
        "id": so_far.id,
        "usage": {
            "input_tokens": said.input_tokens,
            "input_tokens_details": _NO_DETAILS,
            "output_tokens": said.output_tokens,
            "output_tokens_details": _NO_REASONING,
            "total_tokens": said.input_tokens + said.output_tokens,
        },
    }
    events.append(("response.completed", {"response": response}))
    return b"".join(
        event(kind, **fields, sequence_number=so_far.number + count)
        for count, (kind, fields) in enumerate(events)
    )


def _message(message: OpenMessage, content: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    item = {
        "type": "message",
        "id": message.id,
        "status": "incomplete",
        "role": "assistant",
        "content": content,
    }
    return item if message.phase is None else {**item, "phase": message.phase}


def _message_end(said: Said, message: OpenMessage) -> list[tuple[str, dict[str, Any]]]:
    """The rest of a message, whose last event has it whole."""
    index = message.parts if message.part is None else message.part
    at = {"item_id": message.id, "output_index": message.place, "content_index": index}
    text = said.text if message.part is None else _PARAGRAPH + said.text
    events: list[tuple[str, dict[str, Any]]] = []
    if message.part is None:
        events.append(("response.content_part.added", {**at, "part": part("")}))
    return [
        *events,
        ("response.output_text.delta", {**at, "delta": text, "logprobs": []}),
        ("response.output_text.done", {**at, "text": said.text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": part(said.text)}),
        (
            "response.output_item.done",
            {"output_index": message.place, "item": _message(message, [part(said.text)])},
        ),
    ]
