"""Answers of a model in each API, and what a dialogue makes of them."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from aibridged.fake_provider import Answer, Usage, chat_completions, messages, responses
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.dialogue import Dialogue, Result
from aibridged.wire.injection.opening import open_dialogue
from aibridged.wire.injection.splice import Fields

OURS = "bmcp_files_read"

RENDERERS: dict[WireApi, ModuleType] = {
    WireApi.MESSAGES: messages,
    WireApi.CHAT_COMPLETIONS: chat_completions,
    WireApi.RESPONSES: responses,
}
REQUESTS = {
    WireApi.MESSAGES: b'{"model":"m", "max_tokens":9,"messages":[{"role":"user","content":"hi"} ]}',
    WireApi.CHAT_COMPLETIONS: b'{"model":"m", "messages":[ {"role":"user","content":"hi"} ]}',
    WireApi.RESPONSES: b'{"model":"m", "input":[ {"role":"user","content":"hi"} ]}',
}


class Scene:
    """One API, a dialogue in it, and answers with ids of their own for each turn."""

    def __init__(self, api: WireApi, **options: Any) -> None:
        self.api = api
        self.renderer = RENDERERS[api]
        request = options.pop("request", REQUESTS[api])
        self.dialogue: Dialogue = open_dialogue(api, Fields(request), {OURS}, **options)

    def stream(self, said: Answer, turn: int = 1, used: Usage | None = None) -> bytes:
        used = used or Usage(input=10, output=5)
        events = self.renderer.stream("m", said, used, None, True)
        return b"".join(events).replace(b"@nonce@", b"%d" % turn)

    def body(self, said: Answer, turn: int = 1, used: Usage | None = None) -> bytes:
        whole = self.renderer.whole("m", said, used or Usage(input=10, output=5))
        return whole.replace(b"@nonce@", b"%d" % turn)

    def feed(self, stream: bytes, size: int | None = None, *, last: bool = False) -> bytes:
        """What the client sees of a turn, given in pieces of so many bytes."""
        self.dialogue.begin_turn(last=last)
        size = size or len(stream)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        return b"".join(map(self.dialogue.feed, pieces)) + self.dialogue.end_stream()

    def read(self, body: bytes, *, last: bool = False) -> bytes:
        self.dialogue.begin_turn(last=last)
        return self.dialogue.read(body)

    def answer(self, text: str = "the file", *, is_error: bool = False) -> Any:
        """The next request, with the same result for every call."""
        results = [Result(call, text, is_error) for call in self.dialogue.calls]
        return json.loads(self.dialogue.answer(results))


@pytest.fixture(params=list(WireApi), ids=lambda api: api.value)
def scene(request) -> Scene:
    """Each API in turn."""
    return Scene(request.param)


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    return Scene


def _events(stream: bytes) -> list[Any]:
    """The data of a stream's events; each event must be whole, and `[DONE]` stays text."""
    found = []
    assert not stream or stream.endswith(b"\n\n")
    for block in stream.split(b"\n\n")[:-1]:
        lines = block.split(b"\n")
        if lines[0].startswith(b":"):
            continue
        data = lines[-1].removeprefix(b"data: ")
        if data == b"[DONE]":
            found.append("[DONE]")
            continue
        event = json.loads(data)
        if len(lines) > 1:
            assert lines[0].decode() == f"event: {event['type']}"
        found.append(event)
    return found


@pytest.fixture
def events() -> Callable[[bytes], list[Any]]:
    return _events
