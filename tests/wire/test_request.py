"""What is read of requests: the prompt, the answered tool calls, the session."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.conversation import LAST_BYTES, LAST_ITEMS, MAX_RESULTS
from aibridged.wire.envelopes import MEANWHILE
from aibridged.wire.facts import RequestFacts, WireApi
from aibridged.wire.injection.inject import MAX_TOOLS
from aibridged.wire.large_request import outline_request, read_large_request
from aibridged.wire.outline import run
from aibridged.wire.request import (
    DECODERS,
    INTRODUCTION,
    MAX_MODEL,
    BadRequestError,
    read_request,
)

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read(api: WireApi, body: bytes) -> RequestFacts:
    """As the daemon does: at once or, where a decoder can't, in steps, to the same facts."""
    outline, members = run(outline_request(body))
    in_steps = run(read_large_request(api, outline, members, 10**9))
    with suppress(*UNDECODABLE):
        assert read_request(api, body) == in_steps
    return in_steps


def facts(api: WireApi, **fields: Any) -> RequestFacts:
    return read(api, msgspec.json.encode({"model": "m", **fields}))


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else content}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


SYSTEM = {"role": "system", "content": "Instructions that the agent put behind it."}
ASSISTANT = {"role": "assistant", "content": "Sure."}
IMAGE = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}


@pytest.mark.parametrize("api", DECODERS)
def test_head(api: WireApi) -> None:
    assert facts(api) == RequestFacts("m")
    assert facts(api, stream=True).stream is True
    assert facts(api, stream="true").stream is False
    assert facts(api, stream=None).stream is False
    assert facts(api, stream_options={"include_usage": True}).include_usage is True
    assert facts(api, stream_options={"include_usage": False}).include_usage is False
    assert facts(api, stream_options=7).include_usage is False
    assert facts(api, stream_options=7).has_options is True
    assert facts(api).has_options is False


