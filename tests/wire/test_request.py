"""What is read of requests: the prompt, the answered tool calls, the session."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.facts import Api, RequestFacts
from aibridged.wire.request import MAX_MODEL, MAX_RESULTS, BadRequestError, read_request


def facts(api: Api, **fields: Any) -> RequestFacts:
    return read_request(api, msgspec.json.encode({"model": "m", **fields}))


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else content}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


SYSTEM = {"role": "system", "content": "Instructions that the agent put behind it."}
ASSISTANT = {"role": "assistant", "content": "Sure."}
IMAGE = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}


@pytest.mark.parametrize("api", Api)
def test_head(api: Api) -> None:
    assert facts(api) == RequestFacts("m")
    assert facts(api, stream=True).stream is True
    assert facts(api, stream="true").stream is False
    assert facts(api, stream=None).stream is False
    assert facts(api, stream_options={"include_usage": True}).include_usage is True
    assert facts(api, stream_options={"include_usage": False}).include_usage is False
    assert facts(api, stream_options=7).include_usage is False
    assert facts(api, stream_options=7).has_options is True
    assert facts(api).has_options is False


@pytest.mark.parametrize("api", Api)
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
def test_bad_requests(api: Api, body: bytes, sentence: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_request(api, body)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("api", Api)
def test_what_the_provider_is_to_refuse_goes_on_unread(api: Api) -> None:
    got = facts(api, stream=True, messages={"a": 1}, input={"a": 1})
    assert got == RequestFacts("m", stream=True, anomalies=("unreadable_request",))
    got = facts(api, messages=[7], input=[7])
    assert got == RequestFacts("m", anomalies=("unreadable_request",))


@pytest.mark.parametrize(
    ("messages", "prompt", "results"),
    [
        ([user("Hi")], "Hi", ()),
        ([user("Hi"), ASSISTANT, user("Go on")], "Go on", ()),
        ([user(text("context"), text("Hi"), IMAGE)], "Hi", ()),
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
        ([user({"type": "tool_result", "tool_use_id": "a"}), ASSISTANT, user("Hi")], "Hi", ()),
        ([user("Hi"), SYSTEM], "Hi", ()),
        ([user({"type": "tool_result", "tool_use_id": "a"}), SYSTEM, SYSTEM], None, ("a",)),
        ([user("Hi"), ASSISTANT, SYSTEM], None, ()),
        ([SYSTEM], None, ()),
        ([], None, ()),
    ],
)
def test_messages(messages: list[Any], prompt: str | None, results: tuple[str, ...]) -> None:
    got = facts(Api.MESSAGES, messages=messages)
    assert (got.prompt, got.tool_result_ids) == (prompt, results)


def tool(call_id: str) -> dict[str, str]:
    return {"role": "tool", "tool_call_id": call_id, "content": "no prompt"}


@pytest.mark.parametrize(
    ("messages", "prompt", "results"),
    [
        ([{"role": "system", "content": "s"}, user("Hi")], "Hi", ()),
        ([user(text("a"), text("b"))], "b", ()),
        ([user("Hi"), ASSISTANT, tool("a"), tool("b")], None, ("a", "b")),
        ([user("Hi"), ASSISTANT, tool("a"), user("Stop")], "Stop", ("a",)),
        ([tool("old"), {**ASSISTANT, "tool_calls": [{"id": "a"}]}, tool("a")], None, ("a",)),
        ([user("Hi"), {"role": "developer", "content": "d"}], None, ()),
        ([user("Hi"), ASSISTANT], None, ()),
        ([], None, ()),
    ],
)
def test_chat_completions(
    messages: list[Any], prompt: str | None, results: tuple[str, ...]
) -> None:
    got = facts(Api.CHAT_COMPLETIONS, messages=messages)
    assert (got.prompt, got.tool_result_ids) == (prompt, results)


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


INPUT_TEXT = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]


@pytest.mark.parametrize(
    ("items", "prompt", "results"),
    [
        ("Hi", "Hi", ()),
        ([user("Hi")], "Hi", ()),
        ([item("message", role="user", content=INPUT_TEXT)], "b", ()),
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
    got = facts(Api.RESPONSES, input=items)
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
    got = facts(Api.MESSAGES, metadata=metadata, messages=[user("Hi")])
    assert (got.session_id, got.prompt) == (session, "Hi")


def test_what_nests_too_deep_for_a_decoder_is_for_the_scanner() -> None:
    with pytest.raises(RecursionError):
        read_request(Api.MESSAGES, b'{"x":' + b"[" * 100_000)


def test_names_and_results_are_bounded() -> None:
    with pytest.raises(BadRequestError, match="longer than 512 characters"):
        read_request(Api.MESSAGES, msgspec.json.encode({"model": "m" * (MAX_MODEL + 1)}))
    results = [{"type": "tool_result", "tool_use_id": str(n)} for n in range(MAX_RESULTS + 1)]
    got = facts(Api.MESSAGES, messages=[user(*results)])
    assert got.tool_result_ids == tuple(str(n) for n in range(1, MAX_RESULTS + 1))
    got = facts(Api.CHAT_COMPLETIONS, messages=[tool(str(n)) for n in range(MAX_RESULTS + 1)])
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
    st.sampled_from(Api), st.dictionaries(st.sampled_from(["messages", "input", "metadata"]), JSON)
)
def test_any_json_with_a_model_is_read(api: Api, fields: dict[str, Any]) -> None:
    assert facts(api, **fields).model == "m"


@given(st.sampled_from(Api), st.binary(max_size=60))
def test_garbage_is_a_bad_request(api: Api, body: bytes) -> None:
    with pytest.raises(BadRequestError):
        read_request(api, body)
