"""Reads request bodies: one pass over the JSON, and only what the gateway and the record need.

The conversation is split into its items without looking into them; only those at its end are
decoded, where the prompt or the tool results stand. A body that is too large for that, or that no
decoder takes, is read in steps, to the same facts: see `large_request`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from aibridged.wire.bounds import ABSENT, UNREADABLE, is_given
from aibridged.wire.conversation import MAX_RESULTS, End, decode_text, end_in
from aibridged.wire.envelopes import SILENT, Said, said_in
from aibridged.wire.facts import RESPONSES_APIS, RequestFacts, WireApi
from aibridged.wire.splice import Fields, UnsplittableError
from aibridged.wire.usage import word

MAX_MODEL = 512
"""Characters of a model's name."""
INTRODUCTION = 512
"""Bytes at the beginning of a system prompt, in which programs introduce themselves."""

_USER = b'"user"'
_ROLE = 64  # bytes in which the role of an item stands, if its content doesn't stand before that
_MAX_SESSION = 256  # characters; real session ids are UUIDs
_MAX_DIGITS = 9
_MANY = 10**_MAX_DIGITS
_MAX_USER = 4 * 1024  # bytes of the field that may hold one


class BadRequestError(ValueError):
    """A body that can't be a request of the API; the sentence says why and quotes nothing."""


class Head(msgspec.Struct):
    """The fields of all APIs; those that may hold anything stay as they came."""

    model: str | None = None
    stream: msgspec.Raw = ABSENT
    stream_options: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    speed: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    max_completion_tokens: msgspec.Raw = ABSENT
    max_output_tokens: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT
    best_of: msgspec.Raw = ABSENT


H = TypeVar("H", bound=Head)
_Items = str | Sequence[msgspec.Raw] | None


class Conversation(Head):
    """A request of Messages or Chat Completions."""

    messages: Sequence[msgspec.Raw] | None = None
    metadata: msgspec.Raw = ABSENT
    system: msgspec.Raw = ABSENT


class ResponsesHead(Head):
    """A request of Responses without its input."""

    background: msgspec.Raw = ABSENT
    store: msgspec.Raw = ABSENT
    previous_response_id: msgspec.Raw = ABSENT
    conversation: msgspec.Raw = ABSENT


class Input(ResponsesHead):
    """A request of Responses."""

    input: str | Sequence[msgspec.Raw] | None = None
    instructions: msgspec.Raw = ABSENT


class Embedding(Head):
    """A request for embeddings; some of Copilot's name their model otherwise."""

    embedding_model: msgspec.Raw = ABSENT


class _Options(msgspec.Struct):
    include_usage: msgspec.Raw = ABSENT


class _Metadata(msgspec.Struct):
    user_id: msgspec.Raw = ABSENT


class _User(msgspec.Struct):
    session_id: str


_HEADS: Mapping[WireApi, Any] = {
    api: msgspec.json.Decoder(head).decode
    for api, head in {
        WireApi.MESSAGES: Head,
        WireApi.CHAT_COMPLETIONS: Head,
        WireApi.RESPONSES: ResponsesHead,
        WireApi.COMPACTION: ResponsesHead,
        WireApi.COMPLETIONS: Head,
        WireApi.EMBEDDINGS: Embedding,
    }.items()
}
_decode_options = msgspec.json.Decoder(_Options).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_user = msgspec.json.Decoder(_User).decode

_TRUE, _FALSE = msgspec.Raw(b"true"), msgspec.Raw(b"false")
_MAX_REFERENCE = 4 * 1024  # bytes of what a request names to go on from
_NO_MODEL = "The request has no model: it must be a string."
UNREADABLE_REQUEST = ("unreadable_request",)