@pytest.mark.parametrize("api", DECODERS)
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The request body is not valid JSON."),
        (b'{"model":"m"', "The request body is not valid JSON."),
        (b'{"model":"m"} x', "The request body is not valid JSON."),
        (b'{"model":"\xff"}', "The request body is not valid JSON."),
        (b"[]", "The request body must be a JSON object."),
        (b'"model"', "The request body must be a JSON object."),
        (b"{}", "The request has no model: it must be a string."),
        (b'{"model":null}', "The request has no model: it must be a string."),
        (b'{"messages":7}', "The request has no model: it must be a string."),
    ],
)
def test_bad_requests(api: WireApi, body: bytes, sentence: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(api, body)
    assert str(caught.value) == sentence
    with pytest.raises((BadRequestError, *UNDECODABLE)):
        read_request(api, body)


@pytest.mark.parametrize("api", DECODERS)
@pytest.mark.parametrize(
    "text",
    [b'"\n"', b'"\x00"', rb'"\x"', rb'"\u12"', rb'"\ud83"', rb'"\ud83d', b"\xff", b"NaN", b"'a'"],
)
@pytest.mark.parametrize("size", [0, 70_000])
def test_what_no_json_may_hold_is_a_bad_request(api: WireApi, text: bytes, size: int) -> None:
    """However long the strings around it are: they are looked at in other ways then."""
    long = b"x" * size
    for value in (text, text.replace(b'"', b'"' + long, 1), b"[7,%b]" % text):
        with pytest.raises(BadRequestError, match="not valid JSON"):
            read(api, b'{"model":"m","x":%b}' % value)
        with pytest.raises((BadRequestError, *UNDECODABLE)):
            read_request(api, b'{"model":"m","x":%b}' % value)


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_what_the_provider_is_to_refuse_goes_on_unread(api: WireApi) -> None:
    got = facts(api, stream=True, messages={"a": 1}, input={"a": 1})
    assert got == RequestFacts("m", stream=True, anomalies=("unreadable_request",))
    got = facts(api, messages=[7], input=[7])
    assert got == RequestFacts("m", anomalies=("unreadable_request",))


@pytest.mark.parametrize(
    ("messages", "prompt", "results"),
    [
        ([user("Hi")], "Hi", ()),
        ([user("Hi"), ASSISTANT, user("Go on")], "Go on", ()),
        ([user(text("context"), text("Hi"), IMAGE)], "context\nHi", ()),
        ([user("Hi"), user("there")], "Hi\nthere", ()),
        ([user("Hi"), ASSISTANT], None, ()),
        ([user(IMAGE)], None, ()),
        ([user("")], "", ()),
        (
            [
                user("Hi"),
                ASSISTANT,
                user(
                    {"type": "tool_result", "tool_use_id": "a", "content": [text("no prompt")]},
                    {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                ),
            ],
            None,
            ("a", "b"),
        ),
        ([user(text("Hi"), {"type": "tool_result", "tool_use_id": "a"})], None, ("a",)),
        ([user({"type": "tool_result", "tool_use_id": "a"}, text("Stop"))], "Stop", ("a",)),
        ([user({"type": "tool_result", "tool_use_id": "a"}), user("Stop")], "Stop", ("a",)),
        ([user({"type": "tool_result", "tool_use_id": "a"}), ASSISTANT, user("Hi")], "Hi", ()),
        ([user("Hi"), SYSTEM], "Hi", ()),
        ([user({"type": "tool_result", "tool_use_id": "a"}), SYSTEM, SYSTEM], None, ("a",)),
        ([user("Hi"), ASSISTANT, SYSTEM], None, ()),
        ([SYSTEM], None, ()),
        ([], None, ()),
    ],
)
def test_messages(messages: list[Any], prompt: str | None, results: tuple[str, ...]) -> None:
    got = facts(WireApi.MESSAGES, messages=messages)
    assert (got.prompt, got.tool_result_ids) == (prompt, results)


def tool(call_id: str) -> dict[str, str]:
    return {"role": "tool", "tool_call_id": call_id, "content": "no prompt"}


@pytest.mark.parametrize(
    ("messages", "prompt", "results"),
    [
        ([{"role": "system", "content": "s"}, user("Hi")], "Hi", ()),
        ([user(text("a"), text(""), text("b"))], "a\nb", ()),
        ([user("a"), user("b")], "a\nb", ()),
        ([user("Hi"), ASSISTANT, tool("a"), tool("b")], None, ("a", "b")),
        ([user("Hi"), ASSISTANT, tool("a"), user("Stop")], "Stop", ("a",)),
        ([tool("old"), {**ASSISTANT, "tool_calls": [{"id": "a"}]}, tool("a")], None, ("a",)),
        ([user("Hi"), {"role": "developer", "content": "d"}], "Hi", ()),
        ([user("Hi"), {"role": "system", "content": "s"}], "Hi", ()),
        ([user("Hi"), {"role": "system", "content": "s"}, ASSISTANT], None, ()),
        ([user("a"), {"role": "system", "content": "s"}, user("b")], "a\nb", ()),
        ([user("Hi"), ASSISTANT], None, ()),
        ([], None, ()),
    ],
)
def test_chat_completions(
    messages: list[Any], prompt: str | None, results: tuple[str, ...]
) -> None:
    got = facts(WireApi.CHAT_COMPLETIONS, messages=messages)
    assert (got.prompt, got.tool_result_ids) == (prompt, results)


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


INPUT_TEXT = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]


@pytest.mark.parametrize(
    ("items", "prompt", "results"),
    [
        ("Hi", "Hi", ()),
        ([user("Hi")], "Hi", ()),
        ([item("message", role="user", content=INPUT_TEXT)], "a\nb", ()),
        ([user("Hi"), item("message", role="developer", content=INPUT_TEXT)], "Hi", ()),
        ([user("Hi"), item("reasoning", id="r", summary=[])], None, ()),
        (
            [
                user("Hi"),
                item("function_call_output", call_id="old", output="x"),
                item("function_call", call_id="a", name="f", arguments="{}"),
                item("custom_tool_call", call_id="b", name="g", input=""),
                item("function_call_output", call_id="a", output="no prompt"),
                item("custom_tool_call_output", call_id="b", output=INPUT_TEXT),
                item("local_shell_call_output", id="c", output="x"),
                item("mcp_approval_response", approval_request_id="d", approve=True),
            ],
            None,
            ("a", "b", "c", "d"),
        ),
        ([item("function_call_output", call_id="a", output="x"), user("Stop")], "Stop", ("a",)),
        (None, None, ()),
        ([], None, ()),
    ],
)
def test_responses(items: Any, prompt: str | None, results: tuple[str, ...]) -> None:
    got = facts(WireApi.RESPONSES, input=items)
    assert (got.prompt, got.tool_result_ids) == (prompt, results)


@pytest.mark.parametrize(
    ("metadata", "session"),
    [
        ({"user_id": "user_ab_account_cd_session_01-ef"}, "01-ef"),
        ({"user_id": '{"device_id":"d","session_id":"01-ef"}'}, "01-ef"),
        ({"user_id": '{"session_id":7}'}, None),
        ({"user_id": '{"session_id":"'}, None),
        ({"user_id": "someone"}, None),
        ({"user_id": "x_session_"}, None),
        ({"user_id": "x_session_" + "y" * 300}, None),
        ({"user_id": 7}, None),
        ({}, None),
        (None, None),
        ("x", None),
    ],
)
def test_session_of_claude_code(metadata: Any, session: str | None) -> None:
    got = facts(WireApi.MESSAGES, metadata=metadata, messages=[user("Hi")])
    assert (got.session_id, got.prompt) == (session, "Hi")


def test_what_nests_too_deep_for_a_decoder_is_for_the_scanner() -> None:
    with pytest.raises(RecursionError):
        read_request(WireApi.MESSAGES, b'{"x":' + b"[" * 100_000)


def test_names_and_results_are_bounded() -> None:
    with pytest.raises(BadRequestError, match="longer than 512 characters"):
        read(WireApi.MESSAGES, msgspec.json.encode({"model": "m" * (MAX_MODEL + 1)}))
    results = [{"type": "tool_result", "tool_use_id": str(n)} for n in range(MAX_RESULTS + 1)]
    got = facts(WireApi.MESSAGES, messages=[user(*results)])
    assert got.tool_result_ids == tuple(str(n) for n in range(1, MAX_RESULTS + 1))
    got = facts(WireApi.CHAT_COMPLETIONS, messages=[tool(str(n)) for n in range(MAX_RESULTS + 1)])
    assert got.tool_result_ids == tuple(str(n) for n in range(1, MAX_RESULTS + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_use_id", "call_id", "user_id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(sorted(DECODERS)),
    st.dictionaries(st.sampled_from(["messages", "input", "metadata"]), JSON),
)
def test_any_json_with_a_model_is_read(api: WireApi, fields: dict[str, Any]) -> None:
    assert facts(api, **fields).model == "m"


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=60))
def test_garbage_is_a_bad_request(api: WireApi, body: bytes) -> None:
    with pytest.raises(BadRequestError):
        read(api, body)


