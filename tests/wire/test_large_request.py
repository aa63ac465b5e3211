"""A large body tells the same as a small one, whatever it holds."""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from time import thread_time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire import large_request
from aibridged.wire.conversation import decode_wanted
from aibridged.wire.envelopes import LINE, MEANWHILE
from aibridged.wire.facts import CutText, RequestFacts, WireApi
from aibridged.wire.injection.inject import MAX_TOOLS
from aibridged.wire.large_request import is_small, outline_request, read_large_request
from aibridged.wire.lone_surrogates import MAX_ESCAPES, mended
from aibridged.wire.outline import Steps, TooComplexError, run
from aibridged.wire.request import DECODERS, BadRequestError, read_request

KEEP = 1000


def reading(api: WireApi, body: bytes, keep: int = KEEP) -> Steps[RequestFacts]:
    outline, members = yield from outline_request(body)
    return (yield from read_large_request(api, outline, members, keep))


def read(api: WireApi, **fields: Any) -> RequestFacts:
    return run(reading(api, msgspec.json.encode({"model": "m", **fields})))


def test_what_is_small() -> None:
    assert is_small(b",," * 32 * 1024)
    assert not is_small(b",," * 32 * 1024 + b",")
    assert is_small(b"x" * 1024 * 1024)
    assert not is_small(b"x" * (1024 * 1024 + 1))
    assert not is_small(b"," * 50_001 + b" " * 64 * 1024)


NAMES = [
    "role",
    "content",
    "content",
    "text",
    "type",
    "text",
    "tool_use_id",
    "call_id",
    "tool_call_id",
    "id",
]
ROLES = ["user", "assistant", "system", "tool", "developer"]
TYPES = ["text", "input_text", "tool_result", "message", "mcp_approval_response", "x_output", ""]
TYPED = f"{MEANWHILE}a\n\nThis is how Claude Code surfaces messages "
ENVELOPES = [
    "<system-reminder>a</system-reminder>",
    "<task-notification><tool-use-id>7</tool-use-id></task-notification>",
    "<environment_details>",
    "</environment_details>",
    "[SYSTEM] This run is not complete until",
    "Generate a title for this conversation:\n",
    TYPED,
    f"<system-reminder>\n{TYPED}\n</system-reminder>",
    "<command-name>/x</command-name>",
    "a\ud83d",
    "\U0001f600",
    "\n",
]
WORDS = st.sampled_from([*ROLES, *TYPES, *ENVELOPES])
PART = st.dictionaries(st.sampled_from(NAMES), st.none() | WORDS | st.integers(0, 3), max_size=4)
CONTENT = st.none() | WORDS | st.lists(PART | st.integers(), max_size=3) | st.integers()
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "content": CONTENT,
        **{name: st.none() | WORDS for name in ("role", "type", "call_id", "tool_call_id", "id")},
    },
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.none() | WORDS,
        "messages": st.none() | WORDS | st.lists(ITEM, max_size=5),
        "input": st.none() | WORDS | st.lists(ITEM, max_size=5),
        "system": st.none() | WORDS | st.lists(PART, max_size=2),
        "instructions": st.none() | WORDS,
        "metadata": st.sampled_from([None, 7, {"user_id": "x_session_1"}, {"user_id": [7]}]),
        "stream": st.sampled_from([None, True, False, "true", [True]]),
        "stream_options": st.sampled_from([None, 7, {"include_usage": True}, {}]),
    },
)


def outcome(read: Any) -> RequestFacts | str:
    """The facts, or the error; an introduction, which is only searched, without lone surrogates."""
    try:
        facts = read()
    except BadRequestError as error:
        return str(error)
    return msgspec.structs.replace(facts, introduction=mended(facts.introduction))