DECODERS: Mapping[WireApi, Any] = {
    WireApi.MESSAGES: msgspec.json.Decoder(Conversation).decode,
    WireApi.CHAT_COMPLETIONS: msgspec.json.Decoder(Conversation).decode,
    WireApi.RESPONSES: msgspec.json.Decoder(Input).decode,
    WireApi.COMPACTION: msgspec.json.Decoder(Input).decode,
    # What an editor sends is no prompt of a person's: files to embed, the code at the cursor.
    WireApi.COMPLETIONS: _HEADS[WireApi.COMPLETIONS],
    WireApi.EMBEDDINGS: _HEADS[WireApi.EMBEDDINGS],
}
"""What decodes a request of each API."""


def read_request(api: WireApi, body: bytes, model: str | None = None) -> RequestFacts:
    """What the request asks for; of `model` where it names none.

    Anything that is wrong beyond its head is for the provider to refuse: it only goes unread, and
    `anomalies` says so.

    Raises:
        BadRequestError: it is no JSON object, or has no string `model`.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it can't be read in one go, by its
            spelling, its depth or its many texts. It may be JSON all the same: see `large_request`.
    """
    items: _Items
    try:
        request = named(DECODERS[api](body), model)
        if isinstance(request, Conversation):
            instructions, items = request.system, request.messages
        elif isinstance(request, Input):
            instructions, items = request.instructions, request.input
        else:
            return facts_of(api, request)
        end = End((items,)) if isinstance(items, str) else end_in(items) if items else End()
    except msgspec.ValidationError:
        return facts_of(api, named(read_head(api, body), model), anomalies=UNREADABLE_REQUEST)
    said = said_in(end.texts) if end.texts else SILENT
    return request_facts(api, request, end, said, _introduction(instructions, items))


def named(request: H, model: str | None) -> H:
    """The request with a model: its own, or else `model`, which the route names."""
    if request.model is None:
        own = _text_of(request.embedding_model) if isinstance(request, Embedding) else None
        request.model = own or model
    return request


def _introduction(instructions: msgspec.Raw, items: _Items) -> bytes:
    if instructions is not ABSENT:
        return bytes(memoryview(instructions)[:INTRODUCTION])
    if not items or isinstance(items, str):
        return b""
    return introduction_in(bytes(memoryview(items[0])[:INTRODUCTION]))


def introduction_in(item: bytes) -> bytes:
    """The beginning of an item, unless that is the user's."""
    return item if item.find(_USER, 0, _ROLE) < 0 else b""


def read_head(api: WireApi, body: bytes) -> Head:
    """What is left of a request whose conversation can't be read.

    Raises:
        BadRequestError: it is no JSON object, or has no string `model`.
        msgspec.DecodeError, UnicodeDecodeError: it can't be decoded.
    """
    try:
        head: Head = _HEADS[api](body)
        return head
    except msgspec.ValidationError as error:
        if "`$.model`" in str(error):
            raise BadRequestError(_NO_MODEL) from None
        raise BadRequestError("The request body must be a JSON object.") from None


def request_facts(
    api: WireApi, request: Head, end: End, said: Said, introduction: bytes
) -> RequestFacts:
    """All facts of a request, of what was found at its end."""
    if api is WireApi.COMPACTION:
        # The conversation is to be summed up: its prompts are on record, and none is new.
        said = SILENT
    session = None
    if api is WireApi.MESSAGES and isinstance(request, Conversation):
        session = None if request.metadata is ABSENT else _session_of(request.metadata)
    # The last one names the interception that this one continues.
    answered = tuple(end.results)
    if said.calls:
        answered = (*said.calls, *answered)[-MAX_RESULTS:]
    return facts_of(api, request, said, answered, session, introduction)