HALF = rb"\ud83d"
BODIES = {
    WireApi.MESSAGES: b'{"model":"m","messages":[%b]}',
    WireApi.CHAT_COMPLETIONS: b'{"model":"m","messages":[%b]}',
    WireApi.RESPONSES: b'{"model":"m","input":[%b]}',
}


def items(*texts: bytes) -> bytes:
    """Items of the user's, with one of the model's before the last."""
    said = [b'{"role":"user","content":"%b"}' % text for text in texts]
    return b",".join([*said[:-1], b'{"role":"assistant","content":"x"}', said[-1]])


@pytest.mark.parametrize("api", MAX_TOOLS)
@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (HALF, "\ufffd"),
        (rb"\uDE00", "\ufffd"),
        (rb"a\ud83d\ude00b\ud83d", "a\U0001f600b\ufffd"),
        (rb"\ude00\ud83d\ud83d\ude00", "\ufffd\ufffd\U0001f600"),
        (rb"\\ud83d", "\\ud83d"),
        (rb"\\\ud83d\n", "\\\ufffd\n"),
        (b"a\xffb", "a\ufffdb"),
        (b"a\xff" + HALF, "a\ufffd\ufffd"),
    ],
)
def test_half_an_emoji_is_read_as_a_replacement(api: WireApi, text: bytes, prompt: str) -> None:
    assert read(api, BODIES[api] % items(b"cut " + HALF, text)).prompt == prompt
    body = BODIES[api] % items(text, b"next")
    assert read(api, body).prompt == "next"
    system = b'{"role":"user","content":"Hi"},{"role":"system","content":"%b"}' % text
    assert read(api, BODIES[api] % system).prompt == "Hi"


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_half_an_emoji_may_stand_anywhere(api: WireApi) -> None:
    body = rb'{"\ud83d":1,"model":"m\ud83d","stream":true,"metadata":{"user_id":"\ud83d"}}'
    got = read(api, body)
    assert (got.model, got.stream, got.anomalies) == ("m\ufffd", True, ())


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_many_halves_are_read_in_steps(api: WireApi) -> None:
    got = read(api, BODIES[api] % items(HALF, HALF * 10_000))
    assert got.prompt == "\ufffd" * 10_000


