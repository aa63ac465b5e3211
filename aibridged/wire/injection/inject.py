"""Puts the gateway's tools into a request, and opens the dialogue about it; some want no tools."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec

from aibridged.wire.bounds import UNREADABLE
from aibridged.wire.chat_completions.dialogue import ChatCompletionsDialogue
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.dialogue import Dialogue
from aibridged.wire.injection.offer import Offer
from aibridged.wire.lone_surrogates import decode_mended
from aibridged.wire.messages.dialogue import MessagesDialogue
from aibridged.wire.responses.continuing import conversation_of
from aibridged.wire.responses.dialogue import ResponsesDialogue
from aibridged.wire.splice import Edit, Fields, UnsplittableError

MAX_TOOLS: Mapping[WireApi, int] = {
    WireApi.MESSAGES: 512,
    WireApi.CHAT_COMPLETIONS: 128,
    WireApi.RESPONSES: 128,
}
"""Tools that a request may offer, the client's own included; the other APIs are given none. OpenAI
refuses more; Anthropic names no number, but each tool takes its part of the context."""

_MAX_COMMAS = 20_000  # in the client's tools, before they are decoded
_TRUE, _FALSE = b"true", b"false"

# OpenAI's first reasoning models refuse the parameter, on or off: they call one by one anyhow.
_CALLS_ONE_BY_ONE = re.compile(r"o\d")


class _Named(msgspec.Struct):
    name: str | None = None


class _Tool(_Named):
    function: _Named | None = None
    custom: _Named | None = None


class _Choice(msgspec.Struct):
    type: str = ""


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_choice = msgspec.json.Decoder(str | _Choice).decode


class Injection(msgspec.Struct, frozen=True):
    """A request with tools put in: which, and which are left out since the API takes no more."""

    request: Fields
    names: frozenset[str]
    over_limit: tuple[str, ...]


def is_background(client: str, model: str) -> bool:
    """Whether a program asks in passing: Claude Code lets a small model write titles and the like.

    `client` is the name by `clients.identify`.
    """
    return client == "Claude Code" and "haiku" in model.lower()


class Candidate:
    """A request that may be given tools; see `candidate`."""

    def __init__(self, api: WireApi, model: str, fields: Fields, own: Sequence[str]) -> None:
        self._api = api
        self._model = model
        self._fields = fields
        self._own = own

    def inject(self, offer: Offer) -> Injection | None:
        """The request with the tools of `offer` before the client's own.

        Nothing else in it changes, but that parallel calls are switched off. A tool whose name the
        client has, too, is left out. None where there is room for no tool.
        """
        own, api = self._own, self._api
        if offer.names.isdisjoint(own) and 0 < len(offer) <= MAX_TOOLS[api] - len(own):
            # As nearly always: all of them, and they have been joined before.
            return self._injected(offer.joined(api), offer.names, ())
        fitting = [(name, tool) for name, tool in offer.encoded(api) if name not in own]
        room = max(0, MAX_TOOLS[api] - len(own))
        chosen = fitting[:room]
        over_limit = tuple(name for name, _ in fitting[room:])
        if not chosen:
            return None
        names = frozenset(name for name, _ in chosen)
        return self._injected(b",".join(tool for _, tool in chosen), names, over_limit)

    def _injected(
        self, tools: bytes, names: frozenset[str], over_limit: tuple[str, ...]
    ) -> Injection:
        fields = self._fields
        edits = [fields.prepend("tools", tools), *_one_by_one(self._api, self._model, fields)]
        return Injection(fields.edit(*edits), names, over_limit)


def candidate(api: WireApi, model: str, fields: Fields) -> Candidate | None:
    """The request, if it may be given tools.

    None where it wants none of ours, and where it can't be read: then the provider will say what is
    wrong.
    """
    try:
        if not _WANTED[api](fields):
            return None
        return Candidate(api, model, fields, _names(fields.raw("tools")))
    except (UnsplittableError, *UNREADABLE):
        return None


def _names(tools: bytes | None) -> list[str]:
    """The names of the client's tools, one for each; empty for those that have none."""
    found = []
    if tools is not None and tools.count(b",") > _MAX_COMMAS:
        raise UnsplittableError("too many tools")
    for tool in decode_mended(_decode_tools, tools) if tools else ():
        named = tool.function or tool.custom or tool
        found.append(named.name or "")
    return found


def _messages_want(fields: Fields) -> bool:
    choice = _choice(fields)
    is_open = choice is None or (isinstance(choice, _Choice) and choice.type in ("auto", "any"))
    return is_open and _is_array(fields, "messages")


def _chat_wants(fields: Fields) -> bool:
    """Of several choices each would be a conversation of its own; functions exclude tools."""
    alone = fields.raw("n") in (None, b"1") and fields.raw("functions") is None
    return alone and _openai_choice_is_open(fields) and _is_array(fields, "messages")


def _responses_want(fields: Fields) -> bool:
    """What runs in the background is fetched later, past the gateway."""
    conversation_of(fields)  # it can be read
    is_foreground = fields.raw("background") != _TRUE
    is_readable = fields.raw("input") is None or fields.starts("input", (b"[", b'"'))
    return is_foreground and is_readable and _openai_choice_is_open(fields)


def _is_array(fields: Fields, name: str) -> bool:
    return fields.starts(name, b"[")


def _openai_choice_is_open(fields: Fields) -> bool:
    return _choice(fields) in (None, "auto", "required")


_WANTED: Mapping[WireApi, Callable[[Fields], bool]] = {
    WireApi.MESSAGES: _messages_want,
    WireApi.CHAT_COMPLETIONS: _chat_wants,
    WireApi.RESPONSES: _responses_want,
}


def _choice(fields: Fields) -> str | _Choice | None:
    raw = fields.raw("tool_choice")
    return None if raw is None else decode_mended(_decode_choice, raw)


def _one_by_one(api: WireApi, model: str, fields: Fields) -> Iterator[Edit]:
    """What keeps the model from calling tools of the client's in the same breath as ours."""
    if api is WireApi.MESSAGES:
        choice = fields.raw("tool_choice")
        if choice is None:
            yield fields.put("tool_choice", b'{"type":"auto","disable_parallel_tool_use":true}')
        else:
            inner = Fields(choice)
            if inner.raw("disable_parallel_tool_use") != _TRUE:
                put = inner.put("disable_parallel_tool_use", _TRUE)
                yield fields.put("tool_choice", inner.edited(put))
    elif not _CALLS_ONE_BY_ONE.match(model) and fields.raw("parallel_tool_calls") != _FALSE:
        yield fields.put("parallel_tool_calls", _FALSE)


_DIALOGUES: Mapping[
    WireApi, type[MessagesDialogue] | type[ChatCompletionsDialogue] | type[ResponsesDialogue]
] = {
    WireApi.MESSAGES: MessagesDialogue,
    WireApi.CHAT_COMPLETIONS: ChatCompletionsDialogue,
    WireApi.RESPONSES: ResponsesDialogue,
}


def open_dialogue(
    api: WireApi, request: Fields, names: Collection[str], *, withhold_usage: bool = False
) -> Dialogue:
    """The dialogue about a request into which tools of these names have been put.

    `withhold_usage`: the usage of a Chat Completions stream isn't for the client (see
    `stream_usage`).
    """
    return _DIALOGUES[api](request, names, withhold_usage=withhold_usage)
