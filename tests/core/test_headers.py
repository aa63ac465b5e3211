from collections.abc import Sequence

import pytest

from aibridged.core import headers as headers_module
from aibridged.core.headers import (
    NOT_RELAYED,
    OF_THIS_HOP,
    by_names,
    end_to_end,
    named_by_connection,
    of_request,
    positions,
    relayed,
    request_header_passes,
    selection,
)
from aibridged.errors import HEADER_TOO_LARGE, GatewayError


def relay(*headers):
    return relayed(headers, positions(headers), NOT_RELAYED)


def forward(*headers):
    return end_to_end(headers, of_request(headers))


@pytest.mark.parametrize(
    "name",
    [
        "anthropic-beta",
        "anthropic-version",
        "OpenAI-Organization",
        "User-Agent",
        "Content-Type",
        "Content-Encoding",
        "X-Claude-Code-Session-Id",
        "x-stainless-lang",
        "X-Something-New",
        "Accept",
    ],
)
def test_end_to_end_headers_pass(name):
    assert request_header_passes(name.encode())
    assert relay((name.encode(), b"x")) == ((name.encode(), b"x"),)


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Connection",
    ],
)
def test_hop_by_hop_headers_pass_in_neither_direction(name):
    assert not request_header_passes(name.encode())
    assert relay((name.encode(), b"x"), (b"A", b"y")) == [(b"A", b"y")]


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, lambda n: n.replace("-", "_")])
@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "Cookie",
        "X-Coder-Token",
        "X-Coder-AI-Governance-Token",
        "X-Coder-Session-Token",
        "Coder-Session-Token",
        "X-AI-Bridge-Actor-ID",
        "X-AI-Bridge-Actor-Metadata-Username",
        "X-AI-Bridge-Actor-Metadata-Email",
    ],
)
def test_credentials_and_actor_headers_stay_behind_in_any_spelling(name, spell):
    assert not request_header_passes(spell(name).encode())


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Accept-Encoding", "Expect"])
def test_what_the_gateway_sets_itself_is_not_copied(name):
    assert not request_header_passes(name.encode())


@pytest.mark.parametrize("name", ["traceparent", "TraceState", "Baggage"])
def test_a_callers_trace_goes_no_further(name):
    assert not request_header_passes(name.encode())


def test_a_providers_cookies_stay_with_the_gateway():
    assert relay((b"Set-Cookie", b"x"), (b"A", b"y")) == [(b"A", b"y")]
    assert b"set-cookie" not in OF_THIS_HOP


def test_the_same_names_without_others():
    cookie, length, other = (b"Set-Cookie", b"x"), (b"Content-Length", b"1"), (b"A", b"y")
    headers = [cookie, (b"TE", b"z"), length, other]
    for _ in range(2):
        assert relayed(headers, positions(headers), OF_THIS_HOP) == [cookie, length, other]
        assert relayed(headers, positions(headers), NOT_RELAYED) == [length, other]
        without = NOT_RELAYED | {b"content-length"}
        assert relayed(headers, positions(headers), without) == [other]


def test_what_a_providers_connection_names_stays_behind():
    named, other = (b"X-Foo", b"x"), (b"X-Bar", b"y")
    assert relay(named, other) == (named, other)
    assert relay(named, (b"Connection", b"close, x-FOO"), other) == [other]


@pytest.mark.parametrize("value", [b"keep-alive", b"Keep-Alive", b"keep-alive, te", b"x-bar"])
def test_the_same_names_with_another_connection(value):
    """What is remembered of names says nothing of what `Connection` holds."""
    foo, bar = (b"X-Foo", b"x"), (b"x-Bar", b"y")
    for _ in range(2):
        assert forward(foo, (b"connection", b"Keep-Alive"), bar) == [foo, bar]
        assert forward(foo, (b"connection", b"keep-alive , X-FOO"), bar) == [bar]
        assert forward(foo, (b"connection", value), bar) == (
            [foo] if value == b"x-bar" else [foo, bar]
        )
        assert forward((b"Connection", value), foo, (b"Connection", b"x-foo"), bar) == (
            [] if value == b"x-bar" else [bar]
        )


def test_each_head_has_its_own_names():
    assert forward() == []
    assert positions([]) == {}
    for _ in range(2):
        assert forward((b"A", b"1"), (b"Cookie", b"2"), (b"B", b"3")) == [
            (b"A", b"1"),
            (b"B", b"3"),
        ]
        assert forward((b"Cookie", b"1"), (b"A", b"2"), (b"B", b"3")) == [
            (b"A", b"2"),
            (b"B", b"3"),
        ]
        assert forward((b"ACookie", b"1"), (b"B", b"2")) == [(b"ACookie", b"1"), (b"B", b"2")]


def test_of_a_name_the_first_header_is_found():
    headers = [(b"X-A", b"1"), (b"X-B", b"2"), (b"x-a", b"3"), (b"X-b", b"4"), (b"X-C", b"5")]
    assert positions(headers) == {b"x-a": 0, b"x-b": 1, b"x-c": 4}


def test_what_is_remembered_is_bounded():
    made: list[Sequence[bytes]] = []

    @by_names
    def count(names):
        made.append(names)
        return len(names)

    longest, most = headers_module._MOST_NAME_BYTES, headers_module._MOST_NAMES
    for head, times in (
        ([(b"n" * longest, b"v")], 1),
        ([(b"n" * (longest + 1), b"v")], 2),
        ([(b"n", b"v")] * most, 1),
        ([(b"n", b"v")] * (most + 1), 2),
    ):
        made.clear()
        assert [count(head) for _ in range(2)] == [len(head)] * 2
        assert len(made) == times
    made.clear()
    heads = [[(b"x-%d" % number, b"v")] for number in range(headers_module._REMEMBERED_HEADS + 1)]
    for head in (*heads, heads[0]):
        count(head)
    assert len(made) == len(heads) + 1


def test_names_listed_by_connection():
    assert named_by_connection(["keep-alive, X-Foo", "Bar"]) == {"keep-alive", "x-foo", "bar"}


@pytest.mark.parametrize("name", ["Connection", b"Connection"])
def test_how_much_connection_may_list_altogether_is_bounded(name):
    half = headers_module._MOST_CONNECTION // 2
    value = ("x" if isinstance(name, str) else b"x") * half
    sent = [(name, value)] * 2
    assert end_to_end(sent, selection([name] * 2, lambda name: False)) == []
    sent.append((name, value[:1]))
    with pytest.raises(GatewayError) as caught:
        end_to_end(sent, selection([name] * 3, lambda name: False))
    assert caught.value.kind is HEADER_TOO_LARGE