@pytest.mark.parametrize("odd", [7, {"role": None}, {"role": 7}, {"role": "user", "content": 7}])
def test_an_odd_item_before_the_prompt_does_not_hide_it(odd: Any) -> None:
    got = facts(WireApi.CHAT_COMPLETIONS, messages=[user("old"), odd, user("Hi")])
    assert (got.prompt, got.anomalies) == ("Hi", ())
    got = facts(WireApi.CHAT_COMPLETIONS, messages=[user("Hi"), odd])
    assert (got.prompt, got.anomalies) == (None, ("unreadable_request",))


def test_only_the_last_items_are_looked_into() -> None:
    many = [user("a")] * (LAST_ITEMS + 1)
    prompt = facts(WireApi.CHAT_COMPLETIONS, messages=many).prompt
    assert prompt is not None
    assert len(prompt.split()) == LAST_ITEMS


REMINDER = "<system-reminder>\n%s\n</system-reminder>"
TYPED = MEANWHILE + "Look there, too.\n\nThis is how Claude Code surfaces messages the user sends."


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "a", "content": content}


@pytest.mark.parametrize(
    "behind",
    [
        [user(result("notes.txt\n\n" + REMINDER % TYPED))],
        [user(result("notes.txt\n\n" + REMINDER % TYPED + "\n\n" + REMINDER % "tokens"))],
        [user(result([text("notes.txt"), text(REMINDER % TYPED)]))],
        [user(result("notes.txt"), text(TYPED))],
        [user(result("notes.txt")), {"role": "system", "content": TYPED}],
        [user(result("notes.txt")), {"role": "system", "content": [text(TYPED)]}],
        [user(result("x" * 2 * LAST_BYTES + REMINDER % TYPED))],
    ],
)
def test_what_is_typed_while_the_model_works_is_a_prompt(behind: list[Any]) -> None:
    got = facts(WireApi.MESSAGES, messages=[user("Hi"), ASSISTANT, *behind])
    assert (got.prompt, got.tool_result_ids) == ("Look there, too.", ("a",))


@pytest.mark.parametrize(
    "behind",
    [
        [user(result(f"12\t{TYPED}"))],
        [user(result(REMINDER % TYPED + "x" * LAST_BYTES))],
        [user(result("notes.txt")), {"role": "system", "content": TYPED + "x" * LAST_BYTES}],
        [user(result("notes.txt")), {"role": "system", "content": {"text": MEANWHILE}}],
        [user(result(7)), {"role": "system", "content": f"As it says: {TYPED}"}],
    ],
)
def test_what_only_speaks_of_it_is_none(behind: list[Any]) -> None:
    got = facts(WireApi.MESSAGES, messages=[user("Hi"), ASSISTANT, *behind])
    assert (got.prompt, got.tool_result_ids) == (None, ("a",))


