import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.mcp.tools import Tool
from aibridged.wire.chat_completions.dialogue import ChatCompletionsDialogue
from aibridged.wire.clients import identify
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.inject import MAX_TOOLS, candidate, is_background, open_dialogue
from aibridged.wire.injection.offer import Offer
from aibridged.wire.large_request import outline_request
from aibridged.wire.messages.dialogue import MessagesDialogue
from aibridged.wire.outline import run
from aibridged.wire.responses.dialogue import ResponsesDialogue
from aibridged.wire.splice import Fields

FIELD = {
    WireApi.MESSAGES: "messages",
    WireApi.CHAT_COMPLETIONS: "messages",
    WireApi.RESPONSES: "input",
}
ONE_BY_ONE = {
    WireApi.MESSAGES: b'"tool_choice":{"type":"auto","disable_parallel_tool_use":true},',
    WireApi.CHAT_COMPLETIONS: b'"parallel_tool_calls":false,',
    WireApi.RESPONSES: b'"parallel_tool_calls":false,',
}
OPENAI = [WireApi.CHAT_COMPLETIONS, WireApi.RESPONSES]


def offer(*names):
    return Offer([Tool(name, "s", "http://s", name, "", b"{}") for name in names])


def body(api, **fields):
    return json.dumps({"model": "m", FIELD[api]: [], **fields}).encode()


def put_in(api, source, *names, model="m"):
    found = candidate(api, model, Fields(source))
    return found and found.inject(offer(*(names or ("bmcp_s_a", "bmcp_s_b"))))


def own_tool(api, name):
    if api is WireApi.CHAT_COMPLETIONS:
        return {"type": "function", "function": {"name": name}}
    return {"type": "function", "name": name} if api is WireApi.RESPONSES else {"name": name}


def names(api, source):
    tools = json.loads(source)["tools"]
    return [tool.get("function", tool)["name"] for tool in tools]


@pytest.mark.parametrize("api", MAX_TOOLS)
@given(
    st.sampled_from(["", " ", "\n\t"]),
    st.sampled_from(
        [None, b"[]", b"[ ]", b'[ {"name":"x", "cache_control" :{"type":"ephemeral"}}]']
    ),
    st.dictionaries(
        st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False) | st.text()
    ),
)
def test_without_what_was_put_in_the_request_is_the_clients(api, space, tools, more):
    """Key order, white space, numbers and fields that nobody knows stay as they were."""
    pairs = [b'"model":"m"', b'"%b": [1.0, 1e3]' % FIELD[api].encode()]
    pairs += [b"%b:%b" % (json.dumps(k).encode(), json.dumps(v).encode()) for k, v in more.items()]
    if tools is not None:
        pairs.insert(1, b'"tools" : ' + tools)
    gap = space.encode()
    source = gap + b"{" + gap + (gap + b"," + gap).join(pairs) + gap + b"}" + gap
    injection = put_in(api, source)
    ours = b",".join(raw for _, raw in offer("bmcp_s_a", "bmcp_s_b").encoded(api))
    assert injection.request.source.count(ours) == 1
    rest = injection.request.source.replace(ONE_BY_ONE[api], b"", 1)
    if tools is None:
        rest = rest.replace(b'"tools":[%b],' % ours, b"", 1)
    else:
        rest = rest.replace(ours + (b"" if tools.strip(b"[] ") == b"" else b","), b"", 1)
    assert rest == source


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_ours_come_first_and_the_clients_keep_their_names(api):
    source = body(api, tools=[own_tool(api, "x"), own_tool(api, "bmcp_s_a")])
    injection = put_in(api, source)
    assert names(api, injection.request.source) == ["bmcp_s_b", "x", "bmcp_s_a"]
    assert injection.names == {"bmcp_s_b"}
    assert injection.over_limit == ()
    assert put_in(api, source, "bmcp_s_a") is None


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_no_more_than_the_provider_takes(api):
    own = [own_tool(api, f"own_{number}") for number in range(MAX_TOOLS[api] - 2)]
    ours = [f"bmcp_s_{number}" for number in range(5)]
    injection = put_in(api, body(api, tools=own), *ours)
    assert len(names(api, injection.request.source)) == MAX_TOOLS[api]
    assert injection.names == set(ours[:2])
    assert injection.over_limit == tuple(ours[2:])
    assert put_in(api, body(api, tools=[*own, *own]), *ours) is None


def test_custom_tools_have_names_too():
    custom = {"type": "custom", "custom": {"name": "bmcp_s_a"}}
    injection = put_in(WireApi.CHAT_COMPLETIONS, body(WireApi.CHAT_COMPLETIONS, tools=[custom]))
    assert injection.names == {"bmcp_s_b"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"type": "any"}, {"type": "any", "disable_parallel_tool_use": True}),
        (
            {"type": "auto", "disable_parallel_tool_use": False},
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        (
            {"disable_parallel_tool_use": True, "type": "auto"},
            {"disable_parallel_tool_use": True, "type": "auto"},
        ),
    ],
)
def test_parallel_calls_are_off_in_messages(given, expected):
    injection = put_in(WireApi.MESSAGES, body(WireApi.MESSAGES, tool_choice=given))
    assert json.loads(injection.request.source)["tool_choice"] == expected