@pytest.mark.parametrize("item_bytes", [0, 10**9])
@given(st.sampled_from(sorted(DECODERS)), FIELDS)
def test_it_tells_what_a_decoder_tells(
    item_bytes: int, api: WireApi, fields: dict[str, Any]
) -> None:
    """With items that count as large, and with small ones."""
    body = json.dumps({"model": "m", **fields}).encode()
    sizes = large_request.ITEM_BYTES
    large_request.ITEM_BYTES = item_bytes
    try:
        in_steps = outcome(lambda: run(reading(api, body)))
        # A decoder takes no half of an emoji; both take a replacement, in the same place.
        whole = re.sub(rb"\\ud83d(?!\\ude00)", rb"\\ufffd", body)
        assert in_steps == outcome(lambda: run(reading(api, whole)))
        assert in_steps == outcome(lambda: read_request(api, whole))
    finally:
        large_request.ITEM_BYTES = sizes


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"[7]", "The request body must be a JSON object."),
        (b'  "x"', "The request body must be a JSON object."),
        (b'{"model":"m"', "The request body is not valid JSON."),
        (b"", "The request body is not valid JSON."),
        (b"{}", "The request has no model: it must be a string."),
        (b'{"model":7}', "The request has no model: it must be a string."),
        (b'{"model":"' + b"m" * 10_000 + b'"}', "The request has no model: it must be a string."),
    ],
)
def test_bad_requests(body: bytes, sentence: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        run(reading(WireApi.MESSAGES, body))
    assert str(caught.value) == sentence


LONG = "long prompt\n" * 200_000


@pytest.mark.parametrize("content", [LONG, [{"type": "text", "text": LONG}]])
@pytest.mark.parametrize("api", MAX_TOOLS)
def test_a_long_prompt_is_cut(api: WireApi, content: Any) -> None:
    user = [{"role": "user", "content": content}]
    got = read(api, messages=user, input=user)
    assert isinstance(got.prompt, CutText)
    assert got.prompt == LONG[:KEEP]
    assert got.prompt.length == len(LONG)
    assert got.prompt.sha256 == hashlib.sha256(LONG.encode()).hexdigest()


def test_a_long_input_is_a_prompt() -> None:
    got = read(WireApi.RESPONSES, input=LONG)
    assert isinstance(got.prompt, CutText)
    assert got.prompt == LONG[:KEEP]


def test_the_end_of_a_large_message_counts() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 2_000_000}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [image]}
    text = {"type": "text", "text": "What is this?"}
    got = read(WireApi.MESSAGES, messages=[{"role": "user", "content": [result, image, text]}])
    assert got.prompt == "What is this?"
    assert got.tool_result_ids == ("a",)


HOSTILE = {
    "zeros": b"[" + b"0," * 600_000 + b"0]",
    "objects": b"[" + b"{}," * 80_000 + b"0]",
    "strings": b'["' + b'","' * 400_000 + b'"]',
    "deep": b"[" * 500 + b"]" * 500,
    "escapes": b'"' + b"\\n" * 600_000 + b'"',
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", ["metadata", "stream", "stream_options", "tools", "x"])
def test_a_field_of_any_size_is_left_unbuilt(name: str, value: bytes) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"%b":%b}' % (
        name.encode(),
        value,
    )
    got = run(reading(WireApi.MESSAGES, body))
    assert (got.model, got.prompt, got.stream) == ("m", "hi", False)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("api", DECODERS)
def test_content_of_any_size_is_read_or_refused(api: WireApi, value: bytes) -> None:
    item = b'{"role":"user","content":%b}' % value
    body = b'{"model":"m","messages":[%b],"input":[%b]}' % (item, item)
    steps = 0
    with suppress(TooComplexError):
        for _ in reading(api, body):
            steps += 1
    if len(value) > 1_000_000:
        assert steps > 30


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b'"previous_response_id":"resp_1"', ("resp_1", None)),
        (b'"conversation":{"id":"conv_1"}', (None, "conv_1")),
        # Too long to be looked at, but not to be passed over.
        (b'"conversation":{"id":"conv_1","x":"%b"}' % (b"y" * 10_000), (None, "")),
        (b'"previous_response_id":"%b"' % (b"y" * 10_000), ("", None)),
    ],
)
def test_what_a_large_request_goes_on_from(
    field: bytes, expected: tuple[str | None, str | None]
) -> None:
    body = b'{"model":"m","input":"hi",%b,"background":true,"store":false}' % field
    got = run(reading(WireApi.RESPONSES, body))
    assert (got.previous_response, got.conversation) == expected
    assert (got.background, got.store) == (True, False)


@pytest.mark.parametrize(
    ("texts", "prompt"),
    [
        (["<system></system>" * 64] * 900, None),
        (["<a>"] * 20_000, LINE.join(["<a>"] * 5_600)),
        (["a"] * 900, LINE.join(["a"] * 900)),
    ],
    ids=["blocks", "no blocks", "plain"],
)
def test_many_texts_are_read_in_steps(texts: list[str], prompt: str | None) -> None:
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": text} for text in texts[at : at + 900]],
        }
        for at in range(0, len(texts), 900)
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    assert is_small(body)
    began = thread_time()
    try:
        facts = read_request(WireApi.MESSAGES, body)
    except msgspec.DecodeError:
        assert thread_time() - began < 0.05
        facts = run(reading(WireApi.MESSAGES, body, len(body)))
    assert facts.prompt == prompt


def test_a_message_is_mended_once() -> None:
    raw = b'{"role":"user","content":"%b"}' % (rb"\ud83d" * MAX_ESCAPES)
    assert quickest(decode_wanted, raw) < 1.6 * quickest(mended, raw)


def quickest(read: Callable[[bytes], object], source: bytes) -> float:
    """The processor's seconds that it takes."""
    took = []
    for _ in range(5):
        began = thread_time()
        read(source)
        took.append(thread_time() - began)
    return min(took)