def test_a_notice_of_a_background_agent_answers_the_call_that_started_it() -> None:
    notice = "<task-notification>\n<tool-use-id>toolu_1</tool-use-id>\n</task-notification>"
    got = facts(WireApi.MESSAGES, messages=[user("Hi"), ASSISTANT, user(text(notice))])
    assert (got.prompt, got.tool_result_ids) == (None, ("toolu_1",))
    both = user(result("notes.txt"), text(notice))
    got = facts(WireApi.MESSAGES, messages=[user("Hi"), ASSISTANT, both])
    assert got.tool_result_ids == ("toolu_1", "a")


def test_a_title_is_no_prompt() -> None:
    ask = "Generate a title for this conversation:\n"
    got = facts(WireApi.RESPONSES, input=[user(text(ask)), user("List the files")])
    assert (got.prompt, got.purpose) == (None, "title")


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        (WireApi.MESSAGES, {"system": "You are X."}),
        (WireApi.MESSAGES, {"system": [text("You are X.")], "messages": [user("Hi")]}),
        (WireApi.CHAT_COMPLETIONS, {"messages": [{"role": "system", "content": "You are X."}]}),
        (WireApi.RESPONSES, {"instructions": "You are X.", "input": "Hi"}),
        (WireApi.RESPONSES, {"input": [{"role": "developer", "content": "You are X."}]}),
    ],
)
def test_how_the_system_prompt_begins(api: WireApi, fields: dict[str, Any]) -> None:
    assert b"You are X." in facts(api, **fields).introduction


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_what_a_user_says_introduces_no_program(api: WireApi) -> None:
    got = facts(api, messages=[user("You are X.")], input=[user("You are X.")])
    assert got.introduction == b""
    assert len(facts(api, system="x" * 9999, instructions="x" * 9999).introduction) <= INTRODUCTION


def test_a_model_that_the_body_does_not_name() -> None:
    body = b'{"prompt":"def f():","suffix":"","stream":true}'
    got = read_request(WireApi.COMPLETIONS, body, "engine")
    assert got == RequestFacts("engine", stream=True)
    assert read_request(WireApi.COMPLETIONS, b'{"model":"m"}', "engine").model == "m"
    chunk = b'{"content":"def f():","embedding_model":"text-embedding"}'
    assert read_request(WireApi.EMBEDDINGS, chunk, "chunks").model == "text-embedding"
    assert read_request(WireApi.EMBEDDINGS, b'{"embedding_model":7}', "chunks").model == "chunks"
    with pytest.raises(BadRequestError, match="no model"):
        read_request(WireApi.EMBEDDINGS, b'{"input":"x"}')


@pytest.mark.parametrize("api", [WireApi.EMBEDDINGS, WireApi.COMPLETIONS])
def test_what_an_editor_sends_is_no_prompt(api: WireApi) -> None:
    got = facts(api, input="private", prompt="private", messages=[user("private")])
    assert got == RequestFacts("m")


def test_a_conversation_that_is_compacted_holds_no_new_prompt() -> None:
    items = [user("Hi"), {"type": "function_call_output", "call_id": "c1", "output": "o"}]
    assert facts(WireApi.COMPACTION, input=items).tool_result_ids == ("c1",)
    assert facts(WireApi.COMPACTION, input=[user("Hi")]).prompt is None


RESPONSES_APIS = [WireApi.RESPONSES, WireApi.COMPACTION]