def facts_of(
    api: WireApi,
    head: Head,
    said: Said = SILENT,
    answered: tuple[str, ...] = (),
    session_id: str | None = None,
    introduction: bytes = b"",
    anomalies: tuple[str, ...] = (),
) -> RequestFacts:
    """The facts in a request's head, with what else was found."""
    if head.model is None:
        raise BadRequestError(_NO_MODEL)
    if len(head.model) > MAX_MODEL:
        raise BadRequestError(f"The model's name is longer than {MAX_MODEL} characters.")
    options = head.stream_options
    facts = RequestFacts(
        head.model,
        head.stream == _TRUE,
        options is not ABSENT and _includes_usage(options),
        options is not ABSENT,
        said.prompt,
        said.purpose,
        answered,
        session_id,
        introduction,
        anomalies,
        max_tokens=_most_tokens(api, head),
        choices=1 if head.n is ABSENT and head.best_of is ABSENT else _choices(head),
    )
    more = _stored(head) if isinstance(head, ResponsesHead) else {}
    if head.service_tier is not ABSENT:
        more["service_tier"] = word(_text_of(head.service_tier))
    if head.speed is not ABSENT:
        more["speed"] = word(_text_of(head.speed))
    return msgspec.structs.replace(facts, **more) if more else facts


def _most_tokens(api: WireApi, head: Head) -> int | None:
    """The most tokens that may be generated; of several names a provider may heed any.

    One that isn't the API's own may be ignored: alone it bounds nothing.
    """
    plain, whole, output = head.max_tokens, head.max_completion_tokens, head.max_output_tokens
    if api in RESPONSES_APIS:
        bounds = is_given(output)
    else:
        bounds = is_given(plain) or (api is WireApi.CHAT_COMPLETIONS and is_given(whole))
    if not bounds:
        return None
    if whole is ABSENT and output is ABSENT:  # as nearly always
        return _count(plain)
    counts = [_count(each) for each in (whole, output, plain) if is_given(each)]
    known = [each for each in counts if each is not None]
    return max(known) if len(known) == len(counts) else None


def _choices(head: Head) -> int:
    """How many answers are asked for; as many as may be where that isn't readable."""
    fields = [each for each in (head.n, head.best_of) if is_given(each)]
    counts = [_count(each) for each in fields]
    return max((_MANY if each is None else each for each in counts), default=1) or 1


def _count(raw: msgspec.Raw) -> int | None:
    """A whole number of a size that a provider may accept."""
    if len(raw) > _MAX_DIGITS:
        return None
    digits = bytes(raw)
    return int(digits) if digits.isdigit() else None


def _stored(head: ResponsesHead) -> dict[str, Any]:
    """What a request has to do with what the provider stores."""
    return {
        "background": head.background == _TRUE,
        "store": head.store != _FALSE,
        "previous_response": _reference(head.previous_response_id),
        "conversation": _reference(head.conversation),
    }


def _reference(raw: msgspec.Raw) -> str | None:
    """The id of what a request goes on from, as a string or in an object; empty: it is unreadable.

    An object that names it twice is, too: a provider may take the other one.
    """
    if not is_given(raw):
        return None
    if len(raw) > _MAX_REFERENCE:
        return ""
    if bytes(raw).startswith(b"{"):
        try:
            raw = msgspec.Raw(Fields(bytes(raw)).raw("id") or b"")
        except UnsplittableError:
            return ""
    return _text_of(raw) or ""


def _text_of(raw: msgspec.Raw) -> str | None:
    try:
        return decode_text(raw)
    except UNREADABLE:
        return None


def _includes_usage(options: msgspec.Raw) -> bool:
    try:
        return _decode_options(options).include_usage == _TRUE
    except UNREADABLE:
        return False


def _session_of(metadata: msgspec.Raw) -> str | None:
    """The session in Claude Code's `metadata.user_id`: a JSON object, or `..._session_<id>`."""
    try:
        user_id = _decode_metadata(metadata).user_id
        user = decode_text(user_id) if len(user_id) <= _MAX_USER else ""
        if user.startswith("{"):
            session = _decode_user(user).session_id
        else:
            _, found, session = user.rpartition("_session_")
            session = session if found else ""
    except UNREADABLE:
        return None
    session = session.strip()
    return session if 0 < len(session) <= _MAX_SESSION else None