@pytest.mark.parametrize("api", OPENAI)
@pytest.mark.parametrize(
    "given", [{}, {"parallel_tool_calls": True}, {"parallel_tool_calls": None}]
)
def test_parallel_calls_are_off_in_openais_apis(api, given):
    injection = put_in(api, body(api, **given, tool_choice="required"))
    assert json.loads(injection.request.source)["parallel_tool_calls"] is False
    off = body(api, parallel_tool_calls=False)
    assert put_in(api, off).request.source.count(b"parallel_tool_calls") == 1


@pytest.mark.parametrize("api", OPENAI)
def test_models_that_refuse_the_parameter_are_spared_it(api):
    assert b"parallel_tool_calls" not in put_in(api, body(api), model="o3-mini").request.source


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        (WireApi.MESSAGES, {"tool_choice": {"type": "none"}}),
        (WireApi.MESSAGES, {"tool_choice": {"type": "tool", "name": "x"}}),
        (WireApi.MESSAGES, {"messages": "no list"}),
        (WireApi.MESSAGES, {"messages": None}),
        (WireApi.MESSAGES, {"tools": {}}),
        (WireApi.MESSAGES, {"tools": [{"name": 1}]}),
        (WireApi.CHAT_COMPLETIONS, {"tool_choice": "none"}),
        (
            WireApi.CHAT_COMPLETIONS,
            {"tool_choice": {"type": "function", "function": {"name": "x"}}},
        ),
        (WireApi.CHAT_COMPLETIONS, {"n": 2}),
        (WireApi.CHAT_COMPLETIONS, {"functions": [{"name": "x"}]}),
        (WireApi.RESPONSES, {"tool_choice": "none"}),
        (WireApi.RESPONSES, {"tool_choice": {"type": "file_search"}}),
        (WireApi.RESPONSES, {"background": True}),
        (WireApi.RESPONSES, {"input": 7}),
        (WireApi.RESPONSES, {"conversation": 7}),
    ],
)
def test_these_requests_want_no_tools_of_ours(api, fields):
    assert candidate(api, "m", Fields(body(api, **fields))) is None


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        (WireApi.CHAT_COMPLETIONS, {"n": 1, "tool_choice": "auto"}),
        (WireApi.RESPONSES, {"input": "hi", "background": False}),
        (WireApi.RESPONSES, {"input": None, "conversation": "conv_1"}),
        (WireApi.MESSAGES, {"tool_choice": {"type": "auto"}}),
    ],
)
def test_these_do(api, fields):
    assert put_in(api, body(api, **fields)) is not None


@pytest.mark.parametrize(
    "source", [b"{}", b'{"messages":7}', b'{"messages":[],"tools":[%b7]}' % (b"7," * 20_001)]
)
def test_what_cannot_be_read_is_left_to_the_provider(source):
    assert put_in(WireApi.MESSAGES, source) is None


def test_claude_code_asks_small_models_in_passing():
    client, _ = identify({"User-Agent": "claude-cli/2.1.0"})
    assert is_background(client, "claude-haiku-4-5")
    assert is_background(client, "claude-3-5-Haiku-20241022")
    assert not is_background(client, "claude-sonnet-4-5")
    assert not is_background("Unknown", "claude-haiku-4-5")


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        (WireApi.MESSAGES, MessagesDialogue),
        (WireApi.CHAT_COMPLETIONS, ChatCompletionsDialogue),
        (WireApi.RESPONSES, ResponsesDialogue),
    ],
)
def test_each_api_has_its_dialogue(api, kind):
    body = b'{"model":"m","messages":[],"input":[]}'
    assert type(open_dialogue(api, Fields(body), {"a"})) is kind


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_half_an_emoji_in_the_request_is_no_obstacle(api):
    """In a tool, or anywhere; the bytes around what is put in stay as they came."""
    own = json.dumps({**own_tool(api, "a"), "description": "half \ud83d"}).encode()
    source = b'{"model":"m","%b":["%b"],"tools":[%b]}' % (FIELD[api].encode(), rb"\ud83d", own)
    _, members = run(outline_request(source))
    found = candidate(api, "m", Fields(source, members))
    injection = found.inject(offer("a", "bmcp_s_b"))
    assert injection.names == {"bmcp_s_b"}
    ours = b",".join(raw for _, raw in offer("bmcp_s_b").encoded(api)) + b","
    sent = injection.request.source.replace(ONE_BY_ONE[api], b"", 1)
    assert sent.replace(ours, b"", 1) == source