@pytest.mark.parametrize("api", RESPONSES_APIS)
@pytest.mark.parametrize("input", ["Hi", {"unreadable": 1}])
@pytest.mark.parametrize(
    ("fields", "previous", "conversation"),
    [
        ({}, None, None),
        ({"previous_response_id": None, "conversation": None}, None, None),
        ({"previous_response_id": "resp_1"}, "resp_1", None),
        ({"conversation": "conv_1"}, None, "conv_1"),
        ({"conversation": {"id": "conv_1"}}, None, "conv_1"),
        # What can't be read isn't passed over.
        ({"previous_response_id": 7}, "", None),
        ({"previous_response_id": ["resp_1"]}, "", None),
        ({"conversation": {}}, None, ""),
        ({"conversation": {"id": {}}}, None, ""),
        ({"conversation": {"id": "conv_1", "x": "y" * 5_000}}, None, ""),
    ],
)
def test_what_a_request_goes_on_from(
    api: WireApi, input: Any, fields: dict[str, Any], previous: str | None, conversation: str | None
) -> None:
    got = facts(api, input=input, **fields)
    assert (got.previous_response, got.conversation) == (previous, conversation)


def test_a_conversation_named_twice_is_unreadable() -> None:
    body = b'{"model":"m","conversation":{"id":"conv_1","id":"conv_2"}}'
    assert read_request(WireApi.RESPONSES, body).conversation == ""


def test_whether_a_response_is_stored_and_answered_later() -> None:
    got = facts(WireApi.RESPONSES, background=True, store=False)
    assert (got.background, got.store) == (True, False)
    got = facts(WireApi.RESPONSES, background=None, store=None)
    assert (got.background, got.store) == (False, True)


OWN_BOUND = {WireApi.RESPONSES: "max_output_tokens", WireApi.COMPACTION: "max_output_tokens"}


@pytest.mark.parametrize("api", DECODERS)
@pytest.mark.parametrize("padding", ["", "x" * 100_000])
@pytest.mark.parametrize(
    ("own", "others", "max_tokens"),
    [
        (5, {}, 5),
        (0, {}, 0),
        (999_999_999, {}, 999_999_999),
        (7, {"max_completion_tokens": None}, 7),
        (9, {"max_completion_tokens": 7}, 9),
        (7, {"max_completion_tokens": 9}, 9),
        (9.0, {"max_completion_tokens": 7}, None),
        (-1, {}, None),
        (1.5, {}, None),
        ("5", {}, None),
        (10**9, {}, None),
        ([5] * 20_000, {}, None),
        (None, {}, None),
    ],
)
def test_how_much_may_be_generated(
    api: WireApi, padding: str, own: object, others: dict[str, Any], max_tokens: int | None
) -> None:
    fields = {OWN_BOUND.get(api, "max_tokens"): own, **others}
    assert facts(api, padding=padding, **fields).max_tokens == max_tokens


@pytest.mark.parametrize(
    ("api", "field"),
    [
        (WireApi.MESSAGES, "max_completion_tokens"),
        (WireApi.MESSAGES, "max_output_tokens"),
        (WireApi.CHAT_COMPLETIONS, "max_output_tokens"),
        (WireApi.COMPLETIONS, "max_completion_tokens"),
        (WireApi.RESPONSES, "max_tokens"),
        (WireApi.COMPACTION, "max_completion_tokens"),
    ],
)
@pytest.mark.parametrize("padding", ["", "x" * 100_000])
def test_another_apis_name_alone_bounds_nothing(api: WireApi, field: str, padding: str) -> None:
    assert facts(api, padding=padding, **{field: 1}).max_tokens is None


def test_chat_completions_have_two_names_of_their_own() -> None:
    assert facts(WireApi.CHAT_COMPLETIONS, max_completion_tokens=3).max_tokens == 3


@pytest.mark.parametrize(
    ("n", "choices"), [(3, 3), (0, 1), (None, 1), ("3", 10**9), (3.0, 10**9), (10**12, 10**9)]
)
def test_how_often(n: Any, choices: int) -> None:
    assert facts(WireApi.CHAT_COMPLETIONS).choices == 1
    assert facts(WireApi.CHAT_COMPLETIONS, n=n).choices == choices
    assert facts(WireApi.COMPLETIONS, n=2, best_of=n).choices == max(2, choices)
